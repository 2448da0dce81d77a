"""Penalties on the gradient of a score."""

from collections.abc import Callable

import tensorflow as tf


def between(real, fake, seed) -> tf.Tensor:
    r"""Returns points on the lines between pairs, each at a place of its own (Gulrajani et al. 2017, algorithm 1).

    .. math:: \hat x = \epsilon x + (1 - \epsilon) \tilde x, \quad \epsilon \sim U(0, 1)

    Arguments:
        real, fake: `(batch, ...)`.
        seed: int32 `(2,)`.
    """
    shape = tf.concat([tf.shape(real)[:1], tf.ones(real.shape.rank - 1, tf.int32)], 0)
    epsilon = tf.cast(tf.random.stateless_uniform(shape, seed, alg="philox"), real.dtype)
    return epsilon * real + (1.0 - epsilon) * fake


def gradient_norms(score: Callable[[tf.Tensor], tf.Tensor], x) -> tf.Tensor:
    """Returns the Euclidean length of each example's gradient of a score, float32 `(batch,)`.

    Where the gradient is zero, the length itself has a gradient of zero instead of none.

    Arguments:
        score: from examples to `(batch,)`; an example's score depends on no other example.
        x: `(batch, ...)`.
    """
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(score(x))
    slope = tf.cast(tape.gradient(total, x), tf.float32)
    squares = tf.reduce_sum(tf.square(slope), tf.range(1, tf.rank(slope)))
    # The root of the smaller number has a slope of 5e5, which a square's slope of 0 takes to 0.
    return tf.sqrt(squares + 1e-12)


def gradient_penalty(
    score: Callable[[tf.Tensor], tf.Tensor], x, *, target: float = 1.0, one_sided: bool = False
) -> tf.Tensor:
    r"""Returns how far a score's gradients are from a length (Gulrajani et al. 2017, eq. 3), a scalar.

    .. math:: E[(\|\nabla l(x)\|_2 - t)^2], \quad \text{one-sided} \quad E[\max(0, \|\nabla l(x)\|_2 - t)^2]

    Arguments:
        score: see `gradient_norms`.
        x: where the gradients are taken, `(batch, ...)`.
        target: t.
        one_sided: whether shorter gradients are free.
    """
    excess = gradient_norms(score, x) - target
    return tf.reduce_mean(tf.square(tf.nn.relu(excess) if one_sided else excess))
