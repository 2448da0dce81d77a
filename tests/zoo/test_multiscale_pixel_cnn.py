"""Proofs of multiscale_pixel_cnn."""

import itertools
import math

import keras
import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf

import tfgen
from tests.zoo.autoregressive_proofs import dependencies, naive_sample, randomize, total_probability
from tfgen.errors import InputError
from tfgen.models import exact
from tfgen.networks.pixel_groups import PixelGroup


def tiny(shape, levels=2, **arguments):
    sizes = {"width": 6, "blocks": 1, "depth": 3, "kernel_size": 3, "head_width": 6, "upscalings": 1} | arguments
    model = tfgen.create("multiscale_pixel_cnn", image_shape=shape, levels=levels, **sizes)
    randomize(model, 0.4)
    return model


def turns(model):
    """Returns when each pixel is drawn, `(height, width)`: those with the same number are drawn at once."""
    height, width, _ = model.example.shape
    keys = {}
    for y, x in itertools.product(range(height), range(width)):
        scale, step = 0, 2**model.upscalings
        while y % step or x % step:
            scale, step = scale + 1, step // 2
        # In the base one by one, in raster order; then top-right, bottom-left, bottom-right.
        keys[y, x] = (scale, 2 * (y // step % 2) + x // step % 2) if scale else (0, y * width + x)
    order = sorted(set(keys.values()))
    return np.array([order.index(key) for key in keys.values()]).reshape(height, width)


def test_the_order_of_5x6_pixels_is_the_one_of_the_paper():
    # The base has 2x2 pixels; the first upscaling makes them 3x3, where the last cells are cut off.
    expected = [
        [0, 7, 4, 7, 1, 7],
        [8, 9, 8, 9, 8, 9],
        [5, 7, 6, 7, 5, 7],
        [8, 9, 8, 9, 8, 9],
        [2, 7, 4, 7, 3, 7],
    ]
    np.testing.assert_array_equal(turns(tiny((5, 6, 1), upscalings=2)), expected)


@pytest.mark.parametrize(
    ("shape", "upscalings"), [((4, 4, 1), 1), ((4, 4, 1), 2), ((5, 3, 1), 1), ((3, 5, 1), 2), ((2, 2, 3), 1)]
)
def test_probabilities_of_all_pictures_sum_to_one(shape, upscalings):
    assert total_probability(tiny(shape, upscalings=upscalings)) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("shape", "levels", "upscalings"), [((4, 5, 1), 2, 1), ((5, 7, 1), 3, 2), ((4, 3, 3), 4, 1), ((3, 5, 3), 2, 2)]
)
def test_a_pixel_depends_on_all_earlier_groups_and_on_nothing_else(float64, shape, levels, upscalings):
    model = tiny(shape, levels, upscalings=upscalings, width=24, depth=6, head_width=48)
    channels = shape[2]
    turn = np.repeat(turns(model).reshape(-1), channels)
    pixel = np.repeat(np.arange(shape[0] * shape[1]), channels)
    channel = np.tile(np.arange(channels), shape[0] * shape[1])
    before = turn[:, None] > turn
    in_pixel = (pixel[:, None] == pixel) & (channel[:, None] > channel)
    found = dependencies(model, draws=6)
    assert not (found & ~(before | in_pixel)).any()
    # Not vacuous: every pixel sees all of each group before its own.
    np.testing.assert_array_equal(found, before | in_pixel)


@pytest.mark.parametrize("known", [1, 2, 3])
def test_gradients_reach_a_channel_from_known_groups_and_from_the_channels_before_it(float64, known):
    group = tiny((6, 6, 3), 3, width=12, head_width=48).scales[0].groups[known - 1]
    rng = np.random.default_rng(0)
    given, own = (tf.constant(rng.uniform(-1.0, 1.0, (1, 3, 3, size))) for size in (3 * known, 3))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch((given, own))
        logits = tf.reshape(group(given, own), (3, 3, 3, 3))
    # Of all that stands in a place of the grid, one after the other: rows, columns, channels.
    reached = np.abs(tape.jacobian(logits, own)).max(3)[:, :, :, 0]
    for (y, x, channel), from_own in zip(np.ndindex(3, 3, 3), reached.reshape(27, 3, 3, 3), strict=True):
        expected = np.zeros((3, 3, 3), bool)
        expected[y, x, :channel] = True
        np.testing.assert_array_equal(from_own > 0, expected)
    assert (np.abs(tape.jacobian(logits, given)).max((0, 1, 2, 3, 4, 5, 6)) > 0).all()


def naive_groups(model, noise, known=None, mask=None):
    """Samples group by group, with a pass over the whole picture for each channel of each."""
    image = np.zeros((len(noise), *model.example.shape), np.uint8)
    turn = turns(model)
    conditionals = tf.function(model.conditionals, autograph=False)
    for now, channel in itertools.product(range(turn.max() + 1), range(model.draws)):
        parameters = conditionals(tf.constant(image)).numpy()
        for y, x in np.argwhere(turn == now):
            drawn = model.draw(tf.constant(parameters[:, y, x, channel]), tf.constant(noise[:, y, x, channel]))
            image[:, y, x, channel] = drawn.numpy()[:, 0]
            if known is not None:
                image[:, y, x, channel] = np.where(mask[:, y, x], known[:, y, x, channel], image[:, y, x, channel])
    return image


@pytest.mark.parametrize("upscalings", [1, 2])
@pytest.mark.parametrize(("shape", "levels"), [((5, 7, 1), 2), ((8, 8, 1), 5), ((5, 7, 3), 4)])
def test_the_sampler_draws_what_whole_passes_draw(float64, shape, levels, upscalings):
    model = tiny(shape, levels, upscalings=upscalings)
    noise = np.random.default_rng(1).random((3, *model.noise_shape))
    drawn = model._fill(tf.constant(noise)).numpy()
    np.testing.assert_array_equal(drawn, naive_groups(model, noise))
    assert len(np.unique(drawn)) == levels
    step = 2**upscalings
    base = noise[:, ::step, ::step]
    np.testing.assert_array_equal(drawn[:, ::step, ::step], model.base._fill(tf.constant(base)))
    np.testing.assert_array_equal(drawn[:, ::step, ::step], naive_sample(model.base, base))


@pytest.mark.parametrize("shape", [(5, 7, 3), (8, 8, 1)])
def test_completion_keeps_known_pixels_wherever_they_are(float64, shape):
    model = tiny(shape, 4, upscalings=2)
    rng = np.random.default_rng(2)
    noise, known = rng.random((3, *model.noise_shape)), rng.integers(0, 4, (3, *shape))
    mask = rng.random((3, *shape[:2])) < 0.5
    drawn = model._fill(tf.constant(noise), known=tf.constant(known, tf.int32), mask=tf.constant(mask)).numpy()
    np.testing.assert_array_equal(drawn, naive_groups(model, noise, known, mask))
    np.testing.assert_array_equal(drawn[mask], known[mask])


def test_upscaling_keeps_the_small_picture_and_draws_what_completion_draws():
    model = tiny((7, 6, 1), 5, upscalings=2)
    x = np.random.default_rng(0).integers(0, 5, (4, 7, 6, 1)).astype(np.uint8)
    large = model.upscale(x[:, ::4, ::4], seed=1).numpy()
    np.testing.assert_array_equal(large[:, ::4, ::4], x[:, ::4, ::4])
    mask = np.zeros((4, 7, 6))
    mask[:, ::4, ::4] = 1.0
    np.testing.assert_array_equal(large, model.complete(x, mask, seed=1))
    assert not np.array_equal(large, model.upscale(x[:, ::4, ::4], seed=2))


@pytest.mark.parametrize("by_xla", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_seed_gives_the_same_pictures_compiled_and_not(float64, monkeypatch, by_xla):
    model = tiny((3, 5, 3), 4, depth=1)
    noise = tf.random.stateless_uniform((3, *model.noise_shape), (5, 0), alg="philox")
    monkeypatch.setattr(exact, "_COMPILED_FROM", 1 if by_xla else 10**6)
    np.testing.assert_array_equal(model.sample(3, seed=(5, 0)), model._fill(noise))


def test_a_sample_takes_the_bases_steps_and_three_passes_per_scale(monkeypatch):
    model = tiny((8, 6, 3), 4, upscalings=2)
    calls = {"passes": 0, "steps": 0, "base": 0}

    def counted(owner, name, key):
        method = getattr(owner, name)

        def call(*args, **kwargs):
            calls[key] += 1
            return method(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    counted(PixelGroup, "features", "passes")
    counted(PixelGroup, "step", "steps")
    counted(type(model.base), "step", "base")
    model._fill(tf.random.stateless_uniform((2, *model.noise_shape), (0, 0)))
    # A base of 2x2 pixels; each of two scales has three groups, and each of these three channels.
    assert calls == {"passes": 3 * 2, "steps": 3 * 3 * 2, "base": 2 * 2 * 3}


def group_nats(model, images, group) -> float:
    """Returns the mean nats that a group of the last upscaling costs."""
    log_probs = tf.nn.log_softmax(model.conditionals(tf.constant(images))).numpy()
    log_probs = np.take_along_axis(log_probs, images[..., None].astype(int), -1)[..., 0]
    return -log_probs[:, group // 2 :: 2, group % 2 :: 2].sum((1, 2, 3)).mean()


@pytest.mark.slow
def test_a_group_learns_a_function_of_those_before_but_no_coin_that_its_pixels_share():
    # Top-right is the parity of two top-left pixels, bottom-right that of its cell, and all of bottom-left show one
    # coin. Each picture comes with both sides of the coin, so that by Jensen's inequality no prediction from the groups
    # before costs less than ln 2 per pixel, though one pixel would give away the others.
    rng = np.random.default_rng(0)
    images = np.repeat(rng.integers(0, 2, (1024, 4, 4, 1)).astype(np.uint8), 2, 0)
    images[:, ::2, 1], images[:, ::2, 3] = images[:, ::2, 0] ^ images[:, ::2, 2], images[:, ::2, 2]
    images[0::2, 1::2, ::2], images[1::2, 1::2, ::2] = 0, 1
    images[:, 1::2, 1::2] = images[:, ::2, ::2] ^ images[:, ::2, 1::2] ^ images[:, 1::2, ::2]
    sizes = {"upscalings": 1, "width": 24, "blocks": 1, "depth": 1, "kernel_size": 3, "head_width": 24}
    model = tfgen.create("multiscale_pixel_cnn", image_shape=(4, 4, 1), levels=2, **sizes)
    model.compile(keras.optimizers.Adam(5e-3))
    model.fit(images, batch_size=64, epochs=8, verbose=0)
    assert group_nats(model, images, 1) < 0.05
    assert group_nats(model, images, 3) < 0.05
    assert 4 * math.log(2.0) - 1e-4 <= group_nats(model, images, 2) < 4 * math.log(2.0) + 0.1


@pytest.mark.parametrize(("shape", "upscalings"), [((8, 8, 1), 0), ((8, 8, 1), 4), ((4, 9, 3), 3), ((1, 5, 1), 1)])
def test_upscalings_that_add_nothing_are_refused(shape, upscalings):
    with pytest.raises(InputError, match=f"{upscalings} upscalings of {shape[0]}x{shape[1]} pixels"):
        tiny(shape, upscalings=upscalings)


def test_a_small_picture_of_another_size_is_refused():
    with pytest.raises(InputError, match=r"small: shape \(2, 4, 3, 1\), expected \(count, 3, 4, 1\)"):
        tiny((5, 7, 1)).upscale(np.zeros((2, 4, 3, 1), np.uint8))


@pytest.mark.slow
def test_digits_are_likelier_than_by_each_pixels_frequencies():
    images = sklearn.datasets.load_digits().images.astype(np.uint8)[..., None]
    train, test = images[:1437], images[1437:]
    counts = np.eye(17)[train[..., 0]].sum(0) + 1.0
    frequencies = np.log(counts / counts.sum(-1, keepdims=True))
    factorised = -np.take_along_axis(frequencies[None], test.astype(int), -1).sum((1, 2, 3)).mean()
    model = tfgen.create(
        "multiscale_pixel_cnn", image_shape=(8, 8, 1), levels=17, upscalings=1, width=32, blocks=2, depth=3,
        kernel_size=5,
    )  # fmt: skip
    model.fit(train, batch_size=32, epochs=6, verbose=0)
    figures = model.evaluate(test, batch_size=120, verbose=0, return_dict=True)
    assert figures["nats"] < factorised - 5.0
    assert figures["bits_per_dim"] == pytest.approx(figures["nats"] / (64 * math.log(2.0)), rel=1e-5)
