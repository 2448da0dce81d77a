"""Numbers that can be relied on: where half precision ends, and sums that are the same on every run."""

from collections.abc import Iterable

import tensorflow as tf


def full(x) -> tf.Tensor:
    """Casts half-precision floats to float32; heads, divergences and penalties begin with it."""
    return tf.cast(x, tf.float32) if x.dtype in (tf.bfloat16, tf.float16) else x


def steady_sum(addends: Iterable[tf.Tensor]) -> tf.Tensor:
    """Returns the sum of tensors of one shape, the same to the last bit on every run.

    `tf.add_n`, which Grappler makes of a chain of additions too, adds to whichever addend's buffer is free first.
    """
    return tf.reduce_sum(tf.stack(list(addends)), 0)
