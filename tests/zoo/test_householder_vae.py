"""Proofs of householder_vae."""

import numpy as np
import pytest

import tfgen
from tests.zoo.latent_proofs import LOST_BY_DIAGONAL, correlated, histories, lost
from tfgen.specs import Points


@pytest.mark.slow
def test_it_finds_a_correlated_posterior():
    model, x = correlated("householder_vae", maps=1)
    assert lost(model, x) < 0.02 < LOST_BY_DIAGONAL


@pytest.mark.slow
def test_without_maps_it_is_vae_bit_for_bit():
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    (one, first), (other, second) = histories([("vae", {}), ("householder_vae", {"maps": 0})], x)
    assert one == other
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_says_whether_the_rate_is_exact():
    model = tfgen.create("householder_vae", example=Points(3), latent_size=2, hidden=(5,))
    assert model.has_closed_form() is True
