"""Products over the last axis."""

import tensorflow as tf


def times(x, matrix) -> tf.Tensor:
    """Returns `x` times a matrix, `(..., inputs)` to `(..., outputs)`.

    Where at most one of the sizes is unknown this is one product between two reshapings; `tf.tensordot` works out its shapes
    from numbers, with ten operations more, which TF-Lite keeps and runs.
    """
    sizes = x.shape[:-1].as_list()
    if sizes.count(None) > 1:
        return tf.tensordot(x, matrix, 1)
    product = tf.matmul(tf.reshape(x, (-1, x.shape[-1])), matrix)
    return tf.reshape(product, (*(-1 if size is None else size for size in sizes), matrix.shape[-1]))
