"""Proofs of gan."""

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.zoo.adversarial_proofs import discriminate, integral, measured, on_the_ring, p, q
from tfgen.specs import Points


@pytest.mark.slow
def test_the_best_discriminator_knows_the_divergence_and_the_ratio():
    model = discriminate("gan")
    terms = measured(model)
    middle = lambda x: 0.5 * (p(x) + q(x))
    js = 0.5 * integral(lambda x: p(x) * np.log(p(x) / middle(x)) + q(x) * np.log(q(x) / middle(x)))
    assert terms["discriminator_loss"] == pytest.approx(2.0 * np.log(2.0) - 2.0 * js, abs=0.01)
    x = np.array([[-1.0], [0.0], [1.0], [2.0]])
    np.testing.assert_allclose(model.discriminate(x.astype(np.float32)), np.log(p(x) / q(x))[:, 0], atol=0.08)


@pytest.mark.slow
def test_all_modes_of_the_ring_are_found():
    _, found = on_the_ring("gan", steps=3000)
    assert found.covered == 8
    assert found.high_quality > 0.8


def test_saturating_means_the_games_own_value():
    model = tfgen.create("gan", example=Points(2), latent_size=2, saturating=True)
    batch = {"point": tf.zeros((4, 2))}
    with model._step_of(1):
        first = model.discriminator_terms(batch)["fake"]
    model._random_count.assign([0, 0])
    with model._step_of(1):
        # The same codes: what one descends the other climbs.
        assert float(model.generator_terms(batch)["minimax"]) == pytest.approx(-float(first), rel=1e-6)
