import itertools
import math

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfgen.distributions import (
    BernoulliLikelihood,
    DiscretizedLogistic,
    DiscretizedLogisticLikelihood,
    GaussianLikelihood,
    default_likelihood,
)
from tfgen.errors import InputError
from tfgen.specs import Images, Points


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4])
def test_bernoulli_probabilities_of_all_pictures_sum_to_one(scale):
    example = Images((2, 2, 1), 2)
    pictures = np.array(list(itertools.product((0, 1), repeat=4)), np.float32).reshape(-1, 1, 2, 2, 1)
    logits = scale * tf.random.stateless_normal((6, 2, 2, 1), (0, 1))
    log_prob = BernoulliLikelihood()(logits, example).log_prob(pictures)
    np.testing.assert_allclose(tf.reduce_sum(tf.exp(log_prob), 0), 1.0, atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_bernoulli_gradients_stay_finite(scale):
    logits = scale * tf.random.stateless_normal((6, 2, 2, 1), (0, 1))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        log_prob = BernoulliLikelihood()(logits, Images((2, 2, 1), 2)).log_prob(tf.ones((6, 2, 2, 1)))
    np.testing.assert_allclose(tape.gradient(log_prob, logits), tf.sigmoid(-logits), atol=1e-6)


def test_bernoulli_refuses_grey_pictures_and_points():
    with pytest.raises(InputError, match="17 levels; load them with levels=2"):
        BernoulliLikelihood().check(Images((8, 8, 1), 17))
    with pytest.raises(InputError, match="for pictures"):
        BernoulliLikelihood().check(Points(2))


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("scale", [0.0, 3.0, 100.0, 1e4])
def test_discretized_logistic_of_any_decoder_output_sums_to_one_over_the_levels(levels, scale):
    example = Images((2, 3, 2), levels)
    parameters = scale * tf.random.stateless_normal((5, 2, 3, 4), (0, 1))
    marginals = DiscretizedLogisticLikelihood()(parameters, example).distribution
    values = tf.range(levels, dtype=tf.float32)[:, None, None, None, None]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        log_prob = DiscretizedLogisticLikelihood()(parameters, example).distribution.log_prob(values)
    assert np.isfinite(tape.gradient(log_prob, parameters)).all()
    np.testing.assert_allclose(tf.reduce_sum(marginals.prob(values), 0), 1.0, atol=3e-5)


def test_discretized_logistic_takes_means_from_the_first_half_and_log_scales_from_the_second():
    example = Images((1, 1, 3), 256)
    parameters = tf.constant([[[[-0.5, 0.0, 0.5, -2.0, -1.0, 0.0]]]])
    x = tf.constant([[[[64.0, 130.0, 250.0]]]])
    single = DiscretizedLogistic(tf.constant([-0.5, 0.0, 0.5]), tf.constant([-2.0, -1.0, 0.0]), 256)
    expected = tf.reduce_sum(single.log_prob(x), (1, 2, 3))
    # The soft lower bound at -7 moves a log-scale of 0 by 9e-4.
    np.testing.assert_allclose(DiscretizedLogisticLikelihood()(parameters, example).log_prob(x), expected, atol=0.02)


def test_discretized_logistic_scale_has_a_lower_bound_with_a_gradient():
    log_scale = tf.constant([[[[-30.0]]]])
    with tf.GradientTape() as tape:
        tape.watch(log_scale)
        p = DiscretizedLogisticLikelihood(min_log_scale=-5.0)(
            tf.concat([[[[[0.013]]]], log_scale], -1), Images((1, 1, 1))
        )
        log_prob = p.log_prob(tf.constant([[[[128.0]]]]))
    assert p.distribution.log_scale.numpy().item() == pytest.approx(-5.0, abs=1e-5)
    assert tape.gradient(log_prob, log_scale).numpy().item() != 0.0


def test_discretized_logistic_refuses_points():
    with pytest.raises(InputError, match="for pictures"):
        DiscretizedLogisticLikelihood().check(Points(2))


def test_gaussian_density_of_points_is_scipys():
    rng = np.random.default_rng(0)
    mean, x = rng.normal(size=(2, 7, 5)).astype(np.float32)
    p = GaussianLikelihood(scale=0.3)(tf.constant(mean), Points(5))
    assert (p.batch_shape, p.event_shape) == ((7,), (5,))
    np.testing.assert_allclose(p.log_prob(x), scipy.stats.norm.logpdf(x, mean, 0.3).sum(1), rtol=1e-5)


def test_gaussian_density_of_pictures_counts_a_level_as_one_unit():
    # In 256 levels, [-1, 1] is 255 units wide: a mean of 0 lies at 127.5, and a scale of 0.1 is 12.75 levels.
    example = Images((1, 1, 1), 256)
    p = GaussianLikelihood(scale=0.1)(tf.zeros((1, 1, 1, 1)), example)
    x = np.arange(256.0, dtype=np.float32).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(p.log_prob(x), scipy.stats.norm.logpdf(x.ravel(), 127.5, 12.75), rtol=1e-4)
    # So the bins, each of width 1 and hit by x + u, hold all of the probability.
    assert np.exp(p.log_prob(x)).sum() == pytest.approx(1.0, abs=1e-4)


def test_gaussian_dequantises_pictures_and_leaves_points():
    example, likelihood = Images((4, 4, 1), 256), GaussianLikelihood()
    x = tf.cast(tf.random.stateless_uniform((500, 4, 4, 1), (0, 1), 0, 256, tf.int32), tf.uint8)
    noise = likelihood.event(x, example, (3, 4)) - tf.cast(x, tf.float32)
    assert scipy.stats.kstest(np.ravel(noise) + 0.5, "uniform").pvalue > 1e-3
    assert (likelihood.event(x, example, (3, 4)) == likelihood.event(x, example, (3, 4))).numpy().all()
    points = tf.random.stateless_normal((5, 2), (0, 1))
    assert (likelihood.event(points, Points(2), (3, 4)) == points).numpy().all()


def test_gaussian_bound_lies_below_the_probability_of_the_level():
    # E_u log p(x + u) <= log of the bin's mass, with a gap that is visible when the bin is wide beside the scale.
    example, scale = Images((1, 1, 1), 17), 0.1
    p = GaussianLikelihood(scale=scale)(tf.zeros((1, 1, 1, 1)), example)
    for level in (6, 7, 8, 9):
        x = tf.fill((100_000, 1, 1, 1), tf.constant(level, tf.uint8))
        bound = p.log_prob(GaussianLikelihood().event(x, example, (level, 0))).numpy().astype(np.float64)
        below, above = scipy.stats.norm.cdf([level - 0.5, level + 0.5], 8.0, scale * 8)
        # The second moment of u - (8 - level) is 1/12 + (8 - level)^2.
        expected = (
            -(1 / 12 + (level - 8) ** 2) / (2 * (scale * 8) ** 2) - math.log(scale * 8) - math.log(2 * math.pi) / 2
        )
        assert bound.mean() == pytest.approx(expected, abs=4 * bound.std() / math.sqrt(bound.size))
        assert bound.mean() < math.log(above - below)


@pytest.mark.parametrize("learned", [True, False])
def test_gaussian_scale_is_trained_only_if_it_is_learned(learned):
    likelihood = GaussianLikelihood(scale=0.5, learned=learned)
    assert len(likelihood.trainable_weights) == learned
    with tf.GradientTape() as tape:
        tape.watch(likelihood.log_scale.value)
        log_prob = likelihood(tf.zeros((1, 3)), Points(3)).log_prob(tf.ones((1, 3)))
    # d/d(log s) of -x^2 / 2s^2 - log s, for three coordinates.
    assert tape.gradient(log_prob, likelihood.log_scale.value).numpy() == pytest.approx(3 * (1 / 0.25 - 1))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_gaussian_refuses_a_scale_that_is_none(scale):
    with pytest.raises(InputError, match="expected a positive number"):
        GaussianLikelihood(scale=scale)


@pytest.mark.parametrize(
    ("likelihood", "name", "value"),
    [
        (DiscretizedLogisticLikelihood(min_log_scale=-3.0), "min_log_scale", -3.0),
        (GaussianLikelihood(scale=0.25, learned=False), "learned", False),
        (GaussianLikelihood(scale=0.25, learned=False), "scale", 0.25),
        (BernoulliLikelihood(), "parameters", 1),
    ],
)
def test_a_likelihood_comes_back_from_its_configuration(likelihood, name, value):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(likelihood))
    assert type(copy) is type(likelihood) and getattr(copy, name) == value


