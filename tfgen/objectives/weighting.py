"""Weights of draws whose distribution cannot be differentiated; no gradient passes through them."""

import tensorflow as tf


def importance_weights(log_ratio) -> tf.Tensor:
    r"""Returns self-normalised importance weights of several draws (Hjelm et al. 2018).

    .. math:: \tilde w^m = \frac{e^{l^m}}{\sum_{m'} e^{l^{m'}}}

    Arguments:
        log_ratio: l, log p/q up to a constant, `(draws, ...)`.

    Returns:
        `(draws, ...)`; the sum over the draws is 1.
    """
    return tf.stop_gradient(tf.nn.softmax(log_ratio, 0))


def advantages(reward) -> tf.Tensor:
    r"""Returns the weights of draws whose log-probabilities then have REINFORCE's gradient (Williams 1992).

    .. math:: a^m = \frac{1}{M} \Big( r^m - \frac{1}{M - 1} \sum_{m' \ne m} r^{m'} \Big)

    The baseline is the mean of the other draws, of which the draw itself is independent, so that
    sum_m a^m grad log q(x^m) has the expectation grad E_q[r].

    Arguments:
        reward: r, `(draws, ...)`, of two draws at least.

    Returns:
        `(draws, ...)`; the sum over the draws is 0.
    """
    others = tf.cast(tf.shape(reward)[0] - 1, reward.dtype)
    return tf.stop_gradient((reward - tf.reduce_mean(reward, 0)) / others)


def effective_sample_size(weights) -> tf.Tensor:
    r"""Returns how many equal weights would be as good as these, 1 to the number of draws, `(...)`.

    .. math:: \frac{(\sum_m w^m)^2}{\sum_m (w^m)^2}

    Arguments:
        weights: not negative, `(draws, ...)`.
    """
    return tf.square(tf.reduce_sum(weights, 0)) / tf.reduce_sum(tf.square(weights), 0)
