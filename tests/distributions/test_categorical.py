"""Codes of categorical variables, beside enumeration, the published density and draws by NumPy."""

import itertools

import numpy as np
import pytest
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import DiagonalGaussian, Levels, OneHots, UniformOneHots
from tfgen.errors import InputError

tfd = tfp.distributions

PI = np.array([0.2, 0.3, 0.5])
LOGITS = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
# All codes of two variables of three classes.
CODES = np.array([np.concatenate(pair) for pair in itertools.product(np.eye(3), repeat=2)], np.float32)


def classes_probabilities(logits):
    return scipy.special.softmax(logits.astype(np.float64).reshape(-1, 2, 3), -1)


def test_the_probability_of_a_code_is_the_product_of_those_of_its_classes():
    q = OneHots(3)(tf.constant(LOGITS), 6)
    found = np.exp(q.log_prob(CODES[:, None]).numpy().T)
    pi = classes_probabilities(LOGITS)
    expected = np.einsum("ba,bc->bac", pi[:, 0], pi[:, 1]).reshape(4, 9)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1.0, rtol=1e-5)
    prior = UniformOneHots(3)(6, None)
    np.testing.assert_allclose(prior.log_prob(CODES), -2.0 * np.log(3.0), rtol=1e-6)


def test_draws_are_codes_with_these_probabilities():
    for p, pi in (
        (OneHots(3)(tf.constant(LOGITS[:1]), 6), classes_probabilities(LOGITS[:1])),
        (UniformOneHots(3)(6, None), np.full((1, 2, 3), 1.0 / 3.0)),
    ):
        z = p.sample(100_000, seed=(0, 1)).numpy().reshape(-1, 6)
        assert set(np.unique(z)) == {0.0, 1.0}
        np.testing.assert_array_equal(z.reshape(-1, 2, 3).sum(-1), 1.0)
        np.testing.assert_allclose(z.mean(0), pi.ravel(), atol=4.0 * 0.5 / np.sqrt(100_000))


def test_the_rate_is_the_exact_divergence_of_the_categories():
    family, prior = OneHots(3), UniformOneHots(3)(6, None)
    pi = classes_probabilities(LOGITS)
    expected = np.sum(pi * np.log(3.0 * pi), (1, 2))
    np.testing.assert_allclose(tfd.kl_divergence(family(tf.constant(LOGITS), 6), prior), expected, rtol=1e-5)
    sure = tf.constant(80.0 * CODES[:1])
    assert float(tfd.kl_divergence(family(sure, 6), prior)[0]) == pytest.approx(2.0 * np.log(3.0), rel=1e-6)
    assert float(tfd.kl_divergence(family(tf.zeros((1, 6)), 6), prior)[0]) == pytest.approx(0.0, abs=1e-6)


def test_the_code_that_stands_for_an_example_is_the_most_probable():
    family = OneHots(3)
    q = family(tf.constant(LOGITS), 6)
    log_p = q.log_prob(CODES[:, None]).numpy()
    np.testing.assert_array_equal(family.centre(q), CODES[log_p.argmax(0)])
    draws = q.sample(50_000, seed=(2, 3)).numpy()
    np.testing.assert_allclose(family.scale(q), draws.std(0), atol=0.01)


def relaxed_draws(temperature: float, count: int, logits=None) -> np.ndarray:
    logits = tf.constant([np.log(PI)], tf.float32) if logits is None else logits
    return tf.exp(OneHots(3).relaxed(logits, 3, temperature).sample(count, seed=(0, 1)))[:, 0]


def test_the_largest_part_of_a_relaxed_draw_has_the_classes_probabilities_but_the_mean_has_not():
    distances = []
    for temperature in (0.1, 0.5, 1.0, 30.0):
        y = relaxed_draws(temperature, 200_000).numpy()
        np.testing.assert_allclose(y.sum(1), 1.0, atol=1e-5)
        shares = np.bincount(y.argmax(1), minlength=3) / len(y)
        np.testing.assert_allclose(shares, PI, atol=4.0 * 0.5 / np.sqrt(len(y)))
        distances.append(np.abs(y.mean(0) - PI).max())
    assert distances[0] < 0.01
    assert distances == sorted(distances)
    assert distances[-1] == pytest.approx(0.5 - 1.0 / 3.0, abs=0.03)


@pytest.mark.parametrize("temperature", [0.3, 0.7, 2.0])
def test_relaxed_densities_are_the_published_ones_and_tfps(temperature):
    y = np.random.default_rng(1).dirichlet(np.ones(3), (5, 4, 2))  # (sample, batch, variable, class)
    pi = classes_probabilities(LOGITS)
    # On the simplex; on its logarithm the Jacobian is the product of y.
    density = (
        scipy.special.gammaln(3)
        + 2.0 * np.log(temperature)
        - 3.0 * np.log(np.sum(pi * y**-temperature, -1))
        + np.sum(np.log(pi) - (temperature + 1.0) * np.log(y), -1)
    )
    log_y = np.log(y).reshape(5, 4, 6).astype(np.float32)
    q = OneHots(3).relaxed(tf.constant(LOGITS), 6, temperature)
    np.testing.assert_allclose(q.log_prob(log_y), (density + np.log(y).sum(-1)).sum(-1), rtol=1e-4, atol=1e-4)
    theirs = tfd.RelaxedOneHotCategorical(temperature, probs=pi).log_prob(y).numpy()
    np.testing.assert_allclose(theirs, density, rtol=1e-6)
    # The same for the prior, whose density is that of equal logits.
    p = UniformOneHots(3).relaxed(6, temperature)
    equal = OneHots(3).relaxed(tf.zeros((4, 6)), 6, temperature)
    np.testing.assert_allclose(p.log_prob(log_y), equal.log_prob(log_y), rtol=1e-5)


