"""Weights of draws, where these are known."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.objectives import advantages, effective_sample_size, importance_weights


def test_importance_weights_are_odds_normalised_over_the_draws():
    ratio = np.array([[1.0, 8.0], [3.0, 0.5], [4.0, 1.5]])
    np.testing.assert_allclose(importance_weights(tf.constant(np.log(ratio))), ratio / ratio.sum(0), rtol=1e-12)
    huge = importance_weights(tf.constant([[1e4], [1e4], [-1e4]]))
    np.testing.assert_array_equal(huge, [[0.5], [0.5], [0.0]])


def test_an_advantage_is_the_excess_over_the_mean_of_the_others():
    reward = np.array([[1.0, 5.0], [3.0, 5.0], [8.0, 5.0]])
    expected = [[(1.0 - 5.5) / 3.0, 0.0], [(3.0 - 4.5) / 3.0, 0.0], [(8.0 - 2.0) / 3.0, 0.0]]
    np.testing.assert_allclose(advantages(tf.constant(reward)), expected, rtol=1e-12, atol=1e-15)


def test_advantages_give_the_gradient_of_the_expected_reward():
    # All pairs of draws of a bit with the logit 0.4, each with its probability.
    logit, reward = 0.4, np.array([2.0, -1.0])
    p = np.array([1.0 - 1.0 / (1.0 + np.exp(-logit)), 1.0 / (1.0 + np.exp(-logit))])
    score = np.array([-p[1], p[0]])  # of log p with respect to the logit
    expected = 0.0
    for first in (0, 1):
        for second in (0, 1):
            a = advantages(tf.constant(reward[[first, second]])).numpy()
            expected += p[first] * p[second] * (a @ score[[first, second]])
    assert expected == pytest.approx(p[0] * p[1] * (reward[1] - reward[0]), rel=1e-12)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([0.25] * 4, 4.0), ([0.0, 1.0, 0.0], 1.0), ([3.0, 3.0, 0.0], 2.0), ([0.9, 0.1], 1.0 / 0.82)],
)
def test_the_effective_sample_size_counts_equal_weights(weights, expected):
    assert float(effective_sample_size(tf.constant(weights))) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("function", [importance_weights, advantages])
def test_no_gradient_passes_through_weights(function):
    log_ratio = tf.constant([0.1, 2.0, -1.0])
    with tf.GradientTape() as tape:
        tape.watch(log_ratio)
        value = tf.reduce_sum(function(log_ratio) * tf.constant([1.0, 2.0, 3.0]))
    assert tape.gradient(value, log_ratio) is None
