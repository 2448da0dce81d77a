"""Lines between codes, and sums of them."""

import tensorflow as tf


def places(steps) -> tf.Tensor:
    """Returns `steps` numbers from 0 to 1 at even distances, float32 `(steps, 1)`."""
    # By fewer operations than tf.linspace, which is for other ends, axes and types, too.
    return (tf.range(tf.cast(steps, tf.float32)) / tf.maximum(tf.cast(steps, tf.float32) - 1.0, 1.0))[:, None]


def straight(start, stop, t) -> tf.Tensor:
    """Returns the codes on straight lines from `start` (t = 0) to `stop` (t = 1); all three are broadcast."""
    return (1.0 - t) * start + t * stop


def arc(start, stop, t) -> tf.Tensor:
    """Returns the codes on arcs around the origin from `start` (t = 0) to `stop` (t = 1), at even angles.

    On the straight line between two Gaussian codes lie some that are too short to be typical (T. White, "Sampling Generative
    Networks", 2016, eq. 1, https://arxiv.org/abs/1609.04468).

    Arguments:
        start: float32 `(..., size)`.
        stop: float32 `(..., size)`.
        t: `(..., 1)`; all three are broadcast.
    """
    norms = tf.norm(start, axis=-1, keepdims=True) * tf.norm(stop, axis=-1, keepdims=True)
    # A code of zeros has no direction; it counts as orthogonal.
    cosine = tf.math.divide_no_nan(tf.reduce_sum(start * stop, -1, keepdims=True), norms)
    angle = tf.acos(tf.clip_by_value(cosine, -1.0 + 1e-6, 1.0 - 1e-6))
    return (tf.sin((1.0 - t) * angle) * start + tf.sin(t * angle) * stop) / tf.sin(angle)


def analogy(a, b, c) -> tf.Tensor:
    """Returns mean(a) - mean(b) + mean(c), `(1, size)`, of codes `(count, size)` each."""
    mean_a, mean_b, mean_c = (tf.reduce_mean(z, 0, keepdims=True) for z in (a, b, c))
    return mean_a - mean_b + mean_c
