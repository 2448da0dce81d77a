import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import DiscretizedLogistic

tfd = tfp.distributions

# From a point mass to wider than the picture, in units of [-1, 1], and means far outside of it.
LOCS = (-1e4, -1.5, -1.0, -0.3, 0.0, 1 / 255, 0.7, 1.0, 3.0, 1e4)
LOG_SCALES = (-7.0, -4.0, -1.0, 0.0, 3.0, 12.0, 100.0)


def grid(dtype):
    loc, log_scale = np.meshgrid(LOCS, LOG_SCALES)
    return tf.constant(loc.ravel(), dtype), tf.constant(log_scale.ravel(), dtype)


def all_levels(levels, dtype):
    return tf.range(levels, dtype=dtype)[:, None]


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 3e-5), (tf.float64, 1e-12)])
def test_probabilities_of_all_levels_sum_to_one(levels, dtype, tolerance):
    distribution = DiscretizedLogistic(*grid(dtype), levels)
    total = tf.reduce_sum(distribution.prob(all_levels(levels, dtype)), 0)
    np.testing.assert_allclose(total, 1.0, atol=tolerance)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_every_level_has_tfps_quantized_logistic_probability(levels):
    rng = np.random.default_rng(0)
    loc, log_scale = rng.uniform(-1.3, 1.3, 50), rng.uniform(-3.0, 2.0, 50)
    per_unit = (levels - 1) / 2
    # tfp rounds up, so half a level less is rounding to the nearest.
    reference = tfd.QuantizedDistribution(
        tfd.Logistic((loc + 1) * per_unit - 0.5, np.exp(log_scale) * per_unit), low=0.0, high=levels - 1.0
    )
    values = all_levels(levels, tf.float64)
    actual = DiscretizedLogistic(tf.constant(loc), tf.constant(log_scale), levels).log_prob(values).numpy()
    # Where tfp's difference of two distribution functions has digits left.
    expected = reference.log_prob(values).numpy()
    reliable = expected > -15.0
    assert reliable[0].any() and reliable[-1].any() and reliable.mean() > 0.5
    np.testing.assert_allclose(actual[reliable], expected[reliable], atol=1e-6)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_improbable_levels_keep_their_logarithm(levels):
    # Far out the logistic is an exponential: log P(k) falls by bin width / scale from level to level.
    scale = 0.01 * 17 / levels
    log_prob = DiscretizedLogistic(tf.constant(-1.0), tf.math.log(scale), levels).log_prob(
        tf.range(levels, dtype=tf.float32)
    )
    assert np.isfinite(log_prob).all()
    if levels > 2:
        np.testing.assert_allclose(np.diff(log_prob[2:-1]), -2.0 / (levels - 1) / scale, rtol=2e-3)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_log_probabilities_and_gradients_stay_finite(levels):
    loc, log_scale = grid(tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([loc, log_scale])
        log_prob = DiscretizedLogistic(loc, log_scale, levels).log_prob(all_levels(levels, tf.float32))
    assert np.isfinite(log_prob).all()
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(log_prob, [loc, log_scale]))


def test_gradients_are_those_of_finite_differences():
    loc, log_scale = tf.constant([-0.9, 0.1, 0.1, 1.2], tf.float64), tf.constant([-1.0, -2.5, 11.0, 0.3], tf.float64)
    value = tf.constant([0.0, 7.0, 8.0, 16.0], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch([loc, log_scale])
        log_prob = DiscretizedLogistic(loc, log_scale, 17).log_prob(value)
    by_loc, by_log_scale = tape.gradient(log_prob, [loc, log_scale])

    def at(shift_loc, shift_scale):
        return DiscretizedLogistic(loc + shift_loc, log_scale + shift_scale, 17).log_prob(value).numpy()

    step = 1e-5
    np.testing.assert_allclose(by_loc, (at(step, 0) - at(-step, 0)) / (2 * step), atol=1e-7)
    np.testing.assert_allclose(by_log_scale, (at(0, step) - at(0, -step)) / (2 * step), atol=1e-7)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_mean_equals_enumeration(levels):
    loc, log_scale = grid(tf.float64)
    distribution = DiscretizedLogistic(loc, log_scale, levels)
    values = all_levels(levels, tf.float64)
    np.testing.assert_allclose(distribution.mean(), tf.reduce_sum(values * distribution.prob(values), 0), atol=1e-9)


def test_mean_broadcasts_one_scale_over_many_locations():
    distribution = DiscretizedLogistic(tf.constant([[-0.5], [0.5]]), tf.constant([-2.0, -1.0, 0.0]), 17)
    assert distribution.mean().shape == distribution.batch_shape == (2, 3)
    assert distribution.sample(5, seed=(0, 1)).shape == (5, 2, 3)


@pytest.mark.parametrize(("levels", "loc", "log_scale"), [(2, 0.3, -1.0), (17, -0.8, -1.5), (256, 0.9, -3.0)])
def test_samples_have_the_probabilities(levels, loc, log_scale):
    count = 100_000
    distribution = DiscretizedLogistic(tf.constant(loc), tf.constant(log_scale), levels)
    samples = distribution.sample(count, seed=(1, 2)).numpy()
    assert ((samples == np.round(samples)) & (samples >= 0) & (samples < levels)).all()
    expected = count * distribution.prob(tf.range(levels, dtype=tf.float32)).numpy().astype(np.float64)
    observed = np.bincount(samples.astype(int), minlength=levels)
    rare = expected < 5
    pooled = [np.append(x[~rare], x[rare].sum()) for x in (observed, expected)]
    if pooled[1][-1] < 5:
        pooled = [np.append(x[:-2], x[-2:].sum()) for x in pooled]
    assert scipy.stats.chisquare(pooled[0], pooled[1] * count / pooled[1].sum()).pvalue > 1e-3
