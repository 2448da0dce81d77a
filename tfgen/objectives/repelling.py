"""What keeps generated examples apart."""

import tensorflow as tf


def pulling_away(codes) -> tf.Tensor:
    r"""Returns how much the codes of a batch point in the same directions (Zhao, Mathieu & LeCun 2017, eq. 4).

    .. math:: \frac{1}{B (B - 1)} \sum_i \sum_{j \ne i} \Big( \frac{S_i^T S_j}{\|S_i\| \|S_j\|} \Big)^2

    a scalar in [0, 1]: 1 where all are parallel, 0 where all are orthogonal. A single code, or one of zeros, is
    parallel to none.

    Arguments:
        codes: S, float32 `(batch, ...)`.
    """
    count = tf.shape(codes)[0]
    flat = tf.reshape(codes, (count, -1))
    # The root of a number above zero: at a code of zeros the length itself has no slope.
    directions = flat * tf.math.rsqrt(tf.reduce_sum(tf.square(flat), -1, keepdims=True) + 1e-12)
    squares = tf.square(tf.matmul(directions, directions, transpose_b=True))
    others = tf.linalg.set_diag(squares, tf.zeros(count))
    return tf.math.divide_no_nan(tf.reduce_sum(others), tf.cast(count * (count - 1), tf.float32))
