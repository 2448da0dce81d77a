"""What all autoregressive models draw with."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.models.autoregressive import inverse_cdf


@pytest.mark.parametrize("levels", [2, 5, 16, 17, 32, 40, 256])
def test_a_level_is_the_first_whose_cumulative_probability_exceeds_the_uniform(levels):
    rng = np.random.default_rng(levels)
    logits = rng.normal(size=(4000, levels)) * rng.choice([0.1, 1.0, 8.0], (4000, 1))
    uniform = rng.random(4000)
    p = np.exp(logits - logits.max(1, keepdims=True))
    expected = (np.cumsum(p / p.sum(1, keepdims=True), 1) <= uniform[:, None]).sum(1)
    drawn = inverse_cdf(tf.constant(logits), tf.constant(uniform)).numpy()
    assert drawn.dtype == np.int32
    np.testing.assert_array_equal(drawn, expected)
    assert len(np.unique(drawn)) == levels


@pytest.mark.parametrize("levels", [2, 16, 40, 256])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_uniform_draws_a_level_without_probability(levels, dtype):
    # One level has all of the probability, wherever it stands, at both ends of the uniforms.
    logits = np.where(np.eye(levels, dtype=bool), 0.0, -2000.0).astype(dtype)
    for uniform in (0.0, 0.5, np.nextafter(dtype(1), dtype(0))):
        drawn = inverse_cdf(tf.constant(logits), tf.fill((levels,), tf.constant(uniform, dtype)))
        np.testing.assert_array_equal(drawn, np.arange(levels))
