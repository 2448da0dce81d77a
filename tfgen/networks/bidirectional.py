"""ResNet that a picture climbs and codes descend, with codes drawn in each of its blocks (Kingma et al. 2016)."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from tfgen.layers import NormalizedConv2D, NormalizedConv2DTranspose, OrderedConv2D
from tfgen.precision import full

# Of all convolutions' outputs on the first batch, and of what a block adds (both of the paper's code).
_INIT_SCALE, _SHARE = 0.1, 0.1


class Numbers(NamedTuple):
    """What one direction says about a block's code, each `(batch, height, width, ...)` and float32 but the context.

    Arguments:
        mean, log_scale: `maps` each.
        context: features for the autoregressive step, none without it.
    """

    mean: tf.Tensor
    log_scale: tf.Tensor
    context: tf.Tensor

    def __add__(self, other: "Numbers") -> "Numbers":
        """Returns the sums of both directions."""
        return Numbers(*(one + two for one, two in zip(self, other, strict=True)))

    def repeated(self, times) -> "Numbers":
        """Returns the batch, several times."""
        return Numbers(*(tf.tile(one, (times, 1, 1, 1)) for one in self))


@keras.saving.register_keras_serializable("tfgen")
class AutoregressiveStep(keras.layers.Layer):
    r"""m and s of each number of a code, from a context and the numbers before it (Kingma et al. 2016, section 5.2).

    Two masked convolutions and a third for both answers, which are scaled by 0.1. Unlike in the paper's code, a number of
    each pixel that sees none of that pixel's others does see its context.

    Arguments:
        maps: of the code.
        width: features of the hidden layers, and of the context.
    """

    def __init__(self, maps: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.maps, self.width = maps, width
        # Degree 0 sees no number of its own pixel, only the context.
        order, hidden = range(1, maps + 1), [feature % maps for feature in range(width)]
        options = {"init_scale": _INIT_SCALE, "dtype": self.dtype_policy}
        self.of_code = OrderedConv2D(order, hidden, name="of_code", **options)
        self.hidden = OrderedConv2D(hidden, hidden, name="hidden", **options)
        self.answer = OrderedConv2D(hidden, [*order, *order], strict=True, name="answer", **options)

    def build(self, input_shape=None):
        self.of_code.build((None, None, None, self.maps))
        for conv in (self.hidden, self.answer):
            conv.build((None, None, None, self.width))

    def call(self, z, context, initialize=False):
        """Computes m and s, float32 of the shape of `z`.

        Arguments:
            z: `(batch, height, width, maps)`.
            context: `(batch, height, width, features)`.
            initialize: whether the convolutions are first fitted to this batch.
        """
        h = tf.nn.elu(self.of_code(z, initialize=initialize) + context)
        h = tf.nn.elu(self.hidden(h, initialize=initialize))
        return tf.split(_SHARE * full(self.answer(h, initialize=initialize)), 2, -1)

    def get_config(self):
        return {**super().get_config(), "maps": self.maps, "width": self.width}


@keras.saving.register_keras_serializable("tfgen")
class BidirectionalBlock(keras.layers.Layer):
    """A residual block on the way up and one on the way down, with a code between them (figure 3 of the paper).

    Arguments:
        width: features of both ways.
        maps: of the code.
        halve: whether the sides are halved on the way up, and doubled again on the way down.
        top: whether there is no block above: nothing goes further up, and what comes down is a constant.
        step: whether there is an autoregressive step, `step`, for the code.
    """

    def __init__(self, width: int, maps: int, *, halve: bool = False, top: bool = False, step: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.width, self.maps, self.halve, self.top, self.context = width, maps, halve, top, width if step else 0
        options = {"init_scale": _INIT_SCALE, "dtype": self.dtype_policy}
        said = 2 * maps + self.context
        self.up_in = NormalizedConv2D(said if top else said + width, stride=2 if halve else 1, name="up_in", **options)
        self.up_out = None if top else NormalizedConv2D(width, name="up_out", **options)
        self.down_in = NormalizedConv2D(2 * maps + said + width, name="down_in", **options)
        grow = NormalizedConv2DTranspose if halve else NormalizedConv2D
        self.down_out = grow(width, name="down_out", **options)
        self.step = AutoregressiveStep(maps, width, name="step", dtype=self.dtype_policy) if step else None

    def build(self, input_shape=None):
        for conv in (self.up_in, self.up_out, self.down_in):
            if conv:
                conv.build((None, None, None, self.width))
        self.down_out.build((None, None, None, self.maps + self.width))
        if self.step:
            self.step.build()

    def up(self, x, initialize=False) -> tuple[tf.Tensor | None, Numbers]:
        """Returns the features above the block, none at the top, and what the picture says about its code."""
        y = self.up_in(tf.nn.elu(x), initialize=initialize)
        mean, log_scale, context, *h = tf.split(y, [self.maps] * 2 + [self.context] + [self.width] * (not self.top), -1)
        numbers = Numbers(full(mean), full(log_scale), context)
        if self.top:
            return None, numbers
        h = self.up_out(tf.nn.elu(h[0]), initialize=initialize)
        x = tf.nn.avg_pool2d(x, 2, 2, "VALID") if self.halve else x
        return x + _SHARE * h, numbers

    def expect(self, h, initialize=False) -> tuple[tuple[tf.Tensor, tf.Tensor], Numbers, tf.Tensor]:
        """Returns mean and log-scale of the code's prior, what the codes above say of its posterior, and features."""
        # A constant has no deviation that could be brought to the wanted one.
        y = self.down_in(tf.nn.elu(h), initialize=initialize and not self.top)
        *numbers, context, told = tf.split(y, [self.maps] * 4 + [self.context, self.width], -1)
        mean, log_scale, *of_q = map(full, numbers)
        return (mean, log_scale), Numbers(*of_q, context), told

    def down(self, h, z, told, initialize=False) -> tf.Tensor:
        """Returns the features below the block.

        Arguments:
            h: the features above it.
            z: its code, `(batch, height, width, maps)`.
            told: from `expect`.
            initialize: whether the convolution is first fitted to this batch.
        """
        # A draw of a distribution forgets its sizes, which TF-Lite has to know.
        z = tf.ensure_shape(tf.cast(z, told.dtype), (None, *told.shape[1:3], self.maps))
        y = self.down_out(tf.nn.elu(tf.concat([z, told], -1)), initialize=initialize)
        if self.halve:
            h = tf.image.resize(h, (2 * h.shape[1], 2 * h.shape[2]), "nearest")
        return h + _SHARE * y

    def get_config(self):
        own = {"width": self.width, "maps": self.maps, "halve": self.halve, "top": self.top}
        return {**super().get_config(), **own, "step": self.step is not None}


