"""Proofs of full_covariance_vae."""

import numpy as np
import pytest

import tfgen
from tests.zoo.latent_proofs import CORRELATION, LOST_BY_DIAGONAL, W, correlated, lost
from tfgen.specs import Points


@pytest.mark.slow
def test_it_finds_a_correlated_posterior_of_which_a_diagonal_one_loses_what_theory_says():
    model, x = correlated("vae")
    assert lost(model, x) == pytest.approx(LOST_BY_DIAGONAL, abs=0.02)
    model, x = correlated("full_covariance_vae")
    assert lost(model, x, draws=20) == pytest.approx(0.0, abs=1e-3)
    q = model.posterior(x[:3])
    covariance = np.linalg.inv(W.T @ W + np.eye(2))
    assert covariance[0, 1] / covariance[0, 0] == pytest.approx(CORRELATION)
    np.testing.assert_allclose(q.covariance(), np.tile(covariance, (3, 1, 1)), rtol=0.02)
    np.testing.assert_allclose(q.mean(), x[:3] @ W @ covariance, atol=0.02)


def test_the_divergence_has_the_closed_form():
    model = tfgen.create("full_covariance_vae", example=Points(4), latent_size=3, hidden=(5,))
    assert model.has_closed_form()
    x = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    q = model.posterior(x)
    mean, lower = q.mean().numpy().astype(np.float64), q.scale.to_dense().numpy().astype(np.float64)
    assert (np.triu(lower, 1) == 0.0).all() and (np.abs(np.tril(lower, -1)).sum((1, 2)) > 0.1).all()
    logs = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(-1)
    expected = 0.5 * ((lower**2).sum((1, 2)) + (mean**2).sum(-1) - 3 - 2 * logs)
    rate, _ = model.rate_distortion({"point": x})
    np.testing.assert_allclose(rate, expected, rtol=1e-5)


def test_draws_have_that_covariance():
    model = tfgen.create("full_covariance_vae", example=Points(4), latent_size=3, hidden=(5,))
    q = model.posterior(np.ones((1, 4), np.float32))
    z = q.sample(100_000, seed=(0, 1)).numpy()[:, 0]
    lower = q.scale.to_dense().numpy()[0]
    np.testing.assert_allclose(np.cov(z.T), lower @ lower.T, atol=0.03 * np.abs(lower @ lower.T).max())
