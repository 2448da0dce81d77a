"""The LSTMs that walk along both diagonals of a picture, for whole pictures and for one pixel at a time."""

import keras
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.layers.lstm import lstm, lstm_lines
from tfgen.layers.masked_conv import MaskedConv2D
from tfgen.layers.products import times


def skew(x) -> tf.Tensor:
    """Moves row y to the right by y, so that a diagonal becomes a column (figure 3 of the paper).

    Arguments:
        x: `(height, width, ...)`.

    Returns:
        `(height, width + height - 1, ...)`, zero where no pixel lies.
    """
    height, width, *_ = x.shape
    # Rows of width + height, read as rows that are shorter by one, begin one later each.
    padded = tf.pad(x, [[0, 0], [0, height]] + [[0, 0]] * (x.shape.rank - 2))
    rest = tf.shape(x)[2:]
    flat = tf.reshape(padded, tf.concat([[height * (width + height)], rest], 0))[: height * (width + height - 1)]
    return tf.reshape(flat, tf.concat([[height, width + height - 1], rest], 0))


def unskew(x) -> tf.Tensor:
    """Reverses `skew`: `(height, width + height - 1, ...)` to `(height, width, ...)`."""
    height, columns, *_ = x.shape
    rest = tf.shape(x)[2:]
    flat = tf.reshape(x, tf.concat([[height * columns], rest], 0))
    flat = tf.pad(flat, [[0, height]] + [[0, 0]] * (x.shape.rank - 2))
    return tf.reshape(flat, tf.concat([[height, columns + 1], rest], 0))[:, : columns + 1 - height]