@keras.saving.register_keras_serializable("tfgen")
class BidirectionalResNet(keras.layers.Layer):
    """The blocks between a picture and a constant at the top, the lowest first.

    A first convolution halves the picture, and the last doubles it again.

    Arguments:
        shape: `(height, width, channels)` of what it takes; the sides are multiples of 2 ** resolutions.
        outputs: numbers of each pixel that it gives.
        width: features.
        maps: of each block's code.
        resolutions: of codes.
        blocks: on each resolution.
        step: whether blocks have an autoregressive step.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        width: int,
        maps: int,
        resolutions: int,
        blocks: int,
        step: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        height, columns, channels = shape
        options = {"init_scale": _INIT_SCALE, "dtype": self.dtype_policy}
        self.first = NormalizedConv2D(width, 5, stride=2, name="first", **options)
        self.blocks, self.sizes = [], []
        for resolution in range(resolutions):
            for index in range(blocks):
                kind = {"halve": resolution > 0 and index == 0, "top": len(self.blocks) == resolutions * blocks - 1}
                kind |= {"step": step, "name": f"block_{resolution}_{index}", "dtype": self.dtype_policy}
                self.blocks.append(BidirectionalBlock(width, maps, **kind))
                self.sizes.append((height >> resolution + 1, columns >> resolution + 1, maps))
        self.last = NormalizedConv2DTranspose(outputs, 5, name="last", **options)
        self.first.build((None, None, None, channels))
        for block in self.blocks:
            block.build()
            block.built = True
        self.last.build((None, None, None, width))
        # Not zeros, at which the convolution behind it would have no gradient.
        normal = keras.initializers.RandomNormal(stddev=_INIT_SCALE)
        self.top = self.add_weight(name="top", shape=(width,), initializer=normal)
        self.built = True

    def up(self, x, initialize=False) -> list[Numbers]:
        """Returns what a picture in [-1, 1] says about each block's code, the lowest block first."""
        x, said = self.first(x, initialize=initialize), []
        for block in self.blocks:
            x, numbers = block.up(x, initialize=initialize)
            said.append(numbers)
        return said

    def start(self, rows) -> tf.Tensor:
        """Returns the features above all blocks, `(rows, height, width, features)`."""
        top = tf.cast(tf.convert_to_tensor(self.top), self.compute_dtype)
        return tf.broadcast_to(top, (rows, *self.sizes[-1][:2], top.shape[0]))

    def picture(self, h, initialize=False) -> tf.Tensor:
        """Returns the numbers of each pixel, given the features below all blocks."""
        return self.last(tf.nn.elu(h), initialize=initialize)
