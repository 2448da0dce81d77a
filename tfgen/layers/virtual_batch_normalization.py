"""Batch normalisation by a batch that is chosen once, so that examples do not depend on their neighbours."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgen")
class VirtualBatchNormalization(keras.layers.Layer):
    r"""Virtual batch normalisation (Salimans et al. 2016, section 3.5), within `VirtualBatch`.

    .. math::
        \mu_i = \frac{n \mu_{ref} + x_i}{n + 1}, \qquad \sigma_i^2 = \frac{n E_{ref}[x^2] + x_i^2}{n + 1} - \mu_i^2,
        \qquad y_i = \gamma \frac{x_i - \mu_i}{\sqrt{\sigma_i^2 + \epsilon}} + \beta

    The first n examples of what the layer takes, `(n + batch, ..., features)`, are the reference batch; its examples
    are normalised with its statistics alone, each other example with these and its own. Statistics are over all axes
    but the last, in float32. There is no difference between training and inference.

    Arguments:
        reference_size: n.
        epsilon: added to variances.
    """

    def __init__(self, reference_size: int, epsilon: float = 1e-5, **kwargs):
        super().__init__(**kwargs)
        self.reference_size, self.epsilon = reference_size, epsilon

    def build(self, input_shape):
        self.gamma = self.add_weight(name="gamma", shape=(input_shape[-1],), initializer="ones")
        self.beta = self.add_weight(name="beta", shape=(input_shape[-1],), initializer="zeros")

    def call(self, x):
        n, wide = self.reference_size, tf.cast(x, tf.float32)
        reference, others = tf.split(wide, [n, tf.shape(x)[0] - n])
        axes = list(range(1, x.shape.rank - 1))
        mean, square = (tf.reduce_mean(part, [0, *axes], keepdims=True) for part in (reference, tf.square(reference)))
        own, own_square = others, tf.square(others)
        if axes:
            own, own_square = (tf.reduce_mean(part, axes, keepdims=True) for part in (own, own_square))
        means, squares = (n * mean + own) / (n + 1.0), (n * square + own_square) / (n + 1.0)
        y = tf.concat([self._normalized(reference, mean, square), self._normalized(others, means, squares)], 0)
        return tf.ensure_shape(tf.cast(y, x.dtype), x.shape)

    def _normalized(self, x, mean, square) -> tf.Tensor:
        # A difference of rounded squares can fall below 0.
        variance = tf.maximum(square - tf.square(mean), 0.0)
        gamma, beta = (tf.cast(tf.convert_to_tensor(weight), tf.float32) for weight in (self.gamma, self.beta))
        return gamma * (x - mean) * tf.math.rsqrt(variance + self.epsilon) + beta

    def get_config(self):
        return {**super().get_config(), "reference_size": self.reference_size, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("tfgen")
class VirtualBatch(keras.layers.Layer):
    """A network that sees a reference batch before each batch, for its `VirtualBatchNormalization` layers.

    The reference batch is drawn when the layer is built, and saved with the weights. It runs through the network along
    with every batch, so that its statistics are those of the present weights.

    Arguments:
        network: with layers of the same `reference_size`; it takes and gives one tensor.
        reference_size: examples of the reference batch.
        initializer: what the reference batch is drawn from, as the other batches are.
    """

    def __init__(self, network: keras.layers.Layer, reference_size: int, initializer, **kwargs):
        super().__init__(**kwargs)
        self.network, self.reference_size = network, reference_size
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape):
        shape = (self.reference_size, *input_shape[1:])
        self.reference = self.add_weight(name="reference", shape=shape, initializer=self.initializer, trainable=False)
        if not self.network.built:
            self.network.build(input_shape)

    def call(self, inputs, training=None):
        reference = tf.cast(tf.convert_to_tensor(self.reference), inputs.dtype)
        outputs = self.network(tf.concat([reference, inputs], 0), training=training)
        _, rest = tf.split(outputs, [self.reference_size, tf.shape(inputs)[0]])
        return tf.ensure_shape(rest, (inputs.shape[0], *outputs.shape[1:]))

    def get_config(self):
        own = {"network": keras.saving.serialize_keras_object(self.network), "reference_size": self.reference_size}
        return {**super().get_config(), **own, "initializer": keras.initializers.serialize(self.initializer)}

    @classmethod
    def from_config(cls, config):
        return cls(**config | {"network": keras.saving.deserialize_keras_object(config["network"])})
