"""Proofs of pixel_rnn_multiscale."""

import types

import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf

import tfgen
from tests.zoo.autoregressive_proofs import dependencies, naive_sample, randomize, total_probability
from tfgen.errors import InputError


def tiny(shape, levels=2, **arguments):
    sizes = {"width": 6, "layers": 1, "kernel_size": 3, "head_width": 24, "map_features": 5} | arguments
    model = tfgen.create("pixel_rnn_multiscale", image_shape=shape, levels=levels, **sizes)
    randomize(model, 0.4)
    return model


def naive_scales(model, noise, known=None, mask=None):
    """Samples with whole forward passes of the small, then of the large network."""
    part = (slice(None), slice(None, None, model.factor), slice(None, None, model.factor))
    given = (None, None) if known is None else (known[part], mask[part])
    small = naive_sample(model.small, noise[part][..., -1:], *given)
    large = types.SimpleNamespace(
        example=model.example,
        draw=model.draw,
        conditionals=lambda x: model.large_conditionals(x, tf.constant(small)),
        draws=model.draws,
    )
    if model.clamp:
        known = np.zeros((len(noise), *model.example.shape), int) if known is None else known.copy()
        mask = np.zeros(known.shape[:3], bool) if mask is None else mask.copy()
        known[part], mask[part] = small, True
    return small, naive_sample(large, noise, known, mask)


def test_clamped_probabilities_of_all_pictures_sum_to_one():
    assert total_probability(tiny((4, 4, 1), head_width=6)) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(("shape", "factor"), [((3, 4, 1), 3), ((2, 2, 3), 2), ((1, 5, 1), 2)])
def test_they_do_at_any_factor_and_where_it_does_not_divide_the_sides(shape, factor):
    assert total_probability(tiny(shape, factor=factor)) == pytest.approx(1.0, abs=1e-5)


def test_unclamped_probabilities_of_all_pictures_sum_to_less():
    # The large network predicts four known pixels again, without being told that it must repeat them.
    assert total_probability(tiny((4, 4, 1), head_width=6, clamp=False)) < 0.5


def test_unclamped_both_networks_count_the_small_picture(float64):
    model = tiny((4, 6, 1), 3, clamp=False)
    x = np.random.default_rng(0).integers(0, 3, (7, 4, 6, 1)).astype(np.uint8)
    small = x[:, ::2, ::2]
    logits = tf.nn.log_softmax(model.large_conditionals(x, small)[:, :, :, 0])
    large = np.take_along_axis(logits.numpy(), x.astype(int), -1).sum((1, 2, 3))
    np.testing.assert_allclose(model.log_prob(x), model.small.log_prob(small) + large, rtol=1e-6)


@pytest.mark.parametrize(("shape", "levels"), [((4, 5, 1), 2), ((3, 3, 3), 4)])
def test_a_pixel_depends_on_the_small_picture_and_on_earlier_pixels_only(float64, shape, levels):
    model = tiny(shape, levels, width=12)
    height, width, channels = shape
    found = dependencies(model)
    draws = height * width * channels
    in_small = np.repeat(model.kept.reshape(-1), channels)
    earlier = np.tri(draws, k=-1, dtype=bool)
    # The small picture is drawn first, and by itself.
    allowed = np.where(in_small[:, None], earlier & in_small, earlier | in_small)
    assert not (found & ~allowed).any()
    # Not vacuous: the large network looks ahead into the small picture, and at the pixel before.
    ahead = ~in_small[:, None] & in_small & ~earlier
    assert found[ahead].mean() > 0.3
    assert np.diag(found, -1)[~in_small[1:]].mean() > 0.5


@pytest.mark.parametrize("clamp", [True, False])
@pytest.mark.parametrize(("shape", "levels"), [((5, 7, 1), 2), ((8, 8, 1), 5), ((5, 7, 3), 4)])
def test_the_cached_sampler_draws_what_the_naive_ones_draw(float64, shape, levels, clamp):
    model = tiny(shape, levels, clamp=clamp)
    noise = np.random.default_rng(1).random((3, *model.noise_shape))
    cached = model._fill(tf.constant(noise)).numpy()
    small, large = naive_scales(model, noise)
    np.testing.assert_array_equal(cached, large)
    assert np.array_equal(cached[:, ::2, ::2], small) == clamp
    assert len(np.unique(cached)) == levels


@pytest.mark.parametrize("clamp", [True, False])
def test_completion_keeps_known_pixels_wherever_they_are(float64, clamp):
    model = tiny((5, 7, 3), 4, clamp=clamp)
    rng = np.random.default_rng(2)
    noise, known = rng.random((3, *model.noise_shape)), rng.integers(0, 4, (3, 5, 7, 3))
    mask = rng.random((3, 5, 7)) < 0.5
    cached = model._fill(tf.constant(noise), known=tf.constant(known, tf.int32), mask=tf.constant(mask)).numpy()
    np.testing.assert_array_equal(cached, naive_scales(model, noise, known, mask)[1])
    np.testing.assert_array_equal(cached[mask], known[mask])


def test_completion_of_the_small_pictures_pixels_enlarges_it():
    model = tiny((6, 6, 1), 3)
    x = np.random.default_rng(0).integers(0, 3, (4, 6, 6, 1)).astype(np.uint8)
    enlarged = model.complete(x, np.broadcast_to(model.kept, (4, 6, 6)), seed=1).numpy()
    np.testing.assert_array_equal(enlarged[:, ::2, ::2], x[:, ::2, ::2])
    assert not np.array_equal(enlarged, x)


def test_a_saved_model_comes_back_with_both_networks(tmp_path):
    model = tiny((5, 6, 1), 3, factor=3, clamp=False)
    x = np.random.default_rng(0).integers(0, 3, (4, 5, 6, 1)).astype(np.uint8)
    model.save(tmp_path / "model.keras")
    loaded = tfgen.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.log_prob(x), model.log_prob(x))


def test_a_factor_of_one_is_refused():
    with pytest.raises(InputError, match="factor 1, expected at least 2"):
        tiny((4, 4, 1), factor=1)


@pytest.mark.slow
def test_another_pictures_small_one_makes_a_picture_less_likely():
    images = (sklearn.datasets.load_digits().images > 7).astype(np.uint8)[..., None]
    train, test = images[:1437], images[1437:]
    model = tfgen.create("pixel_rnn_multiscale", image_shape=(8, 8, 1), levels=2, width=16, layers=2, kernel_size=5)
    model.fit(train, batch_size=32, epochs=5, verbose=0)

    def nats(small):
        logits = tf.nn.log_softmax(model.large_conditionals(test, small)[..., 0, :]).numpy()
        log_probs = np.take_along_axis(logits, test.astype(int), -1)[..., 0]
        return -log_probs[:, ~model.kept].sum(-1)

    small = test[:, ::2, ::2]
    loss = nats(np.roll(small, 1, axis=0)) - nats(small)
    # Picture by picture, so that chance is measured: without the condition the loss would be zero.
    assert loss.mean() > 5.0 * loss.std(ddof=1) / np.sqrt(len(test))
