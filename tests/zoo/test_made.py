"""Proofs of made, with one mask and with ensembles of them."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

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

ALL = {"masks": 3, "order_agnostic": True, "direct": True, "sees_mask": True}


def small(shape, hidden=(12, 40), scale=0.7, **arguments):
    model = tfgen.create("made", image_shape=shape, levels=2, hidden=hidden, **arguments)
    randomize(model, scale)
    return model


def masks_of(model, places, member):
    """Returns the masks of equations 12 and 13 for given places of the inputs, each `(outputs, inputs)`."""
    degrees = [places, *(table[member] for table in model._degrees)]
    hidden = [above[:, None] >= below for below, above in itertools.pairwise(degrees)]
    return [*hidden, places[:, None] > degrees[-1]], places[:, None] > places


def reference(model, x, places, member):
    """Computes MADE's logits in NumPy, as the paper writes them."""
    *hidden, output = masks_of(model, places, member)[0]

    def affine(layer, mask, x):
        w = layer.kernel.numpy().T
        u = (layer.mask_kernel.numpy().T * mask).sum(1) if layer.sees_mask else 0.0
        return x @ (w * mask).T + u + (layer.bias.numpy() if layer.use_bias else 0.0)

    h = x
    for layer, mask in zip(model.hidden_layers, hidden, strict=True):
        h = np.maximum(affine(layer, mask, h), 0.0)
    y = affine(model.output_layer, output, h)
    return y if model.direct_layer is None else y + affine(model.direct_layer, masks_of(model, places, member)[1], x)


@pytest.mark.parametrize("member", [0, 1, 2])
@pytest.mark.parametrize("shape", [(5, 7, 1), (3, 4, 3)])
def test_logits_are_those_of_the_papers_equations(float64, shape, member):
    model = small(shape, order=np.random.default_rng(0).permutation(shape[0] * shape[1]).tolist(), **ALL)
    x = np.random.default_rng(1).integers(0, 2, (4, model.example.dimensions)).astype(float)
    places = np.argsort(model._walks[member]) + 1
    np.testing.assert_allclose(model.logits(tf.constant(x), member), reference(model, x, places, member), atol=1e-10)


@pytest.mark.parametrize(
    "arguments", [{}, {"hidden": (30,), "direct": True}, {"masks": 3}, {"order": [5, 2, 0, 3, 1, 4]}, ALL]
)
@pytest.mark.parametrize("channels", [1, 2])
def test_probabilities_of_all_pictures_sum_to_one(float64, channels, arguments):
    assert total_probability(small((2, 3, channels), **arguments)) == pytest.approx(1.0, abs=1e-6)


def test_probabilities_sum_to_one_for_each_mask(float64):
    model = small((2, 5, 1), **ALL)
    images = enumerate_images(model.example)
    for member in range(3):
        log_prob = model.distribution(images, member=member).log_prob(images.astype(np.int32))
        assert np.exp(log_prob).sum() == pytest.approx(1.0, abs=1e-10)


@pytest.mark.parametrize("member", [0, 1, 2])
@pytest.mark.parametrize("hidden", [(4,), (9, 5), (40, 30, 20)])
def test_paths_through_the_masks_are_the_dependencies_and_lead_forward(float64, hidden, member):
    model = small((3, 4, 1), hidden, masks=3, order_agnostic=True)
    for network in model.networks():
        for weight in network.trainable_weights:  # all units on, and no two paths cancel
            weight.assign(np.random.default_rng(0).uniform(0.1, 1.0, weight.shape))
    order = model._orders[member]
    paths = np.eye(12)
    for mask in masks_of(model, np.argsort(order) + 1, member)[0]:
        paths = mask @ paths
    assert not np.triu(paths[np.ix_(order, order)]).any()
    x = tf.Variable(np.random.default_rng(1).integers(0, 2, (1, 12)).astype(float))
    with tf.GradientTape() as tape:
        y = model.logits(x, member)
    np.testing.assert_array_equal(tape.jacobian(y, x)[0, :, 0].numpy() != 0.0, paths > 0)
    if min(hidden) >= 11:  # enough units for every degree: all that may be connected is
        assert np.count_nonzero(paths) == 12 * 11 // 2


