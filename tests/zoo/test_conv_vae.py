"""Proofs of conv_vae."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from sklearn.datasets import load_digits

import tfgen
from tfgen.models import RateWeight
from tfgen.specs import Images


def digits() -> tuple[np.ndarray, np.ndarray]:
    image = load_digits().images.astype(np.uint8)[..., None]
    image = image[np.random.default_rng(0).permutation(len(image))]
    return image[:1437], image[1437:]


@pytest.mark.slow
def test_on_digits_its_bound_beats_pixels_that_know_nothing_of_each_other():
    train, test = digits()
    keras.utils.set_random_seed(0)
    model = tfgen.create("conv_vae", example=Images((8, 8, 1), 17), latent_size=10, width=32, seed=0)
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, 60 * 22)
    model.compile(keras.optimizers.Adam(schedule), steps_per_execution=20)
    model.fit(train, batch_size=64, epochs=60, verbose=0)
    # The best factorised model: the frequency of each level of each pixel, with one more of each.
    counts = np.stack([(train == level).sum(0) for level in range(17)], -1) + 1.0
    share = counts / counts.sum(-1, keepdims=True)
    factorised = -np.log(np.take_along_axis(share[None], test[..., None].astype(int), -1)).sum((1, 2, 3, 4)).mean()
    figures = model.evaluate(test, importance_samples=64, verbose=0, return_dict=True)
    assert figures["nats"] < -figures["elbo"] < 0.85 * factorised
    assert figures["nats"] < 0.8 * factorised


@pytest.mark.slow
def test_eight_pictures_can_be_learned_by_heart_and_their_codes_tell_them_apart():
    x = digits()[0][:8]
    keras.utils.set_random_seed(0)
    # The bound itself would rather be vague than pay for eight times 64 pixels.
    free = RateWeight(0.01)
    model = tfgen.create("conv_vae", example=Images((8, 8, 1), 17), latent_size=8, width=32, rate=free, seed=0)
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, 1000)
    model.compile(keras.optimizers.Adam(schedule), steps_per_execution=50)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(1000), shuffle=False, verbose=0)
    error = (model.reconstruct(x).numpy().astype(float) - x) / 16.0
    assert (error**2).mean() < 1e-3
    assert model.evaluate(x, verbose=0, return_dict=True)["kl"] >= np.log(8.0) - 0.1


def test_the_bound_is_that_of_the_stated_distributions():
    model = tfgen.create("conv_vae", example=Images((5, 6, 2), 4), latent_size=3, width=4)
    x = np.random.default_rng(0).integers(0, 4, (3, 5, 6, 2)).astype(np.uint8)
    q = model.posterior(x)
    mean, scale = q.mean().numpy().astype(float), q.stddev().numpy().astype(float)
    rate, _ = model.rate_distortion({"image": x})
    np.testing.assert_allclose(rate, 0.5 * (mean**2 + scale**2 - 1 - 2 * np.log(scale)).sum(-1), rtol=1e-4)
    z = np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)
    loc, log_scale = np.split(model.decoder(z).numpy().astype(float), 2, -1)
    log_scale = -7.0 + np.log1p(np.exp(log_scale + 7.0))
    # Levels lie in [-1, 1], and the outer ones have the tails.
    middle, half = 2.0 * x / 3.0 - 1.0, 1.0 / 3.0
    above = np.where(x == 3, 1.0, scipy.stats.logistic.cdf((middle + half - loc) / np.exp(log_scale)))
    below = np.where(x == 0, 0.0, scipy.stats.logistic.cdf((middle - half - loc) / np.exp(log_scale)))
    expected = np.log(above - below).sum((1, 2, 3))
    np.testing.assert_allclose(model.likelihood(z).log_prob(x.astype(np.float32)), expected, rtol=1e-4)


def test_the_levels_of_a_pixel_have_probability_1_wherever_the_decoder_puts_them():
    model = tfgen.create("conv_vae", example=Images((1, 2, 1), 256), latent_size=2, width=4)
    for loc, log_scale in ((0.0, -3.0), (-40.0, 0.0), (1.0, 4.0), (0.3, -20.0)):
        parameters = tf.broadcast_to(tf.constant([loc, log_scale]), (256, 1, 2, 2))
        x = np.zeros((256, 1, 2, 1), np.float32)
        x[:, 0, 0, 0] = np.arange(256)
        log_prob = model.p_x(parameters, model.example).distribution.log_prob(x)[:, 0, 0, 0]
        assert np.exp(log_prob.numpy().astype(float)).sum() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (9, 7, 3)])
def test_what_goes_in_comes_out_at_its_size(shape):
    model = tfgen.create("conv_vae", example=Images(shape), latent_size=2, width=4)
    x = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype(np.uint8)
    assert model.reconstruct(x).shape == x.shape
    assert model.sample(3).shape == (3, *shape)
