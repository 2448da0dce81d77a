"""Layers joined by features, beside densities that numpy computes layer by layer."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import AutoregressiveNormal, Memory, Rung, TopDown

tfd = tfp.distributions

# Three layers, z_1 first, of maps with two, one and three groups; features are sums of all that was above.
SHAPES = ((2, 2, 2), (2, 1, 1), (1, 1, 3))


def ordered(z):
    """m and s of each number of maps with few numbers, from those before it, as a network with masks would give them."""
    flat = tf.reshape(z, (-1, int(np.prod(z.shape[1:]))))
    before = tf.cumsum(flat, -1, exclusive=True)
    return tf.reshape(0.3 * tf.sin(before) + 0.1, tf.shape(z)), tf.reshape(0.2 * tf.cos(before), tf.shape(z))


def parameters(h, shape, shift):
    """Mean and scale of a layer's numbers, the same for tensors and arrays, from features `(rows, 1)`."""
    ones = np.ones((1, *shape), np.float32) * np.arange(1.0, 1.0 + shape[-1], dtype=np.float32)
    return h[:, :, None, None] * 0.3 * ones + shift, 0.5 + 0.1 * h[:, :, None, None] ** 2 + 0.0 * ones


def steps(x=None, bend=False, calls=None):
    def step(shape, h):
        if calls is not None:
            calls.append(shape)
        p, q = tfd.Normal(*parameters(h, shape, 0.0)), None
        if x is not None:
            q = tfd.Normal(*parameters(h + tf.tile(x, (tf.shape(h)[0] // tf.shape(x)[0], 1)), shape, 0.5))
            q = AutoregressiveNormal(q, ordered) if bend else q
        return Rung(p, q, lambda z: 0.5 * h + tf.reduce_mean(z, (1, 2, 3))[:, None])

    return [lambda h, shape=shape: step(shape, h) for shape in SHAPES[::-1]]


def chain(x=None, bend=False, memory=None, calls=None):
    batch = None if x is None else tf.shape(x)[0]
    return TopDown(lambda rows: tf.ones((rows, 1)), steps(x, bend, calls), SHAPES, batch=batch, memory=memory)


X = tf.constant([[0.2], [-1.0], [0.7], [0.1]])


def densities(z, x=None):
    """log density of each code's layers and groups, `(rows, groups of all layers)`, z_1's first, in numpy."""
    parts = np.split(z.astype(np.float64), np.cumsum([np.prod(shape) for shape in SHAPES])[:-1], -1)
    h, found = np.ones((len(z), 1)), []
    for shape, part in list(zip(SHAPES, parts, strict=True))[::-1]:
        part = part.reshape(-1, *shape)
        loc, scale = parameters(h if x is None else h + x, shape, 0.0 if x is None else 0.5)
        found.append(scipy.stats.norm.logpdf(part, loc, scale).sum((1, 2)))
        h = 0.5 * h + part.mean((1, 2, 3))[:, None]
    return np.concatenate(found[::-1], -1)


def test_the_density_of_a_prior_is_the_product_over_its_layers_of_what_is_given_above():
    z = np.random.default_rng(0).normal(size=(5, 3, 13)).astype(np.float32)
    p = chain()
    assert p.batch_shape == ()
    assert p.event_shape == (13,)
    expected = densities(z.reshape(-1, 13)).sum(-1).reshape(5, 3)
    np.testing.assert_allclose(p.log_prob(z), expected, rtol=1e-5)


def test_draws_of_a_prior_come_with_their_density_and_the_features_below_them():
    p = chain()
    descent = p.drawn((5, 3), seed=(0, 1))
    z = descent.z.numpy()
    np.testing.assert_allclose(descent.log_p, densities(z.reshape(-1, 13)).sum(-1).reshape(5, 3), rtol=1e-5)
    np.testing.assert_array_equal(p.sample((5, 3), seed=(0, 1)), z)
    np.testing.assert_allclose(descent.features, p.along(descent.z).features, rtol=1e-6)
    assert descent.log_q is None
    assert p.sample(seed=(0, 1)).shape == (13,)


def test_draws_of_a_posterior_come_with_both_densities_and_each_examples_own():
    q = chain(X)
    z, log_q = q.experimental_sample_and_log_prob(6, seed=(0, 1))
    assert z.shape == (6, 4, 13)
    descent = q.drawn(6, seed=(0, 1))
    for draw in range(6):
        own = descent.z[draw].numpy()
        np.testing.assert_allclose(log_q[draw], densities(own, X.numpy()).sum(-1), rtol=1e-5)
        np.testing.assert_allclose(descent.log_p[draw], densities(own).sum(-1), rtol=1e-5)
    np.testing.assert_allclose(q.log_prob(z), log_q, rtol=1e-5)


def test_rates_of_normal_layers_are_in_closed_form_given_those_above():
    x = tf.repeat(X[:1], 40_000, 0)
    descent = chain(x).drawn(seed=(0, 1))
    assert descent.rates.shape == (40_000, 6)
    by_draws = densities(descent.z.numpy(), x.numpy()) - densities(descent.z.numpy())
    error = (by_draws - descent.rates.numpy()).mean(0)
    np.testing.assert_array_less(np.abs(error), 5.0 * (by_draws - descent.rates.numpy()).std(0) / 200.0)
    # At the top nothing is above, so that there it is one number.
    top = descent.rates.numpy()[:, -3:]
    np.testing.assert_allclose(top, np.broadcast_to(top[:1], top.shape))
    (loc, scale), (mean, deviation) = (
        parameters(np.ones((1, 1)) + shift, SHAPES[-1], move) for shift, move in ((0.0, 0.0), (0.2, 0.5))
    )
    expected = np.log(scale / deviation) + (deviation**2 + (mean - loc) ** 2) / (2.0 * scale**2) - 0.5
    np.testing.assert_allclose(top[0], expected[0, 0, 0], rtol=1e-5)


def test_rates_of_bent_layers_are_log_ratios_of_the_draws_that_sum_to_the_whole():
    descent = chain(X, bend=True).drawn(6, seed=(0, 1))
    np.testing.assert_allclose(tf.reduce_sum(descent.rates, -1), descent.log_q - descent.log_p, rtol=1e-4, atol=1e-4)


def test_a_bent_draw_has_the_density_that_it_comes_with():
    """By E_q[r / q] = 1 for a density r within q, which a wrong log-determinant would miss."""
    base = tfd.Normal(tf.zeros((400_000, 1, 1, 2)) + [0.5, -0.3], [0.8, 1.2])
    z, log_q = (
        tf.reshape(part, (-1, 2)).numpy()
        for part in AutoregressiveNormal(base, ordered).experimental_sample_and_log_prob(seed=(0, 1))
    )
    ratio = np.exp(scipy.stats.multivariate_normal.logpdf(z, np.median(z, 0), 0.09 * np.eye(2)) - log_q.sum(-1))
    assert ratio.std() / np.sqrt(len(z)) < 0.01
    assert ratio.mean() == pytest.approx(1.0, abs=5.0 * ratio.std() / np.sqrt(len(z)))


def test_a_bent_posterior_knows_the_density_of_its_own_draws_only():
    q = chain(X, bend=True)
    with pytest.raises(NotImplementedError, match="own draws only"):
        q.log_prob(tf.zeros((4, 13)))


def test_while_a_memory_is_open_all_about_a_draw_takes_one_pass():
    memory, calls = Memory(), []
    p, q = chain(memory=memory, calls=calls), chain(X, bend=True, memory=memory, calls=calls)
    with memory.open():
        z, log_q = q.experimental_sample_and_log_prob(6, seed=(0, 1))
        answers = p.log_prob(z), q.log_prob(z), p.along(z).features
        assert len(calls) == len(SHAPES)
        # Other codes, though equal, are walked anew.
        np.testing.assert_allclose(p.log_prob(tf.identity(z)), answers[0], rtol=1e-5)
        assert len(calls) == 2 * len(SHAPES)
    np.testing.assert_array_equal(answers[1], log_q)
    np.testing.assert_allclose(answers[0][2], densities(z[2].numpy()).sum(-1), rtol=1e-5)
    p.log_prob(z)
    assert len(calls) == 3 * len(SHAPES)


def test_the_centre_takes_each_layers_mean_through_its_map():
    plain, bent = chain(X), chain(X, bend=True)
    z, scale = plain.centre()
    # Going down with the means is going along the code that they make.
    for loc_or_scale, found in enumerate((z, scale)):
        h, x, parts = np.ones((4, 1)), X.numpy(), []
        for shape in SHAPES[::-1]:
            numbers = parameters(h + x, shape, 0.5)
            parts.append(np.broadcast_to(numbers[loc_or_scale], (4, *shape)).reshape(4, -1))
            h = 0.5 * h + np.broadcast_to(numbers[0], (4, *shape)).mean((1, 2, 3))[:, None]
        np.testing.assert_allclose(found, np.concatenate(parts[::-1], -1), rtol=1e-5)
    top, deviation = (part[:, -3:].numpy() for part in bent.centre())
    mean = tf.reshape(z[:, -3:], (-1, 1, 1, 3))
    m, s = (part.numpy()[:, 0, 0] for part in ordered(mean))
    np.testing.assert_allclose(top, (z[:, -3:].numpy() - m) / np.exp(s), rtol=1e-5)
    np.testing.assert_allclose(deviation, scale[:, -3:].numpy() / np.exp(s), rtol=1e-5)
