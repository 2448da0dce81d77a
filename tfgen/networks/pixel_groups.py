"""Doubling the sides of a picture in three steps, each for all cells of 2x2 pixels at once."""

from collections.abc import Callable

import keras
import tensorflow as tf

from tfgen.layers import MaskedConv2D
from tfgen.layers.masked_conv import PixelState
from tfgen.precision import full
from tfgen.specs import Images


class PixelGroup(keras.layers.Layer):
    """A softmax for each channel of each pixel of a group, given the groups that are known.

    Groups lie on one grid, a pixel of each in every place. A ResNet sees the known ones, without masks since nothing
    else enters it; within a pixel a channel also sees those before it.

    The same weights serve two calls: `group(known, own)` computes all channels; `begin` and `step` compute them one
    after the other, the ResNet once.

    Arguments:
        channels, levels: of a pixel.
        width: features of the ResNet.
        blocks: number of its residual blocks, of two convolutions each.
        kernel_size: of all convolutions.
        head_width: features of the layer before the softmax, a multiple of the channels.
    """

    def __init__(
        self, channels: int, levels: int, *, width: int, blocks: int, kernel_size: int, head_width: int, **kwargs
    ):
        super().__init__(**kwargs)
        self.channels, self.levels = channels, levels

        def conv(name, filters, size=kernel_size):
            return keras.layers.Conv2D(filters, size, padding="same", name=name, dtype=self.dtype_policy)

        def masked(name, filters, groups):
            return MaskedConv2D(filters, 1, mask="B", groups=groups, name=name, dtype=self.dtype_policy)

        self.conv_in = conv("conv_in", width)
        self.blocks = [
            (conv(f"block_{index}_first", width), conv(f"block_{index}_second", width)) for index in range(blocks)
        ]
        self.conv_out = conv("conv_out", head_width, 1)
        # From each channel but the last to the features of those after it.
        per_channel = head_width // channels
        self.between = masked("between", (channels - 1) * per_channel, channels - 1) if channels > 1 else None
        self.out = masked("out", channels * levels, channels)

    def build(self, known_shape, own_shape=None):
        width, head_width = self.conv_in.filters, self.conv_out.filters
        self.conv_in.build(known_shape)
        for layer in (layer for block in self.blocks for layer in block):
            layer.build((None, None, None, width))
        self.conv_out.build((None, None, None, width))
        self.out.build((None, None, None, head_width))
        if self.between is not None:
            self.between.build((None, None, None, self.channels - 1))

    def features(self, known) -> tf.Tensor:
        """Runs the ResNet: `(batch, height, width, known * channels)` to `(batch, height, width, head_width)`."""
        x = self.conv_in(known)
        for first, second in self.blocks:
            x = x + second(tf.nn.relu(first(tf.nn.relu(x))))
        return self.conv_out(tf.nn.relu(x))

    def call(self, known, own):
        """Computes the logits of all channels.

        Arguments:
            known: the groups before, `(batch, height, width, known * channels)` in [-1, 1].
            own: this group, `(batch, height, width, channels)` in [-1, 1].

        Returns:
            `(batch, height, width, channels * levels)`.
        """
        features = self.features(known)
        if self.between is not None:
            between = self.between(own[..., :-1])
            nothing = features.shape[-1] - between.shape[-1]
            features = features + tf.pad(between, [[0, 0], [0, 0], [0, 0], [nothing, 0]])
        return self.out(tf.nn.relu(features))

    def begin(self, known) -> dict:
        """Returns the state of all pixels before their first channel; `known` as in the call."""

        def state(layer) -> PixelState:
            return layer.begin_pixel(0, *layer.begin_row(layer.init_cache(1, 1)))

        begun = {"features": tf.split(flat(self.features(known)), self.channels, -1), "out": state(self.out)}
        return begun if self.between is None else begun | {"between": state(self.between)}

    def step(self, channel: int, previous, state: dict) -> tuple[tf.Tensor, dict]:
        """Computes the logits of the next channel.

        Arguments:
            channel: 0..channels-1, in this order.
            previous: the channel before it, `(pixels, 1)` in [-1, 1]; None at the first.
            state: from `begin`, or the last step.

        Returns:
            `(pixels, levels)`, and the state with this channel.
        """
        state = dict(state)
        features = state["features"][channel]
        if channel:
            between, state["between"] = self.between.step(channel - 1, previous, state["between"])
            features = features + between
        logits, state["out"] = self.out.step(channel, tf.nn.relu(features), state["out"])
        return logits, state


