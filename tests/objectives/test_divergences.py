"""The f-divergences against their definitions."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.objectives import make_divergence

ALL = [
    ("total_variation", None), ("kl", None), ("reverse_kl", None), ("pearson", None), ("neyman", None),
    ("squared_hellinger", None), ("jeffreys", None), ("jensen_shannon", None), ("gan", None),
    ("weighted_jensen_shannon", 0.3), ("weighted_jensen_shannon", 0.8), ("alpha", -1.0), ("alpha", 0.5), ("alpha", 1.5),
    ("alpha", 3.0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameter"), ALL)
def test_the_conjugate_is_the_supremum_that_defines_it(name, parameter):
    divergence = make_divergence(name, parameter)
    u = tf.constant(np.exp(np.linspace(-30.0, 20.0, 400_001)))
    f = divergence.f(u).numpy()
    for v in (-1.2, -0.3, 0.0, 0.4, 1.3):
        v = tf.constant(v, tf.float64)
        t = float(divergence.activation(v))
        supremum = np.max(u * t - f)
        if name == "alpha" and parameter > 1.0:
            supremum = max(supremum, -float(divergence.f(tf.constant(0.0, tf.float64))))
        assert float(divergence.conjugate(v)) == pytest.approx(supremum, abs=1e-6, rel=1e-6)


@pytest.mark.parametrize(("name", "parameter"), ALL)
def test_the_threshold_is_the_slope_of_f_at_one_and_f_is_zero_there(name, parameter):
    divergence = make_divergence(name, parameter)
    u = tf.constant([1.0 - 1e-6, 1.0, 1.0 + 1e-6], tf.float64)
    below, at, above = divergence.f(u).numpy()
    # Total variation has a kink there; its threshold is in the middle.
    assert (above - below) / 2e-6 == pytest.approx(divergence.threshold, abs=1e-5)
    assert at == pytest.approx(-2.0 * np.log(2.0) if name == "gan" else 0.0, abs=1e-12)


@pytest.mark.parametrize(("name", "parameter"), ALL)
def test_large_scores_keep_finite_gradients(name, parameter):
    divergence = make_divergence(name, parameter)
    v = tf.constant([-30.0, -5.0, 5.0, 30.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(v)
        values = divergence.activation(v), divergence.conjugate(v)
    for value in values:
        assert np.isfinite(value).all()
        assert np.isfinite(tape.gradient(value, v)).all()
