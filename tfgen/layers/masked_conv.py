"""Convolution that sees only what comes before a pixel, for whole pictures and for one pixel at a time."""

from typing import NamedTuple

import keras
import tensorflow as tf

from tfgen.errors import InputError


class PixelState(NamedTuple):
    """One layer at one pixel.

    Arguments:
        weights: for each step what is multiplied with the inputs that have become known: at the first those of the
            pixels to the left and, under mask B, of the first colour. Each `(inputs, filters that see them)`.
        sums: of the outputs that are not finished yet: bias, rows above and known inputs; `(batch, filters)`, and
            less with each finished group.
        left: inputs of the pixels to the left, as far as it sees, each `(batch, channels)`.
        known: inputs of the pixel that are known, each `(batch, channels // groups)`.
    """

    weights: tuple[tf.Tensor, ...]
    sums: tf.Tensor
    left: tuple[tf.Tensor, ...]
    known: tuple[tf.Tensor, ...] = ()


@keras.saving.register_keras_serializable("tfgen")
class MaskedConv2D(keras.layers.Layer):
    """Masked convolution of PixelCNN (van den Oord et al. 2016, section 3.4).

    Channels form `groups` contiguous groups, one per colour. An output of group g sees all of the pixels above and to
    the left, and of its own pixel the groups before g (mask A) or up to g (mask B).

    The same weights serve two calls. `layer(x)` computes a whole picture. `init_cache`, `begin_row`, `begin_pixel`,
    `step`, `end_pixel` and `end_row` compute it group by group from a cache of the layer's inputs; beyond the border
    both see zeros.

    Arguments:
        filters: channels of the output, a multiple of `groups`.
        kernel_size: height and width of the field before masking, odd.
        mask: `"A"` or `"B"`.
        groups: number of colours.
        rows: how many rows above it sees; half of the kernel unless given, 0 for a convolution along the row.
    """

    def __init__(
        self, filters: int, kernel_size: int, *, mask: str, groups: int = 1, rows: int | None = None, **kwargs
    ):
        super().__init__(**kwargs)
        if mask not in ("A", "B"):
            raise InputError(f"MaskedConv2D: mask {mask!r}, expected 'A' or 'B'")
        if kernel_size % 2 == 0:
            raise InputError(f"MaskedConv2D: kernel_size {kernel_size}, expected an odd number")
        if mask == "A" and kernel_size == 1:
            raise InputError("MaskedConv2D: mask A with kernel_size 1 sees nothing at the first colour")
        if filters % groups:
            raise InputError(f"MaskedConv2D: {filters} filters do not split into {groups} colours")
        self.filters, self.kernel_size, self.mask, self.groups = filters, kernel_size, mask, groups
        self.reach = kernel_size // 2
        self.rows = self.reach if rows is None else rows

    def build(self, input_shape):
        channels = input_shape[-1]
        if channels % self.groups:
            raise InputError(f"MaskedConv2D: {channels} input channels do not split into {self.groups} colours")
        # Rows below the pixel are never seen, so they have no weights.
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.rows + 1, self.kernel_size, channels, self.filters),
            initializer="glorot_uniform",
        )
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")
        self._centre = self._centre_mask(channels)

    def _centre_mask(self, channels: int) -> list[list[float]]:
        """Returns which channels of its own pixel an output sees, `(channels, filters)`."""
        group_in = [index * self.groups // channels for index in range(channels)]
        group_out = [index * self.groups // self.filters for index in range(self.filters)]
        strict = self.mask == "A"
        return [[float(i < o or (i == o and not strict)) for o in group_out] for i in group_in]

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def call(self, x):
        """Computes a whole picture: `(batch, height, width, channels)` to `(batch, height, width, filters)`."""
        kernel, reach = tf.convert_to_tensor(self.kernel), self.reach
        # The last row: all of the left, part of the centre, nothing of the right.
        left, centre = kernel[-1:, :reach], kernel[-1:, reach : reach + 1] * tf.cast(self._centre, kernel.dtype)
        last = tf.concat([left, centre, tf.zeros_like(kernel[-1:, reach + 1 :])], 1)
        kernel = tf.concat([kernel[:-1], last], 0)
        padding = [[0, 0], [self.rows, 0], [reach, reach], [0, 0]]
        return tf.nn.conv2d(tf.pad(x, padding), kernel, 1, "VALID") + tf.convert_to_tensor(self.bias)

    # One pixel at a time. The axis that is walked stands first: (width, batch, channels).

    @property
    def emits(self) -> list[int]:
        """Features of each tensor that `end_pixel` emits."""
        return [self.kernel.shape[2]] if self.rows else []

    def init_cache(self, batch, width: int) -> dict:
        """Returns the cache above the first row, with the weights laid out for steps."""
        kernel, bias = (tf.cast(weight.value, self.compute_dtype) for weight in (self.kernel, self.bias))
        channels = kernel.shape[2]
        rows = tf.zeros((batch, self.rows, width, channels), self.compute_dtype)
        left = (tf.zeros((batch, channels), self.compute_dtype),) * self.reach
        return {
            "weights": self._step_weights(kernel[-1]),
            "bias": bias,
            "kernel": kernel[:-1],
            "rows": rows,
            "left": left,
        }

    def _step_weights(self, row) -> tuple[tf.Tensor, ...]:
        """Returns `PixelState.weights` from the last row of the kernel: matrices of their own, as a loop wants them."""
        centre = row[self.reach]
        inputs, outputs = centre.shape[0] // self.groups, self.filters // self.groups
        first = 1 if self.mask == "A" else 0
        own = [
            centre[group * inputs : (group + 1) * inputs, (group + first) * outputs :]
            for group in range(self.groups - first)
        ]
        left = tf.reshape(row[: self.reach], (-1, self.filters))
        return (left, *own) if self.mask == "A" else (tf.concat([left, own[0]], 0), *own[1:])

    def begin_row(self, cache: dict) -> tuple[dict, tuple]:
        """Returns what a row takes from the finished rows, and its first carry: zeros to the left of the border."""
        row = {"weights": cache["weights"], "bias": cache["bias"]}
        if not self.rows:
            return row, cache["left"]
        rows = tf.pad(cache["rows"], [[0, 0], [0, 0], [self.reach, self.reach], [0, 0]])
        above = tf.nn.conv2d(rows, cache["kernel"], 1, "VALID")[:, 0] + cache["bias"]
        return row | {"above": tf.transpose(above, (1, 0, 2))}, cache["left"]

    def begin_pixel(self, x, row: dict, carry: tuple, before=None) -> PixelState:
        """Returns the state of the pixel in column `x`: what its neighbours contribute, and nothing of its own yet.

        Arguments:
            x: the column.
            row: from `begin_row`.
            carry: from the pixel to the left.
            before: what else contributes, in place of bias and rows above, `(batch, filters)`.
        """
        if before is None:
            before = row["above"][x] if self.rows else row["bias"]
        return PixelState(row["weights"], before, carry)

    def step(self, group: int, inputs, state: PixelState) -> tuple[tf.Tensor, PixelState]:
        """Computes one group of the pixel's outputs.

        Arguments:
            group: 0..groups-1, in this order.
            inputs: the group of inputs that has just become known, `(batch, channels // groups)`: that of the
                previous colour under mask A (None at the first), of this colour under mask B.
            state: of the pixel.

        Returns:
            `(batch, filters // groups)`, and the state that knows the inputs.
        """
        sums, new = state.sums, () if inputs is None else (tf.cast(inputs, self.compute_dtype),)
        known = (*state.known, *new)
        if group == 0:
            new = (*state.left, *new)
        if new:
            sums = sums + tf.matmul(tf.concat(new, -1), state.weights[group])  # the bias may be a variable
        size = self.filters // self.groups
        return sums[..., :size], state._replace(sums=sums[..., size:], known=known)

    def end_pixel(self, last, state: PixelState) -> tuple[tuple, list[tf.Tensor]]:
        """Returns the carry to the next pixel, and the inputs of this one for the rows below.

        Arguments:
            last: under mask A the inputs of the last colour; under mask B None, they are known already.
            state: of the pixel.
        """
        if not self.reach:
            return (), []
        inputs = tf.concat(state.known if last is None else (*state.known, tf.cast(last, self.compute_dtype)), -1)
        return (*state.left[1:], inputs), [inputs] if self.rows else []

    def end_row(self, carry: tuple, inputs: list[tf.Tensor], cache: dict) -> dict:
        """Returns the cache with the finished row's inputs, `(width, batch, channels)`, nearest."""
        if not self.rows:
            return cache
        row = tf.transpose(inputs[0], (1, 0, 2))[:, None]
        return {**cache, "rows": tf.concat([cache["rows"][:, 1:], row], 1)}

    def get_config(self):
        own = {"filters": self.filters, "kernel_size": self.kernel_size, "mask": self.mask, "groups": self.groups}
        return {**super().get_config(), **own, "rows": self.rows}
