"""Proofs of lsgan."""

import numpy as np
import pytest

from tests.zoo.adversarial_proofs import discriminate, integral, measured, on_the_ring, p, q


@pytest.mark.slow
@pytest.mark.parametrize("codes", [(0.0, 1.0, 1.0), (-1.0, 1.0, 0.0)])
def test_the_best_discriminator_reaches_the_least_loss(codes):
    a, b, c = codes
    model = discriminate("lsgan", codes=codes)
    terms = measured(model)
    least = 0.5 * (b - a) ** 2 * integral(lambda x: p(x) * q(x) / (p(x) + q(x)))
    assert terms["discriminator_loss"] == pytest.approx(least, rel=0.01)
    if c == 0.0:
        # With the data's part the generator's loss is the Pearson divergence of eq. 8.
        x = np.random.default_rng(2).normal(size=(100_000, 1)).astype(np.float32)
        of_data = 0.5 * np.mean(model.discriminate(x).numpy() ** 2)
        pearson = 0.5 * integral(lambda x: (p(x) - q(x)) ** 2 / (p(x) + q(x)))
        assert of_data + terms["generator_loss"] == pytest.approx(pearson, abs=0.01)


@pytest.mark.slow
def test_the_modes_of_the_ring_are_found():
    _, found = on_the_ring("lsgan", steps=3000)
    assert found.covered >= 7
    assert found.high_quality > 0.75
