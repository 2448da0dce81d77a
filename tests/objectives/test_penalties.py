"""Penalties on gradients, where these are known."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.objectives import between, gradient_norms, gradient_penalty


def test_the_norm_is_taken_over_all_axes_of_an_example():
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 4, 3, 2)), tf.float32)
    norms = gradient_norms(lambda x: 0.5 * tf.reduce_sum(x**2, (1, 2, 3)), x)
    np.testing.assert_allclose(norms, np.sqrt((x.numpy() ** 2).sum((1, 2, 3))), rtol=1e-5)


@pytest.mark.parametrize(("slope", "both", "one"), [(3.0, 4.0, 4.0), (0.5, 0.25, 0.0)])
def test_the_penalty_of_a_linear_score_is_known(slope, both, one):
    x = tf.zeros((7, 1))
    assert float(gradient_penalty(lambda x: slope * x[:, 0], x)) == pytest.approx(both, rel=1e-5)
    assert float(gradient_penalty(lambda x: slope * x[:, 0], x, one_sided=True)) == pytest.approx(one, abs=1e-6)
    assert float(gradient_penalty(lambda x: slope * x[:, 0], x, target=slope)) == pytest.approx(0.0, abs=1e-6)


def test_a_score_without_slope_has_a_finite_gradient():
    slope, x = tf.constant(0.0), tf.ones((3, 2))
    with tf.GradientTape() as tape:
        tape.watch(slope)
        penalty = gradient_penalty(lambda x: slope * tf.reduce_sum(x, 1), x)
    assert float(penalty) == pytest.approx(1.0, abs=1e-5)
    assert np.isfinite(tape.gradient(penalty, slope))


def test_the_penalty_moves_the_weights_behind_the_score():
    # (|w| - 1)^2 has the slope 2 (w - 1).
    w = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(w)
        penalty = gradient_penalty(lambda x: w * x[:, 0], tf.zeros((4, 1)))
    assert float(tape.gradient(penalty, w)) == pytest.approx(4.0, rel=1e-5)


def test_points_between_lie_on_the_line_of_their_pair_each_at_its_own_place():
    real, fake = tf.ones((200, 3, 2)), -tf.ones((200, 3, 2))
    points = between(real, fake, (1, 2)).numpy()
    assert np.ptp(points, axis=(1, 2)).max() == 0.0
    places = points[:, 0, 0]
    assert len(np.unique(places)) == 200
    assert -1.0 <= places.min() < -0.95 and 0.95 < places.max() <= 1.0
    np.testing.assert_array_equal(points, between(real, fake, (1, 2)))
