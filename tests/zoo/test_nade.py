"""Proofs of nade, in one order and in all."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.zoo.autoregressive_proofs import (
    dependencies,
    enumerate_images,
    naive_sample,
    randomize,
    total_probability,
)
from tests.zoo.flat_proofs import fit_table, random_table, total_variation, walk
from tfgen.errors import InputError
from tfgen.layers import RunningHidden, running_hidden


def small(shape, hidden=7, **arguments):
    model = tfgen.create("nade", image_shape=shape, levels=2, hidden=hidden, **arguments)
    randomize(model, 1.0)
    return model


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def layer_and_inputs(sees_mask, size=9, units=5):
    rng = np.random.default_rng(0)
    layer = RunningHidden(units, sees_mask=sees_mask)
    layer.build((None, size))
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer, rng.integers(0, 2, (4, size)).astype(np.float64), rng.permutation(size).astype(np.int32)


def by_cumulative_sum(layer, x, order):
    """Computes equations 3 and 4 for all pixels at once, by an exclusive cumulative sum."""
    weights = layer.step_weights()
    shares = x[:, :, None] * weights["W"] + (weights["U"] if layer.sees_mask else 0.0)
    sums = weights["c"] + tf.cumsum(tf.gather(shares, order, axis=1), 1, exclusive=True)
    y = tf.reduce_sum(tf.sigmoid(sums) * tf.gather(weights["V"], order), -1) + tf.gather(weights["b"], order)
    return tf.gather(y, np.argsort(order), axis=1)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("sees_mask", [False, True])
def test_the_walk_and_its_gradient_are_those_of_a_cumulative_sum(float64, monkeypatch, sees_mask, compiled):
    monkeypatch.setattr(running_hidden, "_COMPILED_FROM", 1 if compiled else 10**6)
    layer, x, order = layer_and_inputs(sees_mask)
    dy = np.random.default_rng(1).normal(size=x.shape)
    answers = []
    for compute in (layer, lambda x, order: by_cumulative_sum(layer, x, order)):
        with tf.GradientTape() as tape:
            y = compute(tf.constant(x), tf.constant(order))
            loss = tf.reduce_sum(y * dy)
        gradients = tape.gradient(loss, [weight.value for weight in layer.trainable_weights])
        answers.append([y, *map(tf.convert_to_tensor, gradients)])
    assert len(answers[0]) == 5 + sees_mask  # the outputs, and a gradient for each weight
    for own, other in zip(*answers, strict=True):
        np.testing.assert_allclose(own, other, atol=1e-10)


def test_a_walk_over_known_inputs_answers_as_the_sum_over_them(float64):
    layer, x, order = layer_and_inputs(sees_mask=True)
    walked = layer(tf.constant(x), tf.constant(order)).numpy()
    for cut in range(9):
        known = np.zeros_like(x)
        known[:, order[:cut]] = 1.0
        given = layer.given(tf.constant(x), tf.constant(known)).numpy()
        np.testing.assert_allclose(given[:, order[cut]], walked[:, order[cut]], atol=1e-12)


@pytest.mark.parametrize(
    "arguments", [{}, {"order": [5, 2, 0, 3, 1, 4]}, {"order_agnostic": True}, {"order_agnostic": True, "orders": 3}]
)
@pytest.mark.parametrize("channels", [1, 2])
def test_probabilities_of_all_pictures_sum_to_one(float64, channels, arguments):
    assert total_probability(small((2, 3, channels), **arguments)) == pytest.approx(1.0, abs=1e-6)


def test_a_pixel_depends_on_all_pixels_before_it_and_on_no_other(float64):
    before = np.tri(12, k=-1, dtype=bool)
    np.testing.assert_array_equal(dependencies(small((3, 4, 1))), before)
    np.testing.assert_array_equal(dependencies(small((2, 2, 3))), before)
    order = np.random.default_rng(0).permutation(12)
    for arguments in ({}, {"order_agnostic": True}):
        found = dependencies(small((3, 4, 1), order=order.tolist(), **arguments))
        np.testing.assert_array_equal(found[np.ix_(order, order)], before)


def test_a_table_of_all_pictures_is_learned():
    model = tfgen.create("nade", image_shape=(2, 3, 1), levels=2, hidden=64)
    assert 0.0 <= fit_table(model, random_table(64), steps=1000, rate=0.05) < 0.01


@pytest.mark.parametrize("arguments", [{}, {"order_agnostic": True, "orders": 3}])
def test_samples_have_the_probabilities_that_the_model_gives_them(arguments):
    assert total_variation(small((2, 3, 1), **arguments)) < 0.03


@pytest.mark.parametrize("shape", [(5, 7, 1), (8, 8, 1), (3, 4, 3)])
def test_the_cached_sampler_draws_what_the_naive_one_draws(float64, shape):
    model = small(shape)
    rng = np.random.default_rng(1)
    noise, known = rng.random((3, *model.noise_shape)), rng.integers(0, 2, (3, *shape))
    mask = rng.random((3, *shape[:2])) < 0.5
    cached = model._fill(tf.constant(noise)).numpy()
    np.testing.assert_array_equal(cached, naive_sample(model, noise))
    assert 0.1 < cached.mean() < 0.9
    completed = model._fill(tf.constant(noise), tf.constant(known, tf.int32), tf.constant(mask)).numpy()
    np.testing.assert_array_equal(completed, naive_sample(model, noise, known=known, mask=mask))


@pytest.mark.parametrize("arguments", [{"orders": 4, "order_agnostic": True}, {"order_agnostic": True}, {}])
@pytest.mark.parametrize("shape", [(5, 7, 1), (8, 8, 1), (2, 3, 3)])
def test_pictures_are_drawn_in_orders_of_their_own_the_known_pixels_first(float64, shape, arguments):
    order = np.random.default_rng(2).permutation(shape[0] * shape[1]).tolist()
    model = small(shape, order=order, **arguments)
    weights = {name: weight.numpy() for name, weight in model.layer.step_weights().items()}

    def logit(x, seen, index, member):
        sums = weights["c"] + x[seen] @ weights["W"][seen]
        sums = sums + weights["U"][seen].sum(0) if model.order_agnostic else sums
        return weights["b"][index] + weights["V"][index] @ sigmoid(sums)

    rng = np.random.default_rng(1)
    noise, known = rng.random((6, *model.noise_shape)), rng.integers(0, 2, (6, *shape))
    mask = rng.random((6, *shape[:2])) < 0.5
    np.testing.assert_array_equal(model._fill(tf.constant(noise)), walk(model, logit, noise))
    completed = model._fill(tf.constant(noise), tf.constant(known, tf.int32), tf.constant(mask)).numpy()
    np.testing.assert_array_equal(completed, walk(model, logit, noise, known, mask))
    np.testing.assert_array_equal(completed[mask], known[mask])


def test_an_order_agnostic_completion_answers_to_pixels_below():
    known = np.zeros((2, 2, 3, 1), np.uint8)
    known[1, 1] = 1
    mask = np.zeros((2, 2, 3))
    mask[:, 1] = 1.0
    counts = []
    for order_agnostic in (False, True):
        model = small((2, 3, 1), order_agnostic=order_agnostic)
        first, second = (
            model.complete(np.repeat(known[i : i + 1], 500, 0), np.repeat(mask[:1], 500, 0), seed=1) for i in (0, 1)
        )
        counts.append(np.abs(np.mean(first, 0) - np.mean(second, 0))[0].max())
    assert counts[0] == 0.0
    assert counts[1] > 0.1


def test_the_order_agnostic_loss_is_on_average_the_nats_in_a_random_order(float64):
    model = small((2, 2, 1), order_agnostic=True)
    x = np.array([1, 0, 1, 1], np.uint8).reshape(1, 2, 2, 1)
    flat = x.reshape(1, 4).astype(float)
    orders = [np.array(order, np.int32) for order in itertools.permutations(range(4))]
    nats = [
        np.sum(np.logaddexp(0.0, (1.0 - 2.0 * flat) * model.layer(tf.constant(flat), tf.constant(order))))
        for order in orders
    ]
    losses = model.order_agnostic_loss(tf.constant(np.repeat(x, 20_000, 0)), [1, 2], [3, 4]).numpy()
    assert abs(losses.mean() - np.mean(nats)) < 4.0 * losses.std() / np.sqrt(20_000)
    # Not vacuous: the weight of a cut matters.
    assert losses.std() > 0.1


def test_every_number_of_known_pixels_is_trained_equally_often():
    # With all logits 0 a picture costs D / (D - d + 1) * (D - d + 1) ln 2 = D ln 2, whatever is drawn.
    model = small((2, 3, 2), order_agnostic=True)
    for weight in model.layer.trainable_weights:
        weight.assign(tf.zeros_like(weight))
    x = tf.constant(np.random.default_rng(0).integers(0, 2, (50, 2, 3, 2)), tf.uint8)
    np.testing.assert_allclose(model.order_agnostic_loss(x, [1, 2], [3, 4]), 12 * np.log(2.0), rtol=1e-5)


def test_probabilities_of_orders_are_averaged_not_their_logarithms(float64):
    model = small((2, 3, 1), order_agnostic=True, orders=3)
    images = enumerate_images(model.example)
    each = np.stack([model.distribution(images, member=m).log_prob(images.astype(np.int32)) for m in range(3)])
    log_prob = model.log_prob(images).numpy()
    np.testing.assert_allclose(log_prob, np.log(np.exp(each).mean(0)), atol=1e-12)
    assert np.all(log_prob >= each.mean(0) - 1e-12)
    assert np.ptp(each, 0).max() > 0.1


def test_an_order_agnostic_model_learns_a_table_in_all_of_its_orders():
    # Trained as a user trains it, on drawn orders; measured in fixed ones.
    table = random_table(64, seed=3)
    model = tfgen.create("nade", image_shape=(2, 3, 1), levels=2, hidden=64, order_agnostic=True, orders=4)
    images = enumerate_images(model.example)
    drawn = images[np.random.default_rng(0).choice(64, 4000, p=table)]
    model.compile("adam")
    before = np.sum(table * (np.log(table) - model.log_prob(images).numpy()))
    model.fit(drawn, batch_size=50, epochs=8, verbose=0)
    after = np.sum(table * (np.log(table) - model.log_prob(images).numpy()))
    assert 0.0 < after < 0.4 * before


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="needs order_agnostic=True"):
        tfgen.create("nade", image_shape=(2, 3, 1), levels=2, orders=2)
    with pytest.raises(InputError, match="not a permutation of the 6 pixels"):
        tfgen.create("nade", image_shape=(2, 3, 1), levels=2, order=[0, 1, 2, 3, 4, 4])
    with pytest.raises(InputError, match="load them with levels=2"):
        tfgen.create("nade", image_shape=(8, 8, 1), levels=17)
    with pytest.raises(InputError, match="at least 1"):
        tfgen.create("nade", image_shape=(2, 3, 1), levels=2, orders=0)
