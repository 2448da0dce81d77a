import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import DiscretizedLogisticMixture

tfd, tfb = tfp.distributions, tfp.bijectors


def random_mixture(channels, levels, *, batch=(), components=3, dtype=tf.float64, seed=0, log_scales=(-3.0, 1.0)):
    rng = np.random.default_rng(seed)
    shape = (*batch, components)
    return DiscretizedLogisticMixture(
        tf.constant(rng.normal(size=shape), dtype),
        tf.constant(rng.uniform(-1.3, 1.3, (*shape, channels)), dtype),
        tf.constant(rng.uniform(*log_scales, (*shape, channels)), dtype),
        tf.constant(rng.uniform(-1.0, 1.0, (*shape, channels * (channels - 1) // 2)), dtype),
        levels,
    )


def all_pixels(channels, levels, dtype=tf.float64):
    return tf.constant(list(itertools.product(range(levels), repeat=channels)), dtype)


def tfps_mixture(mixture, pixel):
    """The mixture of tfp's quantized logistics around the means that the earlier channels of a pixel give."""
    half = (mixture.levels - 1) / 2
    x, loc = np.asarray(pixel, np.float64) / half - 1, mixture.loc.numpy().copy()
    pairs = [(c, j) for c in range(mixture.channels) for j in range(c)]
    for index, (c, j) in enumerate(pairs):
        loc[..., c] += mixture.coupling.numpy()[..., index] * x[..., None, j]
    logistic = tfd.Logistic(half * loc + half, half * np.exp(mixture.log_scale))
    # tfp rounds up; half a level less is rounding to the nearest.
    shifted = tfd.TransformedDistribution(logistic, tfb.Shift(tf.constant(-0.5, tf.float64)))
    quantized = tfd.QuantizedDistribution(shifted, low=0.0, high=mixture.levels - 1.0)
    return tfd.MixtureSameFamily(tfd.Categorical(logits=mixture.logits), tfd.Independent(quantized, 1))


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_grey_pixels_have_tfps_quantized_logistic_probability(levels):
    mixture = random_mixture(1, levels, batch=(20,))
    pixels = tf.range(levels, dtype=tf.float64)[:, None, None]
    actual = mixture.log_prob(pixels).numpy()
    expected = tfps_mixture(mixture, np.zeros((20, 1))).log_prob(pixels).numpy()
    # Where tfp's difference of two distribution functions has digits left.
    reliable = expected > -15.0
    assert reliable[[0, -1]].all()
    assert reliable.mean() > 0.95
    np.testing.assert_allclose(actual[reliable], expected[reliable], atol=1e-6)


@pytest.mark.parametrize(("channels", "levels"), [(3, 256), (3, 4), (2, 17), (4, 2)])
def test_coupled_channels_have_tfps_quantized_logistic_probability(channels, levels):
    # Wide enough that tfp's difference of two distribution functions has digits everywhere.
    mixture = random_mixture(channels, levels, batch=(200,), seed=1, log_scales=(-1.0, 1.0))
    pixels = np.random.default_rng(2).integers(0, levels, (200, channels)).astype(float)
    pixels[:40] = np.where(pixels[:40] < levels / 2, 0, levels - 1)  # both edges
    np.testing.assert_allclose(mixture.log_prob(pixels), tfps_mixture(mixture, pixels).log_prob(pixels), atol=1e-6)


@pytest.mark.parametrize(("channels", "levels"), [(1, 256), (1, 2), (3, 4), (2, 17)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 3e-5), (tf.float64, 1e-12)])
def test_probabilities_of_all_pixels_sum_to_one(channels, levels, dtype, tolerance):
    mixture = random_mixture(channels, levels, batch=(50,), dtype=dtype, log_scales=(-10.0, 5.0))
    total = tf.reduce_sum(mixture.prob(all_pixels(channels, levels, dtype)[:, None]), 0)
    np.testing.assert_allclose(total, 1.0, atol=tolerance)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_log_probabilities_and_gradients_are_finite_at_all_scales(dtype):
    loc = np.array([-1e3, -3.0, -1.0, 0.0, 1 / 255, 1.0, 3.0, 1e3])
    log_scale = np.arange(-10.0, 6.0)
    loc, log_scale = (tf.constant(a.reshape(-1, 1, 1), dtype) for a in np.meshgrid(loc, log_scale))
    with tf.GradientTape() as tape:
        tape.watch([loc, log_scale])
        mixture = DiscretizedLogisticMixture(
            tf.zeros_like(loc[..., 0]), loc, log_scale, tf.zeros_like(loc[..., :0]), 256
        )
        log_prob = mixture.log_prob(tf.range(256, dtype=dtype)[:, None, None])
    assert np.isfinite(log_prob).all()
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(log_prob, [loc, log_scale]))


def test_a_component_with_no_weight_does_not_spoil_gradients():
    with tf.GradientTape() as tape:
        logits = tf.constant([0.0, -200.0])
        tape.watch(logits)
        mixture = DiscretizedLogisticMixture(
            logits, tf.constant([[0.0], [900.0]]), tf.constant([[-2.0], [-7.0]]), tf.zeros((2, 0)), 256
        )
        log_prob = mixture.log_prob(tf.constant([100.0]))
    assert np.isfinite(log_prob)
    assert np.isfinite(tape.gradient(log_prob, logits)).all()


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 17), (1, 256), (2, 9), (3, 4)])
def test_samples_pass_a_chi_square_test_against_the_probabilities(channels, levels):
    count = 100_000
    mixture = random_mixture(channels, levels, dtype=tf.float32, seed=3)
    samples = mixture.sample(count, seed=(1, 2)).numpy()
    assert samples.shape == (count, channels)
    assert ((samples == np.round(samples)) & (samples >= 0) & (samples < levels)).all()
    index = samples.astype(int) @ (levels ** np.arange(channels)[::-1])
    observed = np.bincount(index, minlength=levels**channels)
    expected = count * mixture.prob(all_pixels(channels, levels, tf.float32)).numpy().astype(np.float64)
    rare = expected < 5
    observed, expected = (np.append(a[~rare], a[rare].sum()) for a in (observed, expected))
    if expected[-1] < 5:
        observed, expected = (np.append(a[:-2], a[-2:].sum()) for a in (observed, expected))
    assert scipy.stats.chisquare(observed, expected * count / expected.sum()).pvalue > 1e-3


