"""Proofs of f_gan."""

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.zoo.adversarial_proofs import discriminate, integral, measured, on_the_ring, p, q
from tfgen.errors import InputError
from tfgen.objectives import make_divergence
from tfgen.specs import Points

ALL = (
    "total_variation", "kl", "reverse_kl", "pearson", "squared_hellinger", "jeffreys", "jensen_shannon", "gan",
    ("weighted_jensen_shannon", 0.3), ("alpha", 0.5), ("alpha", 1.5),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("named", ALL, ids=str)
def test_the_bound_reaches_the_divergence_and_does_not_exceed_it(named):
    name, parameter = (named, None) if isinstance(named, str) else named
    f = make_divergence(name, parameter).f
    truth = integral(lambda x: q(x) * f(tf.constant(p(x) / q(x), tf.float64)).numpy())
    bound = -measured(discriminate("f_gan", divergence=name, parameter=parameter))["discriminator_loss"]
    assert bound == pytest.approx(truth, rel=0.03)
    assert bound < truth + 0.01 * max(1.0, abs(truth))


@pytest.mark.slow
def test_the_heavy_tail_of_neymans_is_underestimated_not_swapped_for_pearsons():
    neyman = integral(lambda x: (p(x) - q(x)) ** 2 / p(x))
    bound = -measured(discriminate("f_gan", divergence="neyman", steps=5000))["discriminator_loss"]
    assert 0.65 * neyman < bound < neyman


@pytest.mark.slow
@pytest.mark.parametrize("divergence", ["reverse_kl", "squared_hellinger", "jensen_shannon"])
def test_all_modes_of_the_ring_are_found(divergence):
    _, found = on_the_ring("f_gan", steps=3000, rate=3e-4, divergence=divergence, trick=False)
    assert found.covered == 8
    assert found.high_quality > 0.75


def test_the_generator_descends_the_bound_or_climbs_the_activation():
    x = {"point": tf.zeros((4, 2))}
    for trick in (True, False):
        model = tfgen.create("f_gan", example=Points(2), latent_size=2, divergence="kl", trick=trick)
        with model._step_of(1):
            (term,) = model.generator_terms(x).values()
        model._random_count.assign([0, 0])
        with model._step_of(1):
            v = model.score(model.fake(x)).numpy()
        expected = -np.mean(v) if trick else -np.mean(np.exp(v - 1.0))
        assert float(term) == pytest.approx(expected, rel=1e-6)


def test_a_cap_bounds_the_score_and_leaves_low_ones_alone():
    model = tfgen.create("f_gan", example=Points(2), latent_size=2, cap=4.0)
    model.score = lambda x: x[:, 0]
    capped = model.capped_score(tf.constant([[-20.0, 0.0], [0.0, 0.0], [100.0, 0.0]])).numpy()
    np.testing.assert_allclose(capped, [-20.0, -np.log1p(np.exp(4.0)) + 4.0, 4.0], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"divergence": "pearsn"}, "did you mean pearson"),
        ({"divergence": "alpha"}, "needs its parameter"),
        ({"divergence": "alpha", "parameter": 1.0}, "any number but 0 and 1"),
        ({"divergence": "weighted_jensen_shannon", "parameter": 1.5}, r"in \(0, 1\)"),
        ({"divergence": "kl", "parameter": 2.0}, "has no parameter"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        tfgen.create("f_gan", example=Points(2), latent_size=2, **arguments)