def test_the_default_likelihood_goes_with_the_data():
    assert isinstance(default_likelihood(Images((8, 8, 1), 2)), BernoulliLikelihood)
    assert isinstance(default_likelihood(Images((8, 8, 1), 17)), DiscretizedLogisticLikelihood)
    assert isinstance(default_likelihood(Points(2)), GaussianLikelihood)


@pytest.mark.parametrize(
    ("likelihood", "example", "atol"),
    [
        (BernoulliLikelihood(), Images((2, 3, 1), 2), 2e-3),  # half an example of 500 is added to each level
        # The mean of a rounded logistic that the ends cut is nearer to the middle.
        (DiscretizedLogisticLikelihood(), Images((2, 3, 2), 17), None),
        (GaussianLikelihood(), Images((2, 3, 2), 17), 1e-4),
        (GaussianLikelihood(), Points(3), 1e-5),
    ],
)
def test_the_average_has_the_mean_of_the_batch(likelihood, example, atol):
    if isinstance(example, Images):
        x = np.random.default_rng(0).integers(0, example.levels, (500, *example.shape), np.uint8)
    else:
        x = np.random.default_rng(0).normal(size=(500, *example.shape)).astype(np.float32)
    numbers = likelihood.average(tf.constant(x), example)
    assert numbers.shape == (*example.shape[:-1], example.shape[-1] * likelihood.parameters)
    if atol is None:
        loc, log_scale = np.split(numbers, 2, -1)
        np.testing.assert_allclose(example.from_network(loc), np.round(x.mean(0)))
        np.testing.assert_array_equal(log_scale, 0.0)
    else:
        np.testing.assert_allclose(likelihood(numbers, example).mean(), x.mean(0), atol=atol)


def test_a_pixel_that_is_the_same_in_a_whole_batch_may_still_differ():
    logits = BernoulliLikelihood().average(tf.constant([[[[0], [1]]]] * 9, tf.uint8), Images((1, 2, 1), 2))
    np.testing.assert_allclose(tf.sigmoid(logits)[0, :, 0], [0.05, 0.95], atol=1e-6)