def test_no_pixel_depends_on_itself_or_on_later_ones(float64):
    for arguments in ({}, {"direct": True, "sees_mask": True}):
        found = dependencies(small((4, 5, 1), hidden=(60, 60), **arguments))
        assert not np.triu(found).any()
        assert found.sum() > 0.9 * 190


def test_every_layer_has_every_degree_that_it_has_units_for():
    model = small((3, 4, 1), hidden=(11, 30, 4), masks=3)
    for units, table in zip((11, 30, 4), model._degrees, strict=True):
        assert table.shape == (3, units)
        for degrees in table:
            assert degrees.min() == 1
            assert degrees.max() == 11
            np.testing.assert_array_equal(np.sort(degrees), np.sort(table[0]))
        if units >= 11:
            assert set(table[0]) == set(range(1, 12))
        assert units == 4 or not np.array_equal(table[0], table[1])


def test_jacobian_has_the_pattern_of_tfps_autoregressive_network(float64):
    order = np.random.default_rng(3).permutation(6)
    model = small((2, 3, 1), hidden=(20, 20), order=order.tolist())
    theirs = tfp.bijectors.AutoregressiveNetwork(
        params=1, event_shape=6, hidden_units=[20, 20], activation="sigmoid", input_order=np.argsort(order) + 1,
        kernel_initializer="random_normal",
    )  # fmt: skip
    x = tf.Variable(np.random.default_rng(0).random((1, 6)).astype(np.float32))
    with tf.GradientTape() as tape:
        y = theirs(x)[..., 0]
    np.testing.assert_array_equal(dependencies(model), tape.jacobian(y, x)[0, :, 0].numpy() != 0.0)


@pytest.mark.parametrize("hidden", [(64,), (64, 64)])
def test_a_table_of_all_pictures_is_learned(hidden):
    model = tfgen.create("made", image_shape=(2, 3, 1), levels=2, hidden=hidden)
    assert 0.0 <= fit_table(model, random_table(64)) < 0.005


@pytest.mark.parametrize("arguments", [{}, ALL])
def test_samples_have_the_probabilities_that_the_model_gives_them(arguments):
    assert total_variation(small((2, 3, 1), **arguments)) < 0.03


@pytest.mark.parametrize("arguments", [{}, {"hidden": (20,), "direct": True, "sees_mask": True}, {"hidden": (90, 7)}])
@pytest.mark.parametrize("shape", [(5, 7, 1), (8, 8, 1), (3, 4, 3)])
def test_the_cached_sampler_draws_what_the_naive_one_draws(float64, shape, arguments):
    model = small(shape, **arguments)
    rng = np.random.default_rng(1)
    noise, known = rng.random((3, *model.noise_shape)), rng.integers(0, 2, (3, *shape))
    mask = rng.random((3, *shape[:2])) < 0.5
    cached = model._fill(tf.constant(noise)).numpy()
    np.testing.assert_array_equal(cached, naive_sample(model, noise))
    assert 0.1 < cached.mean() < 0.9
    completed = model._fill(tf.constant(noise), tf.constant(known, tf.int32), tf.constant(mask)).numpy()
    np.testing.assert_array_equal(completed, naive_sample(model, noise, known=known, mask=mask))


