"""The LSTM that walks down a picture row by row, for whole pictures and for one pixel at a time."""

import keras
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.layers.lstm import lstm, lstm_lines, neighbours
from tfgen.layers.masked_conv import MaskedConv2D, PixelState
from tfgen.layers.products import times


@keras.saving.register_keras_serializable("tfgen")
class RowLSTM(keras.layers.Layer):
    r"""Row LSTM (van den Oord et al. 2016, section 3.1).

    .. math:: [o, f, i, g] = K^{ss} * h_{y-1} + K^{is} * x_y + b, \quad
        c_y = f c_{y-1} + i g, \quad h_y = o \tanh(c_y)

    Both kernels convolve along the row: K^is is masked (B), K^ss is not, as the row above is finished. States above
    the picture and beyond its sides are zero. A pixel sees its row to the left within the kernel's reach, and a
    triangle above it.

    Channels form `groups` contiguous groups, one per colour. The same weights serve two calls (see `CausalLayer`):
    `layer(x)` computes a whole picture; `init_cache`, `begin_row`, `begin_pixel`, `step`, `end_pixel` and `end_row`
    compute it colour by colour from the states of the row above.

    Arguments:
        units: h of the paper, the features of the output, a multiple of `groups`.
        kernel_size: of both convolutions, odd.
        groups: number of colours.
        map_features: features per pixel that the layer is conditional on, or 0 (section 3.6).

    Raises:
        InputError: the kernel is even, or the units do not split into the colours.
    """

    def __init__(self, units: int, *, kernel_size: int = 3, groups: int = 1, map_features: int = 0, **kwargs):
        super().__init__(**kwargs)
        if units % groups:
            raise InputError(f"RowLSTM: {units} units do not split into {groups} colours")
        self.units, self.kernel_size, self.groups, self.map_features = units, kernel_size, groups, map_features
        self.offsets = range(-(kernel_size // 2), kernel_size // 2 + 1)
        self.input_to_state = MaskedConv2D(
            4 * units, kernel_size, mask="B", groups=groups, rows=0, name="input_to_state", dtype=self.dtype_policy
        )

    def build(self, input_shape):
        self.input_to_state.build(input_shape)
        self.state_to_state = self.add_weight(
            name="state_to_state", shape=(self.kernel_size * self.units, 4 * self.units), initializer="glorot_uniform"
        )
        if self.map_features:
            self.of_map = self.add_weight(
                name="of_map", shape=(self.map_features, 4 * self.units), initializer="glorot_uniform"
            )

    def compute_output_shape(self, input_shape, map_shape=None):
        return (*input_shape[:-1], self.units)

    def call(self, x, map=None):
        """Computes a whole picture.

        Arguments:
            x: `(batch, height, width, channels)`.
            map: of a conditional layer, `(batch, height, width, map_features)`.

        Returns:
            `(batch, height, width, units)`.
        """
        gates = self.input_to_state(x)
        if map is not None:
            gates += self._gates_of_map(map)
        # The axis that is walked stands first.
        gates = tf.transpose(gates, (1, 2, 0, 3))
        hidden = lstm_lines(gates, tf.convert_to_tensor(self.state_to_state), self.offsets, self.groups)
        return tf.transpose(hidden, (2, 0, 1, 3))

    def _gates_of_map(self, map) -> tf.Tensor:
        """Returns what the condition adds to the gates: a convolution of 1x1 without a mask."""
        return times(tf.cast(map, self.compute_dtype), tf.cast(self.of_map.value, self.compute_dtype))

    # One pixel at a time. The row above is convolved once, when the row begins.

    @property
    def emits(self) -> list[int]:
        """Features of each tensor that `end_pixel` emits."""
        return [self.units, self.units]

    def init_cache(self, batch, width: int, map=None) -> dict:
        """Returns the cache above the first row, for a conditional layer with the condition of all rows."""
        zeros = tf.zeros((width, batch, self.units), self.compute_dtype)
        cache = {
            "input_to_state": self.input_to_state.init_cache(batch, width),
            "state_to_state": tf.cast(self.state_to_state.value, self.compute_dtype),
            "hidden": zeros,
            "memory": zeros,
        }
        if map is not None:
            cache |= {"of_map": tf.transpose(self._gates_of_map(map), (1, 2, 0, 3)), "y": 0}
        return cache

    def begin_row(self, cache: dict) -> tuple[dict, tuple]:
        """Returns what a row takes from the row above and from the condition, and its first carry."""
        row, carry = self.input_to_state.begin_row(cache["input_to_state"])
        above = times(neighbours(cache["hidden"], self.offsets), cache["state_to_state"]) + row["bias"]
        if "of_map" in cache:
            above += cache["of_map"][cache["y"]]
        return {"row": row, "above": above, "memory": cache["memory"]}, carry

    def begin_pixel(self, x, row: dict, carry: tuple) -> tuple[PixelState, tf.Tensor, tuple]:
        """Returns the state of the pixel in column `x`: what its neighbours contribute, and nothing of its own yet."""
        return self.input_to_state.begin_pixel(x, row["row"], carry, row["above"][x]), row["memory"][x], ()

    def step(self, group: int, inputs, state: tuple) -> tuple[tf.Tensor, tuple]:
        """Computes one colour: `(batch, channels // groups)` to `(batch, units // groups)`."""
        gates, memory, finished = state
        before, gates = self.input_to_state.step(group, inputs, gates)
        size = self.units // self.groups
        cell = lstm(before, memory[:, group * size : (group + 1) * size])
        return cell[0], (gates, memory, (*finished, cell))

    def end_pixel(self, last, state: tuple) -> tuple[tuple, list[tf.Tensor]]:
        """Returns the carry to the next pixel, and hidden state and memory of this one for the row below."""
        gates, _, finished = state
        carry, _ = self.input_to_state.end_pixel(last, gates)
        return carry, [tf.concat(parts, -1) for parts in zip(*finished, strict=True)]

    def end_row(self, carry: tuple, emitted: list[tf.Tensor], cache: dict) -> dict:
        """Returns the cache with the finished row's states, each `(width, batch, units)`."""
        cache = {**cache, "hidden": emitted[0], "memory": emitted[1]}
        return cache | {"y": cache["y"] + 1} if "y" in cache else cache

    def get_config(self):
        own = ("units", "kernel_size", "groups", "map_features")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}
