"""Proofs of iaf_vae."""

import numpy as np
import pytest

import tfgen
from tests.zoo.latent_proofs import LOST_BY_DIAGONAL, correlated, histories, lost
from tfgen.models import RateWeight
from tfgen.specs import Points


@pytest.mark.slow
def test_it_finds_a_correlated_posterior():
    model, x = correlated("iaf_vae", maps=2, units=(16,), context=2)
    assert lost(model, x) < 0.01 < LOST_BY_DIAGONAL


@pytest.mark.slow
def test_without_maps_it_is_vae_bit_for_bit():
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    (one, first), (other, second) = histories([("vae", {}), ("iaf_vae", {"maps": 0})], x)
    assert one == other
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_free_bits_that_no_example_needs_leave_the_encoder_to_the_distortion():
    model = tfgen.create(
        "iaf_vae", example=Points(3), latent_size=2, hidden=(5,), units=(6,), rate=RateWeight(free_bits=1e4)
    )
    batch = {"point": np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)}
    assert float(model.terms(batch)["rate"]) == 1e4
    figures = model.figures(batch)
    rate, distortion = model.rate_distortion(batch)
    assert np.max(np.abs(rate)) < 100.0
    assert np.max(np.abs(figures["elbo"])) < 1e3  # without the free bits
    assert distortion.shape == (4,)


def test_it_says_whether_the_rate_is_exact():
    arguments = {"example": Points(3), "latent_size": 2, "hidden": (5,), "units": (6,)}
    assert tfgen.create("iaf_vae", **arguments).has_closed_form() is False
    assert tfgen.create("iaf_vae", maps=0, **arguments).has_closed_form() is True