def test_the_gradient_through_relaxed_draws_trades_bias_for_variance():
    f = np.array([0.0, 1.0, 4.0])
    exact = PI * (f - PI @ f)
    np.testing.assert_allclose(exact, [-0.46, -0.39, 0.85])
    gumbel = np.random.default_rng(0).gumbel(size=(400_000, 3))
    logits, deviations, errors = tf.constant([np.log(PI)], tf.float32), [], []
    for temperature in (0.1, 0.5, 2.0):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            repeated = tf.tile(logits, (100_000, 1))
            y = tf.exp(OneHots(3).relaxed(repeated, 3, temperature).sample(seed=(0, 1)))
            value = tf.reduce_sum(y * f.astype(np.float32), -1)
        each = tape.gradient(value, repeated).numpy()

        # The derivative of the mean over draws of NumPy's.
        def mean(step, temperature=temperature):
            return (scipy.special.softmax((np.log(PI) + step + gumbel) / temperature, -1) @ f).mean()

        expected = np.array([(mean(h) - mean(-h)) / 2e-3 for h in 1e-3 * np.eye(3)])
        deviations.append(each.std(0).max())
        errors.append(np.abs(expected - exact).max())
        np.testing.assert_allclose(each.mean(0), expected, atol=5.0 * deviations[-1] / np.sqrt(80_000))
    assert deviations == sorted(deviations, reverse=True)
    assert errors == sorted(errors)
    assert errors[0] < 0.03 and errors[-1] > 0.4


def test_relaxed_draws_are_finite_where_a_code_is_all_but_one_hot():
    log_y, log_q = OneHots(3).relaxed(tf.zeros((100_000, 3)), 3, 0.01).experimental_sample_and_log_prob(seed=(0, 1))
    assert np.exp(log_y).min() == 0.0  # what would be lost
    assert np.isfinite(log_q).all()
    assert np.isfinite(UniformOneHots(3).relaxed(3, 0.01).log_prob(log_y)).all()


@pytest.mark.parametrize("shape", [(4, 5), (7, 4, 5)], ids=["as the batch", "several of each"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32], ids=lambda one: one.__name__)
def test_levels_are_as_probable_as_they_are_to_tfp(shape, dtype):
    rng = np.random.default_rng(0)
    logits, values = rng.normal(size=(4, 5, 9)).astype(np.float32), rng.integers(0, 9, shape).astype(dtype)
    expected = tfp.distributions.Categorical(logits=logits).log_prob(values.astype(np.int32))
    ours = tf.function(
        lambda logits, values: Levels(logits=logits).log_prob(values),
        input_signature=[
            tf.TensorSpec((None, 5, 9), tf.float32),
            tf.TensorSpec((None,) * (len(shape) - 1) + (5,), dtype),
        ],
    )
    np.testing.assert_allclose(ours(logits, values), expected, rtol=1e-6)
    gradient = tfp.math.value_and_gradient(lambda one: Levels(logits=one).log_prob(values), logits)[1]
    wanted = tfp.math.value_and_gradient(
        lambda one: tfp.distributions.Categorical(one).log_prob(values.astype(np.int32)), logits
    )[1]
    np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-6)


def test_levels_are_not_multiplied_by_ones_to_know_their_shape():
    graph = tf.function(lambda x, k: Levels(logits=x).log_prob(k)).get_concrete_function(
        tf.TensorSpec((None, 5, 9)), tf.TensorSpec((None, 5), tf.int32)
    )
    assert "Mul" not in {one.type for one in graph.graph.get_operations()}


def test_the_nearest_code_is_found_for_each_variable_of_its_own():
    y = tf.constant([[0.1, 0.6, 0.3, 0.98, 0.01, 0.01]])
    np.testing.assert_array_equal(OneHots(3).nearest(y), [[0, 1, 0, 1, 0, 0]])


def test_mistakes_are_named():
    with pytest.raises(InputError, match="1 classes"):
        OneHots(1)
    with pytest.raises(InputError, match="size 7"):
        OneHots(3).build(7)
    with pytest.raises(InputError, match=r"pass it with OneHots\(3\)"):
        UniformOneHots(3).check(OneHots(4))
    with pytest.raises(InputError, match=r"pass it with OneHots\(3\)"):
        UniformOneHots(3).check(DiagonalGaussian())