class Upscaling(keras.layers.Layer):
    """The pixels between those of a picture of half the sides: three groups, each given those before it.

    A cell of 2x2 pixels has one of each group: top-left, which is known, top-right, bottom-left, bottom-right. Where
    the sides are odd the last cells are cut off; to the networks a pixel beyond the border is zero, as all around.

    Arguments:
        example: the picture of twice the sides.
        sizes: `width`, `blocks`, `kernel_size` and `head_width` of each `PixelGroup`.
    """

    def __init__(self, example: Images, *, name: str, dtype=None, **sizes):
        super().__init__(name=name, dtype=dtype)
        self.example = example
        self.groups = [
            PixelGroup(example.shape[2], example.levels, name=f"group_{known}", dtype=self.dtype_policy, **sizes)
            for known in (1, 2, 3)
        ]

    def build(self, input_shape):
        for known, group in enumerate(self.groups, 1):
            group.build((None, None, None, known * self.example.shape[2]))

    def cells(self, x) -> tf.Tensor:
        """Returns a picture's four groups side by side, with zeros beyond the border.

        Arguments:
            x: `(batch, height, width, k)`.

        Returns:
            `(batch, ceil(height / 2), ceil(width / 2), 4 k)`.
        """
        height, width, _ = self.example.shape
        if height % 2 or width % 2:
            x = tf.pad(x, [[0, 0], [0, height % 2], [0, width % 2], [0, 0]])
        return tf.nn.space_to_depth(x, 2)

    def picture(self, cells) -> tf.Tensor:
        """Returns the picture of four groups; the inverse of `cells`."""
        height, width, _ = self.example.shape
        x = tf.nn.depth_to_space(cells, 2)
        return tf.slice(x, [0, 0, 0, 0], [-1, height, width, -1]) if height % 2 or width % 2 else x

    def call(self, x):
        """Computes the logits of the three groups.

        Arguments:
            x: integer levels `(batch, height, width, channels)`.

        Returns:
            `(batch, ceil(height / 2), ceil(width / 2), 3 * channels * levels)`.
        """
        top_left, *others = tf.split(self.cells(self.example.to_network(x)), 4, -1)
        known, logits = [top_left], []
        for group, own in zip(self.groups, others, strict=True):
            logits.append(full(group(tf.concat(known, -1), own)))
            known.append(own)
        return tf.concat(logits, -1)

    def fill(self, small, noise, draw: Callable, known=None, mask=None) -> tf.Tensor:
        """Draws the three groups.

        Arguments:
            small: integer levels of the top-left pixels, `(batch, ceil(height / 2), ceil(width / 2), channels)`.
            noise: uniforms `(batch, height, width, channels)`.
            draw: logits `(pixels, levels)` and uniforms `(pixels, 1)` to int32 levels `(pixels, 1)`.
            known: int32 levels `(batch, height, width, channels)`, or None if no other pixel is known.
            mask: bool `(batch, height, width)`, where it is known.

        Returns:
            int32 levels `(batch, height, width, channels)`.
        """
        channels = self.example.shape[2]
        inside = tf.split(self.cells(tf.ones((1, *self.example.shape))), 4, -1)
        uniforms = tf.split(self.cells(noise), 4, -1)
        if known is not None:
            known = tf.split(self.cells(known), 4, -1)
            mask = tf.split(self.cells(tf.cast(mask, tf.int32)[..., None]), 4, -1)
        small = tf.cast(small, tf.int32)
        drawn, seen = [small], [self.example.to_network(small)]
        for index, group in enumerate(self.groups, 1):
            state, pixel, previous = group.begin(tf.concat(seen, -1)), [], None
            uniform = flat(uniforms[index])
            for channel in range(channels):
                logits, state = group.step(channel, previous, state)
                levels = draw(full(logits), uniform[:, channel : channel + 1])
                if known is not None:
                    given = flat(known[index])[:, channel : channel + 1]
                    levels = tf.where(flat(mask[index]) > 0, given, levels)
                pixel.append(levels)
                previous = self.example.to_network(levels)
            drawn.append(tf.reshape(tf.concat(pixel, -1), tf.shape(small)))
            seen.append(self.example.to_network(drawn[-1]) * inside[index])
        return self.picture(tf.concat(drawn, -1))


def flat(x) -> tf.Tensor:
    """Returns `(batch, height, width, features)` as `(pixels, features)`."""
    return tf.reshape(x, (-1, x.shape[-1]))
