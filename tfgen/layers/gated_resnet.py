"""Gated residual layer of PixelCNN++, for whole pictures, for rows, and for one pixel at a time."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from tfgen.layers.products import times
from tfgen.layers.shifted_conv import ShiftedConv2D


class RowCache(NamedTuple):
    """What a row needs of the row above: the inputs of both convolutions, each `(width, batch, ...)`."""

    inputs: tf.Tensor
    inner: tf.Tensor


@keras.saving.register_keras_serializable("tfgen")
class GatedResnet(keras.layers.Layer):
    r"""Gated residual layer (Salimans et al. 2017; the gate is that of van den Oord et al. 2016).

    .. math::
        c = W_1 * \phi(x) + \sum_i W_i \phi(a_i), \quad
        (a, b) = W_2 * dropout(\phi(c)) + V h, \quad y = x + a \odot \sigma(b)

    where phi is ELU of both signs, a_i are auxiliary inputs of the same pixel, and h is a class. A centred layer sees
    nothing of its own row in what it is fed, and computes whole rows; the other one computes a pixel at a time.

    Arguments:
        filters: features of input and output.
        centred: whether it sees the columns around a pixel, or up to it.
        auxiliary: number of auxiliary inputs, `filters` each.
        label_count: number of classes that the layer is conditional on, or 0.
    """

    def __init__(self, filters: int, *, centred: bool, auxiliary: int = 0, label_count: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.centred, self.auxiliary, self.label_count = filters, centred, auxiliary, label_count
        size, options = (2, 3 if centred else 2), {"centred": centred, "dtype": self.dtype_policy}
        self.conv_in = ShiftedConv2D(filters, size, name="conv_in", **options)
        self.conv_out = ShiftedConv2D(2 * filters, size, init_scale=0.1, name="conv_out", **options)
        self.link = ShiftedConv2D(filters, (1, 1), name="link", **options) if auxiliary else None

    def build(self, input_shape=None):
        self.conv_in.build((None, None, None, 2 * self.filters))
        self.conv_out.build((None, None, None, 2 * self.filters))
        if self.link:
            self.link.build((None, None, None, 2 * self.filters * self.auxiliary))
        if self.label_count:
            normal = keras.initializers.RandomNormal(stddev=0.05)
            self.of_label = self.add_weight(
                name="of_label", shape=(self.label_count, 2 * self.filters), initializer=normal, autocast=False
            )

    def call(self, x, auxiliary=(), label=None, dropout=0.0, seed=None, initialize=False):
        """Computes a whole picture, `(batch, height, width, filters)`.

        Arguments:
            x: the input.
            auxiliary: tensors of the same shape.
            label: int32 `(batch,)`.
            dropout: rate, 0 to drop nothing.
            seed: of the dropout, int32 `(2,)`.
            initialize: whether the convolutions are first fitted to this batch.
        """
        c = self.conv_in(both_signs(x), initialize=initialize)
        if self.link:
            c += self.link(tf.concat([both_signs(a) for a in auxiliary], -1), initialize=initialize)
        c = both_signs(c)
        if dropout:
            c = tf.nn.experimental.stateless_dropout(c, dropout, seed, rng_alg="philox")
        gates = self.conv_out(c, initialize=initialize)
        return x + gate(gates + self.of(label)[:, None, None] if self.label_count else gates)

    def of(self, label) -> tf.Tensor:
        """Returns what the class adds before the gate, `(batch or 1, 2 * filters)`."""
        if label is None:
            return tf.zeros((1, 2 * self.filters), self.compute_dtype)
        return tf.cast(tf.gather(self.of_label.value, label), self.compute_dtype)

    # Rows are (width, batch, features).

    def weights_now(self, label=None) -> dict:
        """Returns the weights of `row` or of `begin_row`, computed once for all rows."""
        convs = {"in": self.conv_in, "out": self.conv_out} | ({"link": self.link} if self.link else {})
        return {name: conv.weights_now() for name, conv in convs.items()} | {"label": self.of(label)}

    def row(self, x, auxiliary: Sequence[tf.Tensor], weights: dict, above: RowCache) -> tuple[tf.Tensor, RowCache]:
        """Computes a row of a centred layer.

        Arguments:
            x: `(width, batch, filters)`.
            auxiliary: of the same shape.
            weights: from `weights_now`.
            above: cache of the row above.

        Returns:
            The row of outputs, and the cache for the row below.
        """
        inputs = both_signs_of_cells(x)
        c = self.conv_in.row(weights["in"], [above.inputs, inputs])
        if self.link:
            c += self.link.row(weights["link"], [tf.concat([both_signs_of_cells(a) for a in auxiliary], -1)])
        inner = both_signs_of_cells(c)
        y = x + gate(self.conv_out.row(weights["out"], [above.inner, inner]) + weights["label"])
        return y, RowCache(inputs, inner)

    def begin_row(self, u, weights: dict, x_above, c_above) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes all that a row takes from the rows above.

        Arguments:
            u: the first auxiliary input, which is known for the whole row, `(width, batch, filters)`.
            weights: from `weights_now`.
            x_above: inputs of the row above, `(width, batch, filters)`.
            c_above: c of the row above, `(width, batch, filters)`.

        Returns:
            What c and the gate of each pixel start from, `(width, batch, filters)` and `(width, batch, 2 * filters)`.
        """
        link = weights["link"]
        known = times(both_signs_of_cells(u), link.kernel[0, 0, : 2 * self.filters]) + link.bias
        return (
            self.conv_in.row(weights["in"], [both_signs_of_cells(x_above)]) + known,
            self.conv_out.row(weights["out"], [both_signs_of_cells(c_above)]) + weights["label"],
        )

    def pixel_matrices(self, weights: dict) -> tuple[tf.Tensor, ...]:
        """Returns the weights of `pixel`: both convolutions' for the pixel and the one to its right, and shortcuts'."""

        def own_and_right(conv):
            return tf.concat([conv.kernel[1, 1], conv.kernel[1, 0]], -1)

        shortcuts = weights["link"].kernel[0, 0, 2 * self.filters :]
        return own_and_right(weights["in"]), shortcuts, own_and_right(weights["out"])

    def pixel(self, x, shortcuts: Sequence[tf.Tensor], matrices, before, left) -> tuple[tf.Tensor, tuple, tuple]:
        """Computes a pixel.

        Arguments:
            x: the input, `(batch, filters)`.
            shortcuts: the auxiliary inputs after the first, each `(batch, filters)`.
            matrices: from `pixel_matrices`.
            before: from `begin_row`, at this column.
            left: what the left neighbour gave for the right, zeros in the first column.

        Returns:
            The output, `(batch, filters)`; what this pixel gives for the right, `(batch, filters)` and
            `(batch, 2 * filters)`; and (x, c) for the row below.
        """
        to_c, from_shortcuts, to_gate = matrices
        own, c_right = tf.split(tf.matmul(both_signs_of_cells(x), to_c), 2, -1)
        c = before[0] + left[0] + own
        if shortcuts:
            c += tf.matmul(tf.concat([both_signs_of_cells(value) for value in shortcuts], -1), from_shortcuts)
        own, gate_right = tf.split(tf.matmul(both_signs_of_cells(c), to_gate), 2, -1)
        return x + gate(before[1] + left[1] + own), (c_right, gate_right), (x, c)

    def get_config(self):
        own = ("filters", "centred", "auxiliary", "label_count")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


def both_signs(x) -> tf.Tensor:
    """Returns ELU of x and of -x, one behind the other."""
    return tf.nn.elu(tf.concat([x, -x], -1))


def both_signs_of_cells(x) -> tf.Tensor:
    """Returns the same by one exponential: faster where XLA compiles it, slower by TensorFlow's own kernels."""
    below = tf.exp(-tf.abs(x)) - 1.0
    return tf.concat([tf.where(x > 0.0, x, below), tf.where(x > 0.0, below, -x)], -1)


def gate(x) -> tf.Tensor:
    """Returns a * sigmoid(b), a and b being the halves of the features."""
    a, b = tf.split(x, 2, -1)
    return a * tf.sigmoid(b)