@pytest.mark.parametrize("arguments", [ALL, {"masks": 3}, {}])
@pytest.mark.parametrize("shape", [(5, 7, 1), (8, 8, 1), (2, 3, 3)])
def test_pictures_are_drawn_with_masks_and_orders_of_their_own(float64, shape, arguments):
    order = np.random.default_rng(2).permutation(shape[0] * shape[1]).tolist()
    model = small(shape, order=order, scale=0.4, **arguments)
    size = model.example.dimensions

    def logit(x, seen, index, member):
        # The places behind `index` do not matter to it, so any will do.
        rest = [at for at in range(size) if at not in seen and at != index]
        return reference(model, x * 1.0, np.argsort([*seen, index, *rest]) + 1, member)[index]

    rng = np.random.default_rng(1)
    noise, known = rng.random((6, *model.noise_shape)), rng.integers(0, 2, (6, *shape))
    mask = rng.random((6, *shape[:2])) < 0.5
    np.testing.assert_array_equal(model._fill(tf.constant(noise)), walk(model, logit, noise))
    completed = model._fill(tf.constant(noise), tf.constant(known, tf.int32), tf.constant(mask)).numpy()
    np.testing.assert_array_equal(completed, walk(model, logit, noise, known, mask))
    np.testing.assert_array_equal(completed[mask], known[mask])


def test_a_step_computes_the_units_of_its_degree_so_that_all_are_computed_once():
    model = small((3, 4, 1), hidden=(30, 7), masks=3)
    for units, degrees, turns in zip((30, 7), model._degrees, model._turns, strict=True):
        for mask in range(3):
            for position, found in enumerate(turns[:, mask]):
                np.testing.assert_array_equal(degrees[mask, found[found < units]], position + 1)
            np.testing.assert_array_equal(np.sort(turns[:, mask][turns[:, mask] < units]), np.arange(units))


def test_probabilities_of_masks_are_averaged_not_their_logarithms(float64):
    model = small((2, 4, 1), **ALL)
    images = enumerate_images(model.example)
    each = np.stack([model.distribution(images, member=m).log_prob(images.astype(np.int32)) for m in range(3)])
    log_prob = model.log_prob(images).numpy()
    np.testing.assert_allclose(log_prob, np.log(np.exp(each).mean(0)), atol=1e-10)
    assert np.all(log_prob >= each.mean(0) - 1e-12)
    assert np.ptp(each, 0).max() > 0.1


def test_training_goes_through_the_masks_in_turn_without_being_traced_anew(float64):
    model = small((2, 4, 1), **ALL)
    images = tf.constant(np.random.default_rng(0).integers(0, 2, (5, 2, 4, 1)), tf.uint8)
    with model._step_of(0):
        nll = tf.function(lambda: model.terms({"image": images})["nll"])
        for step in range(5):
            model._steps.assign(step)
            members = model.distribution(images, member=step % 3).log_prob(tf.cast(images, tf.int32))
            assert nll().numpy() == pytest.approx(-np.mean(members), rel=1e-9)
    assert nll.experimental_get_tracing_count() == 1


def test_the_first_pixel_is_a_pure_bias(float64):
    model = small((2, 3, 1), order=[4, 1, 0, 2, 3, 5])
    logits = model.conditionals(enumerate_images(model.example)).numpy().reshape(64, 6)
    np.testing.assert_allclose(logits[:, 4], model.output_layer.bias.numpy()[4], atol=1e-12)


def test_a_picture_of_one_pixel_has_its_frequency():
    model = tfgen.create("made", image_shape=(1, 1, 1), levels=2, hidden=(3,))
    assert fit_table(model, np.array([0.3, 0.7])) < 1e-4


def test_a_copy_from_the_configuration_has_the_same_masks_and_orders():
    model = small((3, 4, 1), **ALL)
    copy = type(model).from_config(model.get_config())
    np.testing.assert_array_equal(copy._orders, model._orders)
    for own, other in zip(copy._degrees, model._degrees, strict=True):
        np.testing.assert_array_equal(own, other)


def test_pictures_that_are_not_binary_are_refused():
    with pytest.raises(InputError, match="load them with levels=2"):
        tfgen.create("made", image_shape=(8, 8, 1), levels=17)
