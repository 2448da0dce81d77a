"""Layers whose kernel is divided by its largest singular value."""

import keras
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.precision import full


@keras.saving.register_keras_serializable("tfgen")
class SpectralNorm(keras.layers.Wrapper):
    r"""A layer that works with W / sigma(W) in place of its kernel W (Miyato et al. 2018, eq. 8 and algorithm 1).

    .. math:: v = \frac{W^T u}{\|W^T u\|}, \quad u \leftarrow \frac{W v}{\|W v\|}, \quad \sigma(W) \approx u^T W v

    One step of the power iteration per call; u is kept from one training call to the next, and saved. The gradient
    flows through sigma but not through u and v; so it has, once they have converged, no part along W. The kernel itself
    is not changed, and is what an optimizer moves.

    W is a matrix with a row for each output: that of a convolution has a column for each pixel of its field and each
    input channel. Its largest singular value is not that of the convolution as a linear map, but a good stand-in.

    Arguments:
        layer: one with a kernel: Dense, a convolution, a transposed convolution, or one of your own.
        output_axis: axis of the kernel that counts the outputs; the last, and for Keras' transposed convolutions the
            last but one, unless given.

    Raises:
        InputError: the layer has no kernel.
    """

    def __init__(self, layer: keras.layers.Layer, *, output_axis: int | None = None, **kwargs):
        # Never computing in half precision, it reads the kernel as it is stored; the layer casts for itself.
        kwargs["dtype"] = layer.variable_dtype
        super().__init__(layer, autocast=False, **kwargs)
        self.output_axis = output_axis

    def build(self, input_shape):
        super().build(input_shape)
        if not hasattr(self.layer, "kernel"):
            raise InputError(f"SpectralNorm: {type(self.layer).__name__} {self.layer.name!r} has no kernel")
        kernel = self._matrix()
        self.u = self.add_weight(
            name="u", shape=(kernel.shape[1],), initializer="random_normal", dtype=kernel.dtype.name, trainable=False,
            aggregation="only_first_replica",
        )  # fmt: skip

    @property
    def kernel(self) -> keras.Variable:
        """The layer's own W, which is trained."""
        return self.layer.kernel

    def _matrix(self) -> tf.Tensor:
        """Returns the transpose of W, which takes no copy where the outputs are counted by the last axis."""
        kernel, axis = full(tf.convert_to_tensor(self.layer.kernel)), self.output_axis
        if axis is None:
            axis = -2 if isinstance(self.layer, _TRANSPOSED) else -1
        others = [index for index in range(kernel.shape.rank) if index != axis % kernel.shape.rank]
        if others[-1] == kernel.shape.rank - 1:
            kernel = tf.transpose(kernel, (*others, axis % kernel.shape.rank))
        return tf.reshape(kernel, (-1, kernel.shape[-1]))

    def _power_iteration(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the next u, and sigma."""
        transpose = self._matrix()
        fixed = tf.stop_gradient(transpose)
        v = tf.math.l2_normalize(tf.linalg.matvec(fixed, self.u.value))
        u = tf.math.l2_normalize(tf.linalg.matvec(fixed, v, transpose_a=True))
        return u, tf.tensordot(v, tf.linalg.matvec(transpose, u), 1)

    def sigma(self) -> tf.Tensor:
        """Returns the estimate of the largest singular value that a call would divide by now, a float32 scalar."""
        return self._power_iteration()[1]

    def call(self, x, training=False):
        u, sigma = self._power_iteration()
        if training:
            self.u.assign(u)
        # A kernel of zeros stays one.
        normalized = full(tf.convert_to_tensor(self.layer.kernel)) / tf.maximum(sigma, 1e-12)
        with keras.StatelessScope([(self.layer.kernel, normalized)]):
            return self.layer(x)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def compute_output_spec(self, x, training=False):
        return self.layer.compute_output_spec(x)

    def get_config(self):
        return {**super().get_config(), "output_axis": self.output_axis}


_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)


def spectrally_normalized(network: keras.Model) -> keras.Model:
    """Returns a copy of a network, with its weights, in which all layers that have a kernel are wrapped.

    Arguments:
        network: Sequential or functional, built.

    Raises:
        InputError: none of its layers has a kernel.
    """

    def wrapped(layer: keras.layers.Layer) -> keras.layers.Layer:
        copy = type(layer).from_config(layer.get_config())
        normalize = hasattr(layer, "kernel") and not isinstance(layer, SpectralNorm)
        return SpectralNorm(copy, name=layer.name) if normalize else copy

    copy = keras.models.clone_model(network, clone_function=wrapped)
    pairs = list(zip(network.layers, copy.layers, strict=True))
    if not any(isinstance(new, SpectralNorm) for _, new in pairs):
        raise InputError(f"spectrally_normalized: no layer of {network.name!r} has a kernel; build it first")
    for old, new in pairs:
        (new.layer if type(new) is not type(old) else new).set_weights(old.get_weights())
    return copy
