"""Proofs of planar_vae."""

import numpy as np
import pytest

import tfgen
from tests.zoo.latent_proofs import LOST_BY_DIAGONAL, correlated, histories, lost
from tfgen.distributions import PlanarFlow, VampPrior
from tfgen.specs import Points
from tfgen.zoo.variational.vae import VAE


@pytest.mark.slow
def test_it_finds_a_correlated_posterior():
    model, x = correlated("planar_vae", maps=4, same=True)
    assert lost(model, x) < 0.02 < LOST_BY_DIAGONAL


def test_without_maps_it_is_vae_bit_for_bit():
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    (one, first), (other, second) = histories([("vae", {}), ("planar_vae", {"maps": 0})], x)
    assert one == other
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_says_whether_the_rate_is_exact():
    model = tfgen.create("planar_vae", example=Points(3), latent_size=2, hidden=(5,))
    assert model.has_closed_form() is False


def test_a_mixture_of_planar_posteriors_is_no_prior():
    with pytest.raises(tfgen.InputError, match="PlanarFlow: it knows the density of its own draws only"):
        VAE(example=Points(3), latent_size=2, posterior=PlanarFlow(2), prior=VampPrior(3))
    with pytest.raises(tfgen.InputError, match="doubly reparameterized"):
        tfgen.create("iwae", example=Points(3), latent_size=2, posterior=PlanarFlow(2), doubly_reparameterized=True)
