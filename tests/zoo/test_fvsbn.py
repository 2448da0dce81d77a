"""Proofs of fvsbn."""

import keras
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
from tests.zoo.flat_proofs import fit_table, random_table, total_variation
from tfgen.errors import InputError


def small(shape, scale=1.0, seed=0):
    model = tfgen.create("fvsbn", image_shape=shape, levels=2)
    randomize(model, scale, seed)
    return model


@pytest.mark.parametrize("shape", [(2, 5, 1), (1, 3, 3), (1, 1, 1)])
def test_probabilities_of_all_pictures_sum_to_one(float64, shape):
    assert total_probability(small(shape)) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("shape", [(3, 4, 1), (2, 2, 3)])
def test_a_pixel_depends_on_all_pixels_before_it_and_on_no_other(float64, shape):
    np.testing.assert_array_equal(dependencies(small(shape)), np.tri(12, k=-1, dtype=bool))


def test_the_gradient_of_the_likelihood_is_the_error_times_the_earlier_pixels(float64):
    model = small((2, 3, 1))
    x = np.random.default_rng(0).integers(0, 2, (1, 2, 3, 1)).astype(np.uint8)
    with tf.GradientTape() as tape:
        log_prob = model.distribution(x).log_prob(tf.cast(x, tf.int32))
    kernel, bias = tape.gradient(log_prob, [model.regressions.kernel.value, model.regressions.bias.value])
    flat = x.reshape(6).astype(float)
    w = np.triu(model.regressions.kernel.numpy(), 1)  # from input to output
    error = flat - 1.0 / (1.0 + np.exp(-(flat @ w + model.regressions.bias.numpy())))
    np.testing.assert_allclose(bias, error, atol=1e-12)
    np.testing.assert_allclose(kernel, np.triu(np.outer(flat, error), 1), atol=1e-12)


def test_the_weights_that_drew_50000_strings_are_recovered():
    truth = small((1, 6, 1), scale=0.7)
    assert np.abs(truth.regressions.kernel.numpy()).max() <= 2.0
    images = enumerate_images(truth.example).reshape(-1, 6)
    p = np.exp(truth.log_prob(images.reshape(-1, 1, 6, 1)).numpy().astype(np.float64))
    drawn = np.random.default_rng(1).multinomial(50_000, p / p.sum()) / 50_000
    fitted = small((1, 6, 1), scale=0.0)
    fit_table(fitted, drawn)
    weights = [np.triu(model.regressions.kernel.numpy(), 1) for model in (truth, fitted)]
    np.testing.assert_allclose(*weights, atol=0.15)
    q = fitted.log_prob(images.reshape(-1, 1, 6, 1)).numpy()
    assert 0.0 <= np.sum(p * (np.log(p) - q)) < 0.002


def test_the_likelihood_is_concave_so_that_two_starts_end_alike_and_short_of_a_table_beyond_the_family():
    table = random_table(64)
    first, second = (fit_table(small((2, 3, 1), seed=seed), table, steps=2000) for seed in (1, 2))
    assert abs(first - second) < 1e-4
    assert first > 0.05


def test_an_exclusive_or_can_not_be_learned():
    images = enumerate_images(tfgen.Images((1, 3, 1), 2)).reshape(-1, 3)
    table = np.where(images[:, 2] == images[:, 0] ^ images[:, 1], 0.25, 1e-12)
    # Two free pixels, and a third that stays a toss-up: 3 ln 2 nats, ln 2 above the entropy.
    assert fit_table(small((1, 3, 1)), table) == pytest.approx(np.log(2.0), abs=1e-4)


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
    np.testing.assert_array_equal(completed[mask], known[mask])


def test_samples_have_the_probabilities_that_the_model_gives_them():
    assert total_variation(small((2, 3, 1))) < 0.03


def test_training_starts_from_the_frequencies_of_the_first_batch_and_only_once():
    images = np.random.default_rng(0).integers(0, 2, (20, 2, 3, 1)).astype(np.uint8)
    images[:, 0, 0] = 0
    model = tfgen.create("fvsbn", image_shape=(2, 3, 1), levels=2)
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(images, batch_size=20, epochs=1, verbose=0)
    on = images.reshape(20, 6).sum(0) + 0.5
    np.testing.assert_allclose(model.regressions.bias.numpy(), np.log(on / (21.0 - on)), rtol=1e-5)
    model.fit(1 - images, batch_size=20, epochs=1, verbose=0)
    np.testing.assert_allclose(model.regressions.bias.numpy(), np.log(on / (21.0 - on)), rtol=1e-5)


def test_weight_decay_holds_weights_but_not_biases():
    model = small((2, 3, 1))
    x = tf.constant(np.random.default_rng(0).integers(0, 2, (4, 2, 3, 1)), tf.uint8)
    terms = {name: float(term) for name, term in model.terms({"image": x}).items()}
    assert float(terms["decay"]) == pytest.approx(1e-4 * np.square(model.regressions.kernel.numpy()).sum(), rel=1e-5)
    assert float(terms["nll"]) == pytest.approx(-np.mean(model.log_prob(x.numpy())), rel=1e-5)


def test_pictures_that_are_not_binary_are_refused():
    with pytest.raises(InputError, match=r"17 levels; load them with levels=2"):
        tfgen.create("fvsbn", image_shape=(8, 8, 1), levels=17)
