"""Dense layer that sees only inputs of lower degree, for whole vectors and for one input at a time."""

import keras
import tensorflow as tf

from tfgen.precision import full


@keras.saving.register_keras_serializable("tfgen")
class MaskedDense(keras.layers.Layer):
    r"""Masked layer of MADE (Germain et al. 2015, equations 12, 13 and 17).

    .. math:: y = (W \odot M)^T x + (U \odot M)^T 1 + b, \quad M_{ij} = 1[m_i \le m_j], \text{ strict: } 1[m_i < m_j]

    The degrees m are inputs of the call, so that a network can change its masks without being traced anew.

    The same weights serve two calls. `layer(x, degrees_in, degrees_out)` computes all units. `push` adds to running
    sums what inputs contribute once they are known. It needs no masks: what reaches a unit after its own degree's turn
    comes too late to be read.

    Arguments:
        units: number of outputs.
        strict: whether an output sees lower degrees only, not its own.
        use_bias: whether there is b.
        sees_mask: whether there is U, which tells a unit which of its inputs the mask lets through.
        kernel_initializer: of W.
    """

    def __init__(
        self,
        units: int,
        *,
        strict: bool = False,
        use_bias: bool = True,
        sees_mask: bool = False,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units, self.strict, self.use_bias, self.sees_mask = units, strict, use_bias, sees_mask
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape, *degrees):
        shape = (input_shape[-1], self.units)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer)
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros") if self.use_bias else None
        self.mask_kernel = (
            self.add_weight(name="mask_kernel", shape=shape, initializer="glorot_uniform") if self.sees_mask else None
        )

    def call(self, x, degrees_in, degrees_out):
        """Computes all units.

        Arguments:
            x: `(batch, inputs)`.
            degrees_in: of the inputs, int32 `(inputs,)`.
            degrees_out: of the units, int32 `(units,)`.

        Returns:
            `(batch, units)`.
        """
        degrees_in = degrees_in[:, None]
        mask = tf.cast(degrees_in < degrees_out if self.strict else degrees_in <= degrees_out, self.compute_dtype)
        y = tf.matmul(x, tf.convert_to_tensor(self.kernel) * mask)
        if self.sees_mask:
            y += tf.reduce_sum(tf.convert_to_tensor(self.mask_kernel) * mask, 0)
        return y + tf.convert_to_tensor(self.bias) if self.use_bias else y

    def step_weights(self) -> dict[str, tf.Tensor]:
        """Returns the weights for `start` and `push`. Below the kernels stands a row of zeros, for no input."""
        weights = {"kernel": self.kernel, "bias": self.bias, "mask_kernel": self.mask_kernel}
        weights = {n: full(tf.cast(w.value, self.compute_dtype)) for n, w in weights.items() if w is not None}
        return {n: tf.pad(w, [[0, 1], [0, 0]]) if w.shape.rank == 2 else w for n, w in weights.items()}

    def start(self, batch, weights: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the sums of units that have seen nothing, `(batch, units)`."""
        if not self.use_bias:
            return tf.zeros((batch, self.units), weights["kernel"].dtype)
        return tf.tile(weights["bias"][None], (batch, 1))

    def push(self, sums, values, inputs, weights: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the sums with the contributions of some inputs.

        Arguments:
            sums: `(batch, units)`.
            values: of the inputs, `(batch, count)`.
            inputs: which they are, int32 `(batch, count)`, or `(1, count)` where they are the same for all; the number
                of inputs itself stands for none.
            weights: from `step_weights`.
        """
        # Not as a product of matrices: these are so thin that XLA had better fuse them with the sum.
        shares = values[..., None] * tf.gather(weights["kernel"], inputs)
        if self.sees_mask:
            shares += tf.gather(weights["mask_kernel"], inputs)
        return sums + tf.reduce_sum(shares, 1)

    def get_config(self):
        own = {"units": self.units, "strict": self.strict, "use_bias": self.use_bias, "sees_mask": self.sees_mask}
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), **own, "kernel_initializer": initializer}
