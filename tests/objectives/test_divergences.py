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


@pytest.mark.parametrize(("name", "parameter"), ALL)
def test_the_slope_is_that_of_f(name, parameter):
    divergence = make_divergence(name, parameter)
    u = tf.constant([1e-3, 0.2, 0.9, 1.1, 3.0, 500.0], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(u)
        f = divergence.f(u)
    np.testing.assert_allclose(divergence.slope(u), tape.gradient(f, u), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "parameter"), ALL)
def test_the_intercept_is_the_slope_of_the_divergence_along_q(name, parameter):
    divergence = make_divergence(name, parameter)
    p, q = tf.constant([0.1, 0.3, 0.6], tf.float64), tf.constant([0.25, 0.25, 0.5], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(q)
        value = tf.reduce_sum(q * divergence.f(p / q))
    np.testing.assert_allclose(divergence.intercept(p / q), tape.gradient(value, q), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "parameter"), ALL)
def test_centred_it_is_the_same_divergence_and_least_at_one(name, parameter):
    divergence = make_divergence(name, parameter)
    u = tf.constant([1e-3, 0.2, 0.9, 1.0, 1.1, 3.0, 500.0], tf.float64)
    centred = divergence.centred(u).numpy()
    assert centred[3] == pytest.approx(0.0, abs=1e-12)
    assert (np.delete(centred, 3) > 0.0).all()
    p, q = np.array([0.1, 0.3, 0.6]), np.array([0.25, 0.25, 0.5])
    plain, moved = (np.sum(q * np.array(f(tf.constant(p / q)))) for f in (divergence.f, divergence.centred))
    assert plain - (-2.0 * np.log(2.0) if name == "gan" else 0.0) == pytest.approx(moved, abs=1e-12)
