"""Weight-normalised convolutions of PixelCNN++, for whole pictures, for rows, and for one pixel at a time."""

import abc
from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.layers.products import times


class Weights(NamedTuple):
    """What a convolution multiplies with and adds.

    Arguments:
        kernel: `(height, width, channels, filters)`.
        bias: `(filters,)`.
    """

    kernel: tf.Tensor
    bias: tf.Tensor

    def matrix(self, *taps) -> tf.Tensor:
        """Returns the kernel at (row, column) of each tap, one below the other: `(taps * channels, filters)`."""
        return tf.concat([self.kernel[row, column] for row, column in taps], 0)


class WeightNormalized(keras.layers.Layer, abc.ABC):
    r"""Convolution with separate directions and lengths of its weights (Salimans & Kingma 2016, eq. 2).

    .. math:: y = g \, \frac{v}{\|v\|} * x + b

    `layer(x, initialize=True)` first sets g and b such that y, on this batch, has mean 0 and standard deviation
    `init_scale` in each filter (section 3 of the paper).

    Arguments:
        filters: channels of the output.
        kernel_size: `(height, width)`.
        centred: whether the field lies around the pixel's column (its width then odd), or ends there.
        init_scale: standard deviation of the output on the first batch.
    """

    def __init__(self, filters: int, kernel_size: Sequence[int], *, centred: bool, init_scale: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        height, width = kernel_size
        if centred and width % 2 == 0:
            raise InputError(f"{type(self).__name__}: a centred field of width {width}, expected an odd number")
        self.filters, self.kernel_size, self.centred, self.init_scale = filters, (height, width), centred, init_scale

    def build(self, input_shape):
        shape, normal = (*self.kernel_size, input_shape[-1], self.filters), keras.initializers.RandomNormal(stddev=0.05)
        # Not cast to half precision before the norm is taken.
        self.v = self.add_weight(name="v", shape=shape, initializer=normal, autocast=False)
        self.g = self.add_weight(name="g", shape=(self.filters,), initializer="ones", autocast=False)
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros", autocast=False)

    def directions(self) -> tf.Tensor:
        """Returns the weights of each filter at length 1."""
        return tf.math.l2_normalize(self.v.value, (0, 1, 2))

    def weights_now(self) -> Weights:
        """Returns the weights in the precision that the layer computes in."""
        kernel = self.g.value * self.directions()
        return Weights(tf.cast(kernel, self.compute_dtype), tf.cast(self.bias.value, self.compute_dtype))

    def call(self, x, initialize=False):
        """Computes a whole picture, `(batch, height, width, channels)` to `(batch, ..., filters)`."""
        if initialize:
            return self._initialize(x)
        kernel, bias = self.weights_now()
        return tf.nn.bias_add(self.convolve(x, kernel), bias)

    def _initialize(self, x) -> tf.Tensor:
        y = self.convolve(tf.cast(x, self.variable_dtype), self.directions())
        mean, variance = tf.nn.moments(y, (0, 1, 2))
        scale = self.init_scale / tf.sqrt(variance + 1e-8)
        self.g.assign(scale)
        self.bias.assign(-mean * scale)
        return tf.cast((y - mean) * scale, self.compute_dtype)

    @abc.abstractmethod
    def convolve(self, x, kernel) -> tf.Tensor:
        """Returns the whole picture convolved with a kernel."""

    def get_config(self):
        own = ("filters", "kernel_size", "centred", "init_scale")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable("tfgen")
class ShiftedConv2D(WeightNormalized):
    """Weight-normalised convolution whose field ends at the pixel's row, and at its column unless centred.

    Beyond the border it sees zeros.

    Arguments:
        filters, kernel_size, centred, init_scale: see `WeightNormalized`.
        stride: 2 computes every second row and column, from the first.
    """

    def __init__(self, filters, kernel_size, *, centred, init_scale=1.0, stride: int = 1, **kwargs):
        super().__init__(filters, kernel_size, centred=centred, init_scale=init_scale, **kwargs)
        self.stride = stride
        width = self.kernel_size[1]
        self.padding = [width // 2, width // 2] if centred else [width - 1, 0]

    def convolve(self, x, kernel):
        # Padded apart, since the gradients of a convolution that pads unevenly itself take twice as long.
        x = tf.pad(x, [[0, 0], [self.kernel_size[0] - 1, 0], self.padding, [0, 0]])
        return tf.nn.conv2d(x, kernel, self.stride, "VALID")

    def row(self, weights: Weights, rows: Sequence[tf.Tensor]) -> tf.Tensor:
        """Computes one row of outputs, or what the rows above contribute to it.

        Arguments:
            weights: from `weights_now`.
            rows: as many of the rows in the field as are known, from the top, each `(width, batch, channels)`.

        Returns:
            `(width / stride, batch, filters)`, the bias included.
        """
        width, columns = self.kernel_size[1], rows[0].shape[0]
        # One product for all rows and columns of the field, moved afterwards: that copies less than moved inputs would.
        taps = tf.transpose(weights.kernel[: len(rows)], (0, 2, 1, 3))
        inputs = tf.pad(tf.concat(rows, -1), [self.padding, [0, 0], [0, 0]])
        products = times(inputs, tf.reshape(taps, (inputs.shape[-1], -1)))
        sums = weights.bias  # perhaps a variable, which has no sum in place
        for tap in range(width):
            own = slice(tap * self.filters, (tap + 1) * self.filters)
            sums = sums + products[tap : tap + columns : self.stride, :, own]
        return sums

    def get_config(self):
        return {**super().get_config(), "stride": self.stride}


@keras.saving.register_keras_serializable("tfgen")
class ShiftedConv2DTranspose(WeightNormalized):
    """Weight-normalised transposed convolution of stride 2: from a cell to two rows by two columns, below and right.

    A centred field of width 3 gives to the column left of these two as well.
    """

    def convolve(self, x, kernel):
        height, width = 2 * tf.shape(x)[1], 2 * tf.shape(x)[2]
        # What a centred field would give beyond the left border, and what a wide one beyond the right, is cut off.
        size = tf.stack([tf.shape(x)[0], height, width + self.kernel_size[1] - 2, self.filters])
        y = tf.nn.conv2d_transpose(x, tf.transpose(kernel, (0, 1, 3, 2)), size, 2, "VALID")
        return tf.slice(y, [0, 0, 1, 0], [-1, -1, -1, -1]) if self.centred else y

    def row(self, weights: Weights, row, which: int) -> tf.Tensor:
        """Computes one of the two rows of outputs, `(width, batch, channels)` to `(2 * width, batch, filters)`.

        Arguments:
            weights: from `weights_now`.
            row: of inputs.
            which: 0 for the upper row of outputs, 1 for the lower.
        """
        if self.centred:
            right = tf.pad(row[1:], [[0, 1], [0, 0], [0, 0]])
            even = times(row, weights.matrix((which, 1)))
            odd = times(tf.concat([row, right], -1), weights.matrix((which, 2), (which, 0)))
        else:
            even, odd = (times(row, weights.matrix((which, tap))) for tap in (0, 1))
        return tf.reshape(tf.stack([even, odd], 1), (2 * row.shape[0], -1, self.filters)) + weights.bias
