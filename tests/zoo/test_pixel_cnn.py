"""Proofs of pixel_cnn."""

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.zoo.autoregressive_proofs import (
    assert_completions_are_the_naive_ones,
    assert_samples_are_the_naive_ones,
    dependencies,
    randomize,
    total_probability,
)
from tfgen.models import exact


def small(shape, levels=2, **arguments):
    sizes = {"width": 6, "blocks": 2, "head_width": 6} | arguments
    model = tfgen.create("pixel_cnn", image_shape=shape, levels=levels, **sizes)
    randomize(model, 0.4)
    return model


@pytest.mark.parametrize(("shape", "levels"), [((5, 7, 1), 2), ((4, 3, 3), 4)])
def test_no_draw_depends_on_itself_or_on_later_channels(float64, shape, levels):
    found = dependencies(small(shape, levels, width=12, head_width=12))
    assert not np.triu(found).any()
    # Not vacuous: most draws (a unit may be dead) depend on the one before, but at the start of a row it is far away.
    _, width, channels = shape
    follows = np.diag(found, -1)[np.arange(1, found.shape[0]) % (width * channels) != 0]
    assert follows.mean() > 0.8


def test_the_field_of_3x3_kernels_has_the_blind_spot_of_the_paper(float64):
    # Enumerated on paper for 6x5 pixels and 13 layers: 390 of 435 earlier pixels are seen.
    model = small((6, 5, 1), kernel_size=3, blocks=12)
    assert dependencies(model).sum() == 390


@pytest.mark.parametrize("shape", [(2, 2, 3), (4, 4, 1), (3, 4, 1)])
def test_probabilities_of_all_pictures_sum_to_one(shape):
    assert total_probability(small(shape)) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(("shape", "levels"), [((5, 7, 1), 2), ((8, 8, 1), 17), ((5, 7, 3), 4)])
def test_the_cached_sampler_draws_what_the_naive_one_draws(float64, shape, levels):
    assert_samples_are_the_naive_ones(small(shape, levels))


def test_completion_keeps_known_pixels_wherever_they_are(float64):
    assert_completions_are_the_naive_ones(small((5, 7, 3), 4))


@pytest.mark.parametrize("chunk", [1, 2, 3, 64])
def test_chunks_of_a_batch_do_not_change_what_is_drawn(monkeypatch, chunk):
    monkeypatch.setattr(exact, "_CHUNK", chunk)
    model = small((5, 7, 1))
    noise = tf.random.stateless_uniform((5, *model.noise_shape), [3, 0], alg="philox")
    np.testing.assert_array_equal(model.sample(5, seed=3), model.sample_from_noise(noise))


def test_zero_weights_at_the_end_of_a_block_make_it_the_identity():
    model = small((4, 4, 1))
    x = tf.constant(np.random.default_rng(0).integers(0, 2, (2, 4, 4, 1)), tf.uint8)
    for weight in model.blocks[1][2].trainable_weights:
        weight.assign(tf.zeros_like(weight))
    with_block = model.conditionals(x)
    model.blocks.pop()
    np.testing.assert_allclose(with_block, model.conditionals(x), atol=1e-5)


@pytest.mark.slow
def test_pictures_of_one_level_cost_the_entropy_of_their_level():
    # All pixels are equal: the first carries ln 4 nats, the others follow.
    images = np.repeat(np.arange(4, dtype=np.uint8), 16)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    model = tfgen.create("pixel_cnn", image_shape=(4, 4, 1), levels=4, width=16, blocks=1, head_width=16)
    model.fit(images, batch_size=16, epochs=150, verbose=0)
    nats = model.evaluate(images, return_dict=True, verbose=0)["nats"]
    assert np.log(4.0) - 1e-3 < nats < np.log(4.0) + 0.02
    first = model.conditionals(images[:4])[:, 0, 0, 0]
    np.testing.assert_allclose(tf.nn.softmax(first), 0.25, atol=0.02)


def test_bits_per_dimension_are_nats_over_dimensions_and_ln_two():
    model = small((5, 7, 3), 4)
    images = np.random.default_rng(0).integers(0, 4, (7, 5, 7, 3)).astype(np.uint8)
    figures = model.evaluate(images, batch_size=3, return_dict=True, verbose=0)
    nats = -model.log_prob(images).numpy()
    assert figures["nats"] == pytest.approx(nats.mean(), rel=1e-5)
    assert figures["nats_se"] == pytest.approx(nats.std(ddof=1) / np.sqrt(7), rel=1e-4)
    assert figures["bits_per_dim"] == pytest.approx(nats.mean() / (105 * np.log(2.0)), rel=1e-5)
