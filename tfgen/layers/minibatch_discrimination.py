"""Features of an example that say how close the others of its batch are."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgen")
class MinibatchDiscrimination(keras.layers.Layer):
    r"""Minibatch discrimination (Salimans et al. 2016, section 3.2).

    .. math::
        M_i = f(x_i) T, \qquad o(x_i)_b = \sum_{j \ne i} \exp(-\|M_{i,b} - M_{j,b}\|_1) + a_b

    with a bias a as in the authors' code. A batch whose examples are alike has large o, so that a discriminator behind
    this layer notices a collapse. Real and generated examples are to be shown to it in batches of their own.

    Takes features `(batch, features)`, and gives them with o behind them, `(batch, features + kernels)`; distances are
    computed in float32.

    Arguments:
        kernels: B, number of distances.
        size: C, numbers of which a distance is the sum.
    """

    def __init__(self, kernels: int, size: int = 5, **kwargs):
        super().__init__(**kwargs)
        self.kernels, self.size = kernels, size

    def build(self, input_shape):
        initializer = keras.initializers.RandomNormal(stddev=0.05)
        shape = (input_shape[-1], self.kernels * self.size)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=initializer)
        minus_one = keras.initializers.Constant(-1.0)
        self.bias = self.add_weight(name="bias", shape=(self.kernels,), initializer=minus_one)

    def call(self, features):
        kernel = tf.cast(tf.convert_to_tensor(self.kernel), tf.float32)
        projected = tf.reshape(tf.matmul(tf.cast(features, tf.float32), kernel), (-1, self.kernels, self.size))
        distances = tf.reduce_sum(tf.abs(projected[:, None] - projected[None]), -1)
        # Not by an infinite distance, whose gradient is no number.
        others = 1.0 - tf.eye(tf.shape(distances)[0])
        closeness = tf.reduce_sum(tf.exp(-distances) * others[..., None], 1)
        closeness += tf.cast(tf.convert_to_tensor(self.bias), tf.float32)
        return tf.concat([features, tf.cast(closeness, features.dtype)], -1)

    def get_config(self):
        return {**super().get_config(), "kernels": self.kernels, "size": self.size}