def test_a_grey_pixels_entropy_is_that_of_its_probabilities():
    mixture = random_mixture(1, 17, batch=(3, 4))
    p = mixture.prob(all_pixels(1, 17)[:, None, None]).numpy()
    np.testing.assert_allclose(mixture.entropy(), -np.sum(p * np.log(p), 0), rtol=1e-10)
    with pytest.raises(NotImplementedError, match="coupled channels"):
        random_mixture(3, 4).entropy()


def test_one_component_draws_all_channels():
    # Two points far from each other: channels that chose for themselves would mix them.
    loc = tf.constant([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
    mixture = DiscretizedLogisticMixture(tf.zeros(2), loc, tf.fill((2, 3), -20.0), tf.zeros((2, 3)), 256)
    samples = mixture.sample(200, seed=(0, 0)).numpy()
    assert {tuple(sample) for sample in samples} == {(0, 0, 0), (255, 255, 255)}


def test_later_channels_are_drawn_given_the_levels_of_earlier_ones():
    # Means of nothing but x_R, with no noise: green copies red, blue is red's negative.
    mixture = DiscretizedLogisticMixture(
        tf.zeros(1), tf.zeros((1, 3)), tf.constant([[-1.0, -20.0, -20.0]]), tf.constant([[1.0, -1.0, 0.0]]), 256
    )
    red, green, blue = mixture.sample(500, seed=(0, 3)).numpy().T
    assert len(np.unique(red)) > 100
    np.testing.assert_array_equal(green, red)
    np.testing.assert_array_equal(blue, 255 - red)


def test_draw_is_the_inverse_distribution_function():
    mixture = random_mixture(1, 17, components=2, seed=4)
    for component in (0, 1):
        single = DiscretizedLogisticMixture(*(p[component : component + 1] for p in (
            mixture.logits, mixture.loc, mixture.log_scale, mixture.coupling)), 17)  # fmt: skip
        cumulative = np.cumsum(single.prob(all_pixels(1, 17)).numpy())
        inner = cumulative[(cumulative > 1e-6) & (cumulative < 1 - 1e-6)]
        levels = np.searchsorted(cumulative, inner - 1e-9)
        for shift, expected in ((-1e-9, levels), (1e-9, levels + 1)):
            uniforms = tf.constant(inner[:, None] + shift)
            drawn = mixture.draw(tf.fill((len(inner),), component), uniforms)
            np.testing.assert_array_equal(drawn[:, 0], expected)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_draw_takes_every_uniform_in_its_range(dtype):
    mixture = random_mixture(3, 256, dtype=dtype)
    one = np.nextafter(dtype.as_numpy_dtype(1), dtype.as_numpy_dtype(0))
    uniforms = tf.constant([[0.0] * 3, [one] * 3], dtype)
    levels = mixture.draw(tf.constant([1, 1]), uniforms).numpy()
    assert np.isfinite(levels).all()
    assert (levels[0, 0], levels[1, 0]) == (0, 255)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_a_uniform_of_zero_draws_no_level_that_is_less_probable_than_the_uniforms_rounding(dtype):
    epsilon, scale = np.finfo(dtype.as_numpy_dtype).eps, np.exp(-4.5)
    mixture = DiscretizedLogisticMixture(
        tf.zeros(1, dtype),
        tf.zeros((1, 1), dtype),
        tf.fill((1, 1), tf.constant(-4.5, dtype)),
        tf.zeros((1, 0), dtype),
        256,
    )
    level = mixture.draw(tf.constant(0), tf.zeros(1, dtype)).numpy()[0]
    # The uniforms that round to zero have a probability of about epsilon.
    at_most, below = scipy.stats.logistic.cdf((level + np.array([0.5, -0.5])) * (2 / 255) - 1, scale=scale)
    assert below < epsilon / 2 <= 1.001 * at_most


@pytest.mark.parametrize(("channels", "each"), [(1, 3), (3, 10)])
def test_a_network_gives_the_papers_count_of_numbers(channels, each):
    assert DiscretizedLogisticMixture.parameters_per_component(channels) == each
    mixture = DiscretizedLogisticMixture.from_network(tf.zeros((2, 5, 7 * each)), channels, 256)
    assert (*mixture.batch_shape, *mixture.event_shape) == (2, 5, channels)
    assert mixture.logits.shape == (2, 5, 7)


def test_a_networks_scales_and_couplings_are_bounded():
    mixture = DiscretizedLogisticMixture.from_network(
        tf.constant([[0.0] + [1.0] * 3 + [-50.0] * 3 + [50.0] * 3]), 3, 256
    )
    np.testing.assert_array_equal(mixture.log_scale, [[[-7.0] * 3]])
    np.testing.assert_array_equal(mixture.coupling, [[[1.0] * 3]])
    np.testing.assert_array_equal(mixture.loc, [[[1.0] * 3]])
