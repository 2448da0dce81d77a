import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import DiscretizedLogistic, Observed

tfd = tfp.distributions

KNOWN = np.array([True, False, True, False])
VALUE = np.array([3.0, np.nan, 0.0, 7.0], np.float32)


def observed(batch=()):
    rng = np.random.default_rng(0)
    loc = tf.constant(rng.normal(size=(*batch, 4)), tf.float32)
    return DiscretizedLogistic(loc, tf.zeros_like(loc), 5), Observed(
        DiscretizedLogistic(loc, tf.zeros_like(loc), 5), VALUE, KNOWN
    )


def draw(p):
    return p.sample(50, seed=(0, 1))


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_what_is_known_is_certain_and_the_rest_as_before(batch):
    before, now = observed(batch)
    assert now.batch_shape == (*batch, 4)
    y = np.random.default_rng(1).integers(0, 5, (6, *batch, 4)).astype(np.float32)
    for said, known in ((lambda p: p.log_prob(y), 0.0), (lambda p: p.mean(), VALUE), (draw, VALUE)):
        expected = np.where(KNOWN, known, said(before))
        np.testing.assert_array_equal(said(now), expected)


def test_probabilities_of_all_that_is_hidden_sum_to_one():
    _, now = observed()
    y = np.stack(np.meshgrid(*[np.arange(5)] * 2), -1).reshape(-1, 2)
    whole = np.broadcast_to(VALUE, (25, 4)).copy()
    whole[:, ~KNOWN] = y
    p = tfd.Independent(now, 1).prob(whole)
    assert np.sum(p) == pytest.approx(1.0, abs=1e-5)
    assert np.max(p) < 0.5


def test_what_is_known_has_no_gradient():
    loc, y = tf.Variable(tf.zeros(4)), tf.constant([1.0, 2.0, 3.0, 4.0])
    with tf.GradientTape() as tape:
        tape.watch(y)
        log_prob = tf.reduce_sum(Observed(tfd.Normal(loc, 1.0), VALUE, KNOWN).log_prob(y))
    for gradient in tape.gradient(log_prob, [loc, y]):
        np.testing.assert_array_equal(gradient.numpy() != 0.0, ~KNOWN)


def test_draws_have_the_gradient_of_what_is_hidden():
    loc = tf.Variable(tf.zeros(4))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(Observed(tfd.Normal(loc, 1.0), VALUE, KNOWN).sample(seed=(0, 1)))
    np.testing.assert_array_equal(tape.gradient(total, loc), ~KNOWN)
