"""The two stacks of Gated PixelCNN, for whole pictures and for one pixel at a time."""

import keras
import tensorflow as tf

from tfgen.layers.masked_conv import MaskedConv2D, PixelState
from tfgen.layers.products import times
from tfgen.layers.shifts import shift_down


def gate(x, groups: int = 1) -> tf.Tensor:
    """Returns tanh(f) * sigmoid(g), eq. 2 of the paper.

    Arguments:
        x: `(..., 2 * features)`; each of the `groups` colours has its own two halves, f before g.
        groups: number of colours.
    """
    if groups > 1:
        size = x.shape[-1] // groups
        of_colours = gate(tf.reshape(x, tf.concat([tf.shape(x)[:-1], [groups, size]], 0)))
        return tf.reshape(of_colours, tf.concat([tf.shape(x)[:-1], [groups * size // 2]], 0))
    # Split, since the gradient of an index takes seven times as long as that of a split.
    f, g = tf.split(x, 2, -1)
    return tf.tanh(f) * tf.sigmoid(g)


@keras.saving.register_keras_serializable("tfgen")
class GatedConv2D(keras.layers.Layer):
    r"""One layer of both stacks (van den Oord et al. 2016b, figure 2).

    .. math::
        y = \tanh(W_f * x + V_f^T c) \odot \sigma(W_g * x + V_g^T c)

    The vertical stack v sees all rows up to its own; the horizontal stack h sees its row up to the pixel, and of v the
    row above (before the gate), so that no pixel sees itself. Only h has a residual connection.

    Arguments:
        filters: features of v and h, a multiple of `groups`.
        kernel_size: n, odd; v convolves (n // 2 + 1) x n, h 1 x (n // 2 + 1).
        mask: of h, `"A"` in the first layer (which has no residual), `"B"` in the others.
        groups: number of colours of h; v sees finished rows only, and needs none.
        label_count: number of classes that the layer is conditional on, or 0.
        map_features: features per pixel that the layer is conditional on, or 0.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        mask: str,
        groups: int = 1,
        label_count: int = 0,
        map_features: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.mask, self.groups = filters, kernel_size, mask, groups
        self.label_count, self.map_features = label_count, map_features
        self.reach = kernel_size // 2
        conv = {"mask": mask, "groups": groups, "dtype": self.dtype_policy}
        self.horizontal = MaskedConv2D(2 * filters, kernel_size, rows=0, name="horizontal", **conv)
        self.out = MaskedConv2D(filters, 1, name="out", **(conv | {"mask": "B"}))

    def build(self, channels: int):
        self.vertical = self.add_weight(
            name="vertical", shape=(self.reach + 1, self.kernel_size, channels, 2 * self.filters)
        )
        self.vertical_bias = self.add_weight(name="vertical_bias", shape=(2 * self.filters,), initializer="zeros")
        self.link = self.add_weight(name="link", shape=(2 * self.filters, 2 * self.filters))
        # Both stacks' terms side by side: v, then h.
        if self.label_count:
            self.of_label = self.add_weight(name="of_label", shape=(self.label_count, 4 * self.filters))
        if self.map_features:
            self.of_map = self.add_weight(name="of_map", shape=(self.map_features, 4 * self.filters))
        self.horizontal.build((None, None, None, channels))
        self.out.build((None, None, None, self.filters))

    def condition(self, label=None, map=None) -> tuple:
        """Returns what the condition adds to v and to h before the gates: `(batch, 1 or height, 1 or width, 2 filters)`.

        Arguments:
            label: int32 `(batch,)`.
            map: `(batch, height, width, map_features)`.
        """
        terms = tf.zeros((1, 1, 1, 4 * self.filters), self.compute_dtype)
        if label is not None:
            terms += tf.gather(tf.cast(self.of_label.value, self.compute_dtype), label)[:, None, None]
        if map is not None:
            terms += times(tf.cast(map, self.compute_dtype), tf.cast(self.of_map.value, self.compute_dtype))
        return tf.split(terms, 2, -1)

    def call(self, v, h, label=None, map=None):
        """Computes a whole picture: both stacks `(batch, height, width, channels)` to `(batch, height, width, filters)`."""
        to_v, to_h = self.condition(label, map)
        above = tf.pad(v, [[0, 0], [self.reach, 0], [self.reach, self.reach], [0, 0]])
        v = tf.nn.conv2d(above, tf.convert_to_tensor(self.vertical), 1, "VALID") + self.vertical_bias
        before = self.horizontal(h) + times(shift_down(v), tf.convert_to_tensor(self.link))
        if self.label_count or self.map_features:
            v, before = v + to_v, before + to_h
        y = self.out(gate(before, self.groups))
        return gate(v), y if self.mask == "A" else h + y

    # One pixel at a time. The vertical stack takes whole rows, when they are finished.

    def init_cache(self, batch, width: int, label=None, map=None) -> dict:
        """Returns the cache above the first row, with the weights laid out for steps."""
        vertical, link, bias = (
            tf.cast(w.value, self.compute_dtype) for w in (self.vertical, self.link, self.vertical_bias)
        )
        to_v, to_h = self.condition(label, map)
        return {
            "vertical": vertical,
            "bias": bias,
            "link": link,
            "rows": tf.zeros((batch, self.reach, width, vertical.shape[2]), self.compute_dtype),
            # What v of the row above contributes to h: nothing above the first row.
            "from_v": tf.zeros((batch, width, 2 * self.filters), self.compute_dtype),
            "to_v": tf.transpose(to_v, (1, 0, 2, 3)),
            "to_h": tf.transpose(to_h, (1, 0, 2, 3)),
            "horizontal": self.horizontal.init_cache(batch, width),
            "out": self.out.init_cache(batch, width),
        }

    def end_row(self, y, v, cache: dict) -> tuple[tf.Tensor, dict]:
        """Computes the vertical stack of a finished row.

        Arguments:
            y: the row.
            v: its inputs, `(batch, width, channels)`.
            cache: of the layer.

        Returns:
            Its outputs `(batch, width, filters)`, and the cache for the next row.
        """
        rows = tf.concat([cache["rows"], v[:, None]], 1)
        padded = tf.pad(rows, [[0, 0], [0, 0], [self.reach, self.reach], [0, 0]])
        v = tf.nn.conv2d(padded, cache["vertical"], 1, "VALID")[:, 0] + cache["bias"]
        cache = {**cache, "rows": rows[:, 1:], "from_v": times(v, cache["link"])}
        return gate(v + row_of(cache["to_v"], y)), cache

    def begin_row(self, y, cache: dict) -> tuple[dict, tuple]:
        """Returns what a row takes from the rows above and the condition, and its first carry."""
        row, carry = self.horizontal.begin_row(cache["horizontal"])
        before = cache["from_v"] + row_of(cache["to_h"], y) + row["bias"]
        out, _ = self.out.begin_row(cache["out"])
        return {"row": row, "before": tf.transpose(before, (1, 0, 2)), "out": out}, carry

    def begin_pixel(self, x, row: dict, carry: tuple) -> tuple[PixelState, PixelState]:
        """Returns the state of the pixel in column `x`."""
        state = self.horizontal.begin_pixel(x, row["row"], carry, row["before"][x])
        return state, self.out.begin_pixel(x, row["out"], ())

    def step(self, group: int, h, state: tuple) -> tuple[tf.Tensor, tuple]:
        """Computes one colour of the horizontal stack: `(batch, channels // groups)` to `(batch, filters // groups)`."""
        horizontal, out = state
        before, horizontal = self.horizontal.step(group, h, horizontal)
        y, out = self.out.step(group, gate(before), out)
        return y if self.mask == "A" else h + y, (horizontal, out)

    def end_pixel(self, last, state: tuple) -> tuple:
        """Returns the carry to the next pixel; `last` is the last colour under mask A, else None."""
        return self.horizontal.end_pixel(last, state[0])[0]

    def get_config(self):
        own = ("filters", "kernel_size", "mask", "groups", "label_count", "map_features")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


def row_of(terms, y) -> tf.Tensor:
    """Returns row `y` of terms `(height, ...)`, or the only one of terms that are the same in all rows."""
    return terms[y] if terms.shape[0] != 1 else terms[0]
