"""Layers of codes, beside sums over a grid and a Gaussian model whose likelihood is known."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import Hierarchy, merge

tfd = tfp.distributions


def normal(mean, variance):
    mean = tf.convert_to_tensor(mean)
    return tfd.MultivariateNormalDiag(mean, tf.fill(tf.shape(mean), tf.cast(variance, mean.dtype) ** 0.5))


def test_a_merged_gaussian_is_the_normalised_product():
    one, other = normal([[1.0, -2.0]], 0.5), tfd.MultivariateNormalDiag([[0.2, 1.0]], [[2.0, 0.3]])
    grid = np.linspace(-9.0, 9.0, 2001)
    for latent in range(2):
        densities = [
            scipy.stats.norm.pdf(grid, float(each.mean()[0, latent]), float(each.stddev()[0, latent]))
            for each in (one, other)
        ]
        product = densities[0] * densities[1]
        product /= product.sum() * (grid[1] - grid[0])
        merged = merge(one, other)
        found = scipy.stats.norm.pdf(grid, float(merged.mean()[0, latent]), float(merged.stddev()[0, latent]))
        np.testing.assert_allclose(found, product, atol=1e-6)


# x = a z_1 + noise, z_1 = b z_2 + noise, with these variances of the noises.
A, B, OF_X, OF_Z = 1.5, -0.8, 0.3, 0.6


def exact(x):
    """Returns the prior of the two layers, and the posterior that the right messages make by merging."""
    x = tf.constant(x, tf.float64)
    prior = Hierarchy(normal(tf.zeros(1, tf.float64), 1.0), [lambda z: normal(B * z, OF_Z)], (1, 1))
    variance = A**2 * OF_Z + OF_X  # of x given z_2
    precision = 1.0 + (A * B) ** 2 / variance
    top = normal(A * B * x / variance / precision, 1.0 / precision)
    message = normal(x / A, OF_X / A**2)
    return prior, Hierarchy(top, [lambda z: merge(message, normal(B * z, OF_Z))], (1, 1))


def test_with_exact_messages_every_draw_has_the_weight_of_the_likelihood():
    x = np.array([[0.7], [-2.0], [3.0]])
    prior, posterior = exact(x)
    z, log_q = posterior.experimental_sample_and_log_prob(50, seed=(0, 1))
    assert z.shape == (50, 3, 2)
    log_x = normal(A * z[..., :1], OF_X).log_prob(x)
    log_w = (log_x + prior.log_prob(z) - log_q).numpy()
    likelihood = scipy.stats.norm.logpdf(x[:, 0], 0.0, np.sqrt(A**2 * (B**2 + OF_Z) + OF_X))
    np.testing.assert_allclose(log_w, np.tile(likelihood, (50, 1)), atol=1e-10)


def test_draws_of_layers_have_the_moments_of_the_whole():
    prior, _ = exact([[0.0]])
    z = prior.sample(200_000, seed=(1, 2)).numpy()
    expected = [[B**2 + OF_Z, B], [B, 1.0]]
    np.testing.assert_allclose(np.cov(z.T), expected, atol=0.02)
    np.testing.assert_allclose(
        prior.log_prob(z[:5]), scipy.stats.multivariate_normal.logpdf(z[:5], np.zeros(2), expected), atol=1e-9
    )
    assert prior.event_shape == (2,)
    assert prior.batch_shape == ()


def test_the_code_that_stands_for_layers_is_the_way_down_over_means():
    mean, scale = exact([[0.7], [2.0]])[1].centre()
    top = float(exact([[0.7]])[1].given(tf.zeros((1, 2), tf.float64))[1].mean()[0, 0])
    below = merge(normal(tf.constant([[0.7 / A]]), OF_X / A**2), normal(tf.constant([[B * top]]), OF_Z))
    assert float(mean[0, 0]) == pytest.approx(float(below.mean()[0, 0]), rel=1e-5)
    assert float(mean[0, 1]) == pytest.approx(top)
    assert float(scale[0, 0]) == pytest.approx(float(below.stddev()[0, 0]), rel=1e-5)
