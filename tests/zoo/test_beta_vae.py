"""Proofs of beta_vae."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.distributions import GaussianLikelihood
from tfgen.specs import Points
from tfgen.zoo.variational.vae import VAE

# Data whose covariance has the eigenvalues 2, 1 and 0.3.
BASIS = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
NOISE = 0.3  # variance


def data() -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(1000, 3))
    x -= x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, bias=True))).T
    return (x * np.sqrt([2.0, 1.0, NOISE]) @ BASIS.T).astype(np.float32)


def trained(steps: int = 3000, **arguments):
    keras.utils.set_random_seed(0)
    likelihood = GaussianLikelihood(scale=math.sqrt(NOISE), learned=False)
    model = tfgen.create(
        "beta_vae", example=Points(3), latent_size=2, hidden=(), likelihood=likelihood, seed=0, **arguments
    )
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, steps)), steps_per_execution=50)
    model.fit(tf.data.Dataset.from_tensors(data()).repeat(steps), shuffle=False, verbose=0)
    return model


@pytest.mark.slow
def test_each_direction_has_the_rate_that_a_linear_model_is_known_to_give_it():
    figures = []
    for beta in (1.0, 4.0):
        model = trained(beta=beta)
        # A direction of variance l is used if l > beta s^2, and then costs log(l / (beta s^2)) / 2.
        expected = sorted(max(0.0, 0.5 * math.log(variance / (beta * NOISE))) for variance in (2.0, 1.0))
        q = model.posterior(data())
        mean, scale = q.mean().numpy(), q.stddev().numpy()
        rates = np.sort(0.5 * (mean**2 + scale**2 - 1.0 - 2.0 * np.log(scale)).mean(0))
        np.testing.assert_allclose(rates, expected, atol=5e-3)
        figures.append(model.evaluate(data(), verbose=0, return_dict=True))
        assert figures[-1]["active_units"] == sum(rate > 0 for rate in expected)
        assert figures[-1]["rate"] == pytest.approx(beta * figures[-1]["kl"], rel=1e-4, abs=1e-4)
    assert [row["kl"] for row in figures] == sorted((row["kl"] for row in figures), reverse=True)
    assert [row["distortion"] for row in figures] == sorted(row["distortion"] for row in figures)


@pytest.mark.slow
def test_the_rate_is_held_at_the_capacity():
    figures = trained(capacity=0.7, warm_up=1500, gain=100.0).evaluate(data(), verbose=0, return_dict=True)
    assert figures["kl"] == pytest.approx(0.7, abs=0.1)


def test_with_beta_1_it_is_vae_bit_for_bit():
    sizes = {"example": Points(3), "latent_size": 2, "hidden": (5,), "seed": 3}
    models = [VAE(**sizes), tfgen.create("beta_vae", beta=1.0, **sizes)]
    models[1].set_weights(models[0].get_weights())
    for model in models:
        model.compile("adam")
    histories = [model.fit(data(), batch_size=100, epochs=2, verbose=0, shuffle=False).history for model in models]
    assert histories[0] == histories[1]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
