"""Proofs of gated_pixel_cnn."""

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.zoo.autoregressive_proofs import dependencies, naive_sample, randomize, total_probability
from tfgen.specs import Labels, Maps


def small(shape, levels=2, **arguments):
    sizes = {"width": 6, "depth": 3, "head_width": 6, "kernel_size": 5} | arguments
    model = tfgen.create("gated_pixel_cnn", image_shape=shape, levels=levels, **sizes)
    randomize(model, 0.4)
    return model


def condition_of(model, count):
    """Returns a different condition for each picture."""
    condition = {}
    if model.label is not None:
        condition["label"] = tf.range(count) % model.label.count
    if model.map is not None:
        condition["map"] = tf.constant(np.random.default_rng(5).normal(size=(count, *model.map.shape)))
    return condition


CONDITIONS = [{}, {"label": Labels(3)}, {"map": Maps((4, 4, 2))}, {"label": Labels(3), "map": Maps((2, 2, 1))}]


def test_every_earlier_pixel_is_seen_and_no_other(float64):
    # 6x5 pixels have 30 * 29 / 2 = 435 pairs; pixel_cnn, whose field has a blind spot, sees 390.
    found = dependencies(small((6, 5, 1), depth=8, kernel_size=3))
    assert not np.triu(found).any()
    assert found.sum() == 435


def test_colours_of_a_pixel_follow_each_other(float64):
    found = dependencies(small((4, 3, 3), 4, depth=6, width=12, head_width=36, label=Labels(2)), {"label": 1}, draws=6)
    assert not np.triu(found).any()
    assert found.sum() == 36 * 35 // 2


def test_probabilities_of_all_pictures_sum_to_one_for_every_class():
    model = small((3, 4, 1), label=Labels(3))
    for label in range(3):
        assert total_probability(model, {"label": label}) == pytest.approx(1.0, abs=1e-5)
    assert total_probability(small((2, 2, 3))) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("condition", CONDITIONS, ids=["none", "label", "map", "both"])
@pytest.mark.parametrize(("shape", "levels"), [((5, 7, 1), 2), ((8, 8, 1), 5), ((5, 7, 3), 4)])
def test_the_cached_sampler_draws_what_the_naive_one_draws(float64, shape, levels, condition):
    model = small(shape, levels, **condition)
    noise = np.random.default_rng(1).random((3, *model.noise_shape))
    given = condition_of(model, 3)
    cached = model._fill(tf.constant(noise), **given).numpy()
    np.testing.assert_array_equal(cached, naive_sample(model, noise, **given))
    assert len(np.unique(cached)) == levels


def test_completion_keeps_known_pixels_wherever_they_are(float64):
    model = small((5, 7, 3), 4, label=Labels(3))
    rng = np.random.default_rng(2)
    noise, known = rng.random((3, *model.noise_shape)), rng.integers(0, 4, (3, 5, 7, 3))
    mask = rng.random((3, 5, 7)) < 0.5
    given = condition_of(model, 3)
    cached = model._fill(tf.constant(noise), known=tf.constant(known, tf.int32), mask=tf.constant(mask), **given)
    np.testing.assert_array_equal(cached, naive_sample(model, noise, known=known, mask=mask, **given))


@pytest.mark.parametrize("condition", CONDITIONS[1:], ids=["label", "map", "both"])
def test_a_condition_reaches_every_draw(float64, condition):
    model = small((4, 3, 1), **condition)
    x = tf.zeros((2, 4, 3, 1), tf.uint8)
    logits = model.conditionals(x, **condition_of(model, 2)).numpy()
    assert (np.abs(logits[0] - logits[1]).max(-1) > 1e-9).all()


def test_a_smaller_map_is_enlarged_by_its_nearest_neighbours():
    model = small((4, 4, 1), map=Maps((2, 2, 1)))
    enlarged = model.enlarged(tf.reshape(tf.range(4.0), (1, 2, 2, 1)))[0, ..., 0]
    np.testing.assert_array_equal(enlarged, [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]])


def stripes(count, rng):
    """Returns binary pictures whose class k has stripes of period k + 2 with a random phase, and the classes."""
    labels = rng.integers(0, 3, count)
    phases = rng.integers(0, labels + 2)
    columns = (np.arange(6)[None] + phases[:, None]) % (labels[:, None] + 2) == 0
    images = np.broadcast_to(columns[:, None, :, None], (count, 6, 6, 1)).astype(np.uint8)
    flipped = rng.random(images.shape) < 0.02
    return images ^ flipped, labels.astype(np.int32)


@pytest.mark.slow
def test_classes_are_told_apart_by_their_likelihoods():
    rng = np.random.default_rng(0)
    images, labels = stripes(4000, rng)
    arguments = {"image_shape": (6, 6, 1), "levels": 2, "width": 16, "depth": 3, "kernel_size": 5}
    conditional = tfgen.create("gated_pixel_cnn", labels=3, **arguments)
    plain = tfgen.create("gated_pixel_cnn", **arguments)
    conditional.fit(images, labels, batch_size=64, epochs=12, verbose=0)
    plain.fit(images, batch_size=64, epochs=12, verbose=0)
    images, labels = stripes(500, rng)
    by_class = np.stack([conditional.log_prob(images, np.full(500, k)) for k in range(3)], 1)
    assert (by_class.argmax(1) == labels).mean() > 0.95
    right = -by_class[np.arange(500), labels].mean()
    wrong = -by_class[np.arange(500), (labels + 1) % 3].mean()
    alone = -plain.log_prob(images).numpy().mean()
    # I(x; label) is between 0 and ln 3.
    assert right - 0.05 <= alone <= right + np.log(3.0) + 0.05
    assert wrong > right
