"""Tensors that a loop fills."""

import tensorflow as tf


def write(buffer, index, value) -> tf.Tensor:
    """Returns `buffer` with `value` at `index` of its first axis."""
    return tf.tensor_scatter_nd_update(buffer, [[index]], value[None])