@keras.saving.register_keras_serializable("tfgen")
class DiagonalBiLSTM(keras.layers.Layer):
    r"""Diagonal BiLSTM (van den Oord et al. 2016, section 3.2).

    .. math:: [o, f, i, g](y, x) = K^{is} x(y, x) + K^{ss} [h(y, x - 1), h(y - 1, x)] + b

    with the memory of (y, x - 1), and a second LSTM from right to left, whose map is moved down by one row, so that a
    pixel sees nothing to its right, before the two are added. States outside of the picture are zero.

    Channels form `groups` contiguous groups, one per colour. The same weights serve two calls (see `CausalLayer`):
    `layer(x)` computes a whole picture, all pixels of a diagonal together; `init_cache`, `begin_row`, `begin_pixel`,
    `step`, `end_pixel` and `end_row` compute it colour by colour, the right-to-left LSTM a whole row at a time when the
    row is finished.

    Arguments:
        units: h of the paper, the features of the output, a multiple of `groups`.
        groups: number of colours.

    Raises:
        InputError: units do not split into the colours.
    """

    def __init__(self, units: int, *, groups: int = 1, **kwargs):
        super().__init__(**kwargs)
        if units % groups:
            raise InputError(f"DiagonalBiLSTM: {units} units do not split into {groups} colours")
        self.units, self.groups = units, groups
        self.left = MaskedConv2D(4 * units, 1, mask="B", groups=groups, name="left", dtype=self.dtype_policy)
        # The paper masks this one too, needlessly: what it computes is seen from the next row on.
        self.right = keras.layers.Dense(4 * units, name="right", dtype=self.dtype_policy)

    def build(self, input_shape):
        self.left.build(input_shape)
        self.right.build(input_shape)
        # For each direction that of the neighbour in the row, then that of the neighbour above.
        self.state_to_state = self.add_weight(
            name="state_to_state", shape=(2, 2 * self.units, 4 * self.units), initializer="glorot_uniform"
        )

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def call(self, x):
        """Computes a whole picture: `(batch, height, width, channels)` to `(batch, height, width, units)`."""
        size = x.shape[1:3]
        x = tf.transpose(x, (1, 2, 0, 3))
        kernel = tf.convert_to_tensor(self.state_to_state)

        def walk(gates, kernel):
            # Gates are skewed with their bias inside, so that they are zero before a row begins: zero gates keep a
            # zero state.
            columns = tf.transpose(skew(gates), (1, 0, 2, 3))
            # In the line before, the same row holds the pixel to the left, and the row before the pixel above.
            hidden = lstm_lines(columns, kernel, (0, -1), self.groups)
            return unskew(tf.transpose(hidden, (1, 0, 2, 3)))

        left = walk(self.left(x), kernel[0])
        # From right to left is from left to right in the mirrored picture.
        right = tf.reverse(walk(tf.reverse(self.right(x), [1]), kernel[1]), [1])
        below = tf.pad(right[:-1], [[1, 0], [0, 0], [0, 0], [0, 0]])
        # Loops forget sizes, which TF-Lite has to know.
        return tf.ensure_shape(tf.transpose(left + below, (2, 0, 1, 3)), (None, *size, self.units))

    # One pixel at a time, from left to right; from right to left when the row is finished.

    @property
    def emits(self) -> list[int]:
        """Features of each tensor that `end_pixel` emits."""
        return [self.units, self.right.kernel.shape[0]]

    def init_cache(self, batch, width: int) -> dict:
        """Returns the cache above the first row, with the weights laid out for steps."""
        kernel = tf.cast(self.state_to_state.value, self.compute_dtype)
        zeros = tf.zeros((width, batch, self.units), self.compute_dtype)
        return {
            "left": self.left.init_cache(batch, width),
            "from_left": kernel[0, : self.units],
            "from_above": kernel[:, self.units :],
            "from_right": kernel[1, : self.units],
            "right_kernel": tf.cast(self.right.kernel.value, self.compute_dtype),
            "right_bias": tf.cast(self.right.bias.value, self.compute_dtype),
            "hidden_left": zeros,
            "hidden_right": zeros,
            "start": tf.zeros((batch, self.units), self.compute_dtype),
        }

    def begin_row(self, cache: dict) -> tuple[dict, tuple]:
        """Returns what a row takes from the row above, and the state to the left of its first pixel."""
        row, _ = self.left.begin_row(cache["left"])
        above = times(cache["hidden_left"], cache["from_above"][0]) + row["bias"]
        start = (cache["start"], cache["start"])
        return {"row": row, "above": above, "right": cache["hidden_right"], "from_left": cache["from_left"]}, start

    def begin_pixel(self, x, row: dict, carry: tuple) -> dict:
        """Returns the state of the pixel in column `x`: what its neighbours contribute, and nothing of its own yet."""
        hidden, memory = carry
        before = row["above"][x] + tf.matmul(hidden, row["from_left"])
        gates = self.left.begin_pixel(x, row["row"], (), before)
        return {"gates": gates, "memory": memory, "right": row["right"][x], "finished": ()}

    def step(self, group: int, inputs, state: dict) -> tuple[tf.Tensor, dict]:
        """Computes one colour: `(batch, channels // groups)` to `(batch, units // groups)`."""
        before, gates = self.left.step(group, inputs, state["gates"])
        size = self.units // self.groups
        own = slice(group * size, (group + 1) * size)
        cell = lstm(before, state["memory"][:, own])
        return cell[0] + state["right"][:, own], {**state, "gates": gates, "finished": (*state["finished"], cell)}

    def end_pixel(self, last, state: dict) -> tuple[tuple, list[tf.Tensor]]:
        """Returns the carry to the next pixel; the hidden state for the row below, and what the pixel's inputs were."""
        hidden, memory = (tf.concat(parts, -1) for parts in zip(*state["finished"], strict=True))
        return (hidden, memory), [hidden, tf.concat(state["gates"].known, -1)]

    def end_row(self, carry: tuple, emitted: list[tf.Tensor], cache: dict) -> dict:
        """Returns the cache with the finished row's states, the right-to-left LSTM's computed now.

        Arguments:
            carry: from the last pixel.
            emitted: hidden states and inputs, each `(width, batch, features)`.
            cache: from above the row.
        """
        hidden_left, inputs = emitted
        gates = times(inputs, cache["right_kernel"]) + cache["right_bias"]
        gates += times(cache["hidden_right"], cache["from_above"][1])

        def next_pixel(x, hidden, memory, row):
            before = gates[x] + tf.matmul(hidden, cache["from_right"])
            hidden, memory = lstm(before, memory, self.groups)
            return x - 1, hidden, memory, tf.tensor_scatter_nd_update(row, [[x]], hidden[None])

        width, start = inputs.shape[0], cache["start"]
        *_, hidden_right = tf.while_loop(
            lambda x, *_: x >= 0,
            next_pixel,
            (width - 1, start, start, tf.zeros_like(hidden_left)),
            maximum_iterations=width,
        )
        return {**cache, "hidden_left": hidden_left, "hidden_right": hidden_right}

    def get_config(self):
        return {**super().get_config(), "units": self.units, "groups": self.groups}
