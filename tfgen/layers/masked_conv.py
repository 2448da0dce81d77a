"""Convolution that sees only what comes before a pixel, for whole pictures and for one pixel at a time."""

from typing import NamedTuple

import keras
import tensorflow as tf

from tfgen.errors import InputError


class PixelState(NamedTuple):
    """One layer at one pixel.

    Arguments:
        weights: of each group of inputs: what the pixel's unfinished outputs take from it, then the outputs of the
            pixels to the right, the nearest first; `(channels // groups, filters that see it)`.
        sums: of the outputs that are not finished yet: bias, rows above, pixels to the left and known inputs;
            `(batch, filters)`, and less with each finished group.
        carry: from the pixel to the left, see `MaskedConv2D.begin_row`.
        known: inputs of the pixel that are known, each `(batch, channels // groups)`.
        ahead: what each of them contributes to the pixels to the right, `(batch, reach * filters)`.
    """

    weights: tuple[tf.Tensor, ...]
    sums: tf.Tensor
    carry: tuple[tf.Tensor, ...]
    known: tuple[tf.Tensor, ...] = ()
    ahead: tuple[tf.Tensor, ...] = ()


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
        nothing = (tf.zeros((batch, self.filters), self.compute_dtype),) * self.reach
        weights = self._step_weights(kernel[-1])
        return {"weights": weights, "bias": bias, "kernel": kernel[:-1], "rows": rows, "nothing": nothing}

    def _step_weights(self, row) -> tuple[tf.Tensor, ...]:
        """Returns `PixelState.weights` from the last row of the kernel: matrices of their own, as a loop wants them."""
        channels = row.shape[1]
        inputs, outputs, first = channels // self.groups, self.filters // self.groups, int(self.mask == "A")
        right = tf.reshape(tf.transpose(row[: self.reach][::-1], (1, 0, 2)), (channels, -1))
        weights = []
        for group in range(self.groups):
            of_group = slice(group * inputs, (group + 1) * inputs)
            own = row[self.reach, of_group, (group + first) * outputs :]
            weights.append(tf.concat([own, right[of_group]], 1))
        return tuple(weights)

    def begin_row(self, cache: dict) -> tuple[dict, tuple]:
        """Returns what a row takes from the finished rows, and its first carry.

        A carry is what the pixels to the left contribute to a pixel, and to those to the right of it, as far as they
        reach, each `(batch, filters)`. Beyond the border there is nothing.
        """
        row = {"weights": cache["weights"], "bias": cache["bias"]}
        if not self.rows:
            return row, cache["nothing"]
        rows = tf.pad(cache["rows"], [[0, 0], [0, 0], [self.reach, self.reach], [0, 0]])
        above = tf.nn.conv2d(rows, cache["kernel"], 1, "VALID")[:, 0] + cache["bias"]
        return row | {"above": tf.transpose(above, (1, 0, 2))}, cache["nothing"]

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
        return PixelState(row["weights"], before + carry[0] if carry else before, carry)

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
        if inputs is not None:
            own, state = self._know(inputs, state)
            state = state._replace(sums=state.sums + own)  # the bias may be a variable
        size = self.filters // self.groups
        return state.sums[..., :size], state._replace(sums=state.sums[..., size:])

    def _know(self, inputs, state: PixelState) -> tuple[tf.Tensor, PixelState]:
        """Returns what the next group of inputs contributes to the unfinished outputs, and the state that knows it."""
        inputs = tf.cast(inputs, self.compute_dtype)
        # One product for the pixel and those to the right: a few wide ones take less time than many narrow ones.
        products = tf.matmul(inputs, state.weights[len(state.known)])
        right = self.reach * self.filters
        own = products[..., : products.shape[-1] - right]
        ahead = products[..., products.shape[-1] - right :]
        return own, state._replace(known=(*state.known, inputs), ahead=(*state.ahead, ahead))

    def end_pixel(self, last, state: PixelState) -> tuple[tuple, list[tf.Tensor]]:
        """Returns the carry to the next pixel, and the inputs of this one for the rows below.

        Arguments:
            last: under mask A the inputs of the last colour; under mask B None, they are known already.
            state: of the pixel.
        """
        if last is not None:
            _, state = self._know(last, state)
        emitted = [tf.concat(state.known, -1)] if self.rows else []
        if not self.reach:
            return (), emitted
        *ahead, farthest = tf.split(tf.add_n(state.ahead), self.reach, -1)
        return (*(old + new for old, new in zip(state.carry[1:], ahead, strict=True)), farthest), emitted

    def end_row(self, carry: tuple, inputs: list[tf.Tensor], cache: dict) -> dict:
        """Returns the cache with the finished row's inputs, `(width, batch, channels)`, nearest."""
        if not self.rows:
            return cache
        row = tf.transpose(inputs[0], (1, 0, 2))[:, None]
        return {**cache, "rows": tf.concat([cache["rows"][:, 1:], row], 1)}

    def get_config(self):
        own = {"filters": self.filters, "kernel_size": self.kernel_size, "mask": self.mask, "groups": self.groups}
        return {**super().get_config(), **own, "rows": self.rows}
