"""The network of PixelCNN++: two streams through several resolutions, for pictures, and pixel by pixel."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfgen.layers.gated_resnet import RowCache
from tfgen.layers.gated_stream import GatedStream
from tfgen.layers.shifted_conv import ShiftedConv2D
from tfgen.layers.shifts import shift_down, shift_right


class TwoStreams(keras.layers.Layer):
    """Two streams u (rows above) and ul (rows above, and to the left), and what is read from the second.

    Arguments:
        channels: of the picture.
        filters: features in all layers.
        outputs: numbers per pixel.
        resnets, levels, label_count: see `GatedStream`.
    """

    def __init__(
        self, channels: int, filters: int, outputs: int, *, resnets: int, levels: int, label_count: int = 0, **kwargs
    ):
        super().__init__(**kwargs)
        self.channels, self.filters, self.levels = channels, filters, levels

        def conv(name, size, *, centred, inputs=channels + 1, filters=filters):
            layer = ShiftedConv2D(filters, size, centred=centred, name=name, dtype=self.dtype_policy)
            layer.build((None, None, None, inputs))
            return layer

        self.u_in = conv("u_in", (2, 3), centred=True)
        self.above_in = conv("above_in", (1, 3), centred=True)
        self.left_in = conv("left_in", (2, 1), centred=False)
        options = {"resnets": resnets, "levels": levels, "label_count": label_count, "dtype": self.dtype_policy}
        self.u = GatedStream(filters, centred=True, name="u", **options)
        self.ul = GatedStream(filters, centred=False, name="ul", **options)
        self.out = conv("out", (1, 1), centred=True, inputs=filters, filters=outputs)
        self.built = True

    def call(self, x, label=None, dropout=0.0, seed=None, initialize=False):
        """Computes a whole picture: `(batch, height, width, channels)` in [-1, 1] to `(batch, height, width, outputs)`.

        Arguments:
            x: pictures whose sides are multiples of 2 ** (levels - 1).
            label: int32 `(batch,)`, with `label_count`.
            dropout: rate, 0 to drop nothing.
            seed: of the dropout, int32 `(2,)`.
            initialize: whether the weights' lengths and biases are first fitted to this batch.
        """
        # With a channel of ones, the picture differs from the zeros beyond its border.
        x = tf.concat([x, tf.ones_like(x[..., :1])], -1)
        count = 2 * sum(len(self.u.resnets(level)) for level in range(self.levels))
        seeds = tf.unstack(tf.random.split(seed, count, alg="philox")) if dropout else [None] * count
        options = {"label": label, "dropout": dropout, "initialize": initialize}
        fed = []

        def apply(resnet, x, shortcuts):
            auxiliary = shortcuts if resnet.centred else [fed.pop(0), *shortcuts]
            y = resnet(x, auxiliary=auxiliary, seed=seeds.pop(), **options)
            if resnet.centred:
                fed.append(y)
            return y

        def answer(stream, level, x):
            def descend(x):
                x = answer(stream, level + 1, stream.shrink[level](x, initialize=initialize))
                return stream.grow[level](x, initialize=initialize)

            return stream.run(level, x, apply, descend)

        answer(self.u, 0, shift_down(self.u_in(x, initialize=initialize)))
        above, left = self.above_in(x, initialize=initialize), self.left_in(x, initialize=initialize)
        ul = answer(self.ul, 0, shift_down(above) + shift_right(left))
        return self.out(tf.nn.elu(ul), initialize=initialize)

    # One pixel at a time: u once per row, ul once per pixel, and each level on every second row and column of the one
    # before it. Rows are (width, batch, features).

    def init_cache(self, batch, width: int, label=None) -> dict:
        """Returns the cache above the first row, with the weights computed once for all steps."""

        def zeros(level, features):
            return tf.zeros((width >> level, batch, features), self.compute_dtype)

        weights = {layer.name: layer.weights_now() for layer in (self.u_in, self.above_in, self.left_in, self.out)}
        u = []
        for level in range(self.levels):
            resnets, row = self.u.resnets(level), zeros(level, self.filters)
            above = RowCache(zeros(level, 2 * self.filters), zeros(level, 2 * self.filters))
            u.append({"above": [above] * len(resnets), "y": [row] * len(resnets), "last": row, "out": row})
            weights |= {layer.name: layer.weights_now(label) for layer in (*resnets, *self.ul.resnets(level))}
        for stream in (self.u, self.ul):
            weights |= {layer.name: layer.weights_now() for layer in (*stream.shrink, *stream.grow)}
        return {
            "weights": weights,
            "of_pixel": self._pixel_weights(weights),
            "pixels": (zeros(0, self.channels + 1),) * 2,
            "u": u,
            "ul": [zeros(level, size) for level, size in enumerate(self.emits[1:])],
        }

    @property
    def emits(self) -> list[int]:
        """Features that a pixel leaves for the rows below: itself and a one, then those of each level."""
        counts = [2 * len(self.ul.resnets(level)) + 2 for level in range(self.levels)]
        return [self.channels + 1, *(count * self.filters for count in counts)]

    def begin_row(self, y, cache: dict) -> tuple[dict, dict]:
        """Returns what all pixels of a row take from the rows above, and the carry to its first pixel."""
        weights, (second, above) = cache["weights"], cache["pixels"]
        not_first = y > 0
        u = tf.where(not_first, self.u_in.row(weights["u_in"], [second, above]), 0.0)
        _, u = self._row_of_u(0, u, y, weights, cache["u"])
        left = self.left_in.row(weights["left_in"], [above])
        row = {
            "y": y,
            "weights": cache["of_pixel"],
            "in": tf.where(not_first, self.above_in.row(weights["above_in"], [above]), 0.0)
            + tf.pad(left[:-1], [[1, 0], [0, 0], [0, 0]]),
            "levels": [self._row_of_ul(level, y, weights, u[level]["y"], cache["ul"]) for level in range(self.levels)],
        }
        batch = tf.shape(above)[1]
        left = tf.nest.map_structure(lambda size: tf.zeros((batch, size), self.compute_dtype), self._left(0))
        return row, {"pixel": tf.zeros_like(above[0]), "left": left, "u": u}

    def _row_of_u(self, level: int, x, y, weights: dict, states: Sequence[dict]) -> tuple[tf.Tensor, list[dict]]:
        """Runs a level of u, and those below it, on a row; returns its output, and the states of all of them."""
        state, *below = states
        stream, above, fresh = self.u, iter(state["above"]), {"above": [], "y": [], "last": state["last"]}

        def apply(resnet, x, shortcuts):
            y, cache = resnet.row(x, shortcuts, weights[resnet.name], next(above))
            fresh["above"].append(cache)
            fresh["y"].append(y)
            return y

        def descend(x):
            nonlocal below
            waiting, shrink, grow, fresh["last"] = below, stream.shrink[level], stream.grow[level], x

            def compute():
                inner = shrink.row(weights[shrink.name], [state["last"], x])
                out, states = self._row_of_u(level + 1, inner, y, weights, waiting)
                return grow.row(weights[grow.name], out, 0), states

            def wait():
                return grow.row(weights[grow.name], waiting[0]["out"], 1), waiting

            x_grown, below = tf.cond(_due(y, level + 1), compute, wait)
            return x_grown

        out = stream.run(level, x, apply, descend)
        return out, [{**fresh, "out": out}, *below]

    def _row_of_ul(self, level: int, y, weights: dict, u: list, ul: list) -> dict:
        """Returns what a level's pixels take from u and from the rows above; zeros in a row that the level skips."""
        stream, parts = self.ul, tf.split(ul[level], ul[level].shape[-1] // self.filters, -1)
        resnets, deeper = stream.resnets(level), level < self.levels - 1

        def nothing(level, count=1):
            return tf.zeros((parts[0].shape[0] >> level, tf.shape(parts[0])[1], count * self.filters), parts[0].dtype)

        def compute():
            above = zip(parts[:-2:2], parts[1:-2:2], strict=True)
            befores = [
                resnet.begin_row(fed, weights[resnet.name], *pair)
                for resnet, fed, pair in zip(resnets, u, above, strict=True)
            ]
            shrink = stream.shrink[level] if deeper else None
            return befores, [shrink.row(weights[shrink.name], [parts[-2]])] if deeper else []

        def wait():
            return [(nothing(0), nothing(0, 2)) for _ in resnets], [nothing(1)] if deeper else []

        befores, shrunk = tf.cond(_due(y, level), compute, wait)
        if not deeper:
            return {"before": befores}

        def lower():
            grow = stream.grow[level]
            return grow.row(weights[grow.name], ul[level + 1][..., -self.filters :], 1)

        # What the deeper level gave to two rows at once, half of it to this one.
        grown = tf.cond(tf.equal(y % (2 << level), 1 << level), lower, lambda: nothing(0))
        return {"before": befores, "shrunk": shrunk[0], "grown": grown}

    def _pixel_weights(self, weights: dict) -> dict:
        """Returns matrices for what a pixel sees of its own row, and biases that are not in `begin_row`'s terms."""
        resnets = [resnet for level in range(self.levels) for resnet in self.ul.resnets(level)]
        own = {resnet.name: resnet.pixel_matrices(weights[resnet.name]) for resnet in resnets}
        own |= {layer.name: weights[layer.name].matrix((1, 0), (1, 1)) for layer in self.ul.shrink}
        for layer in self.ul.grow:
            kernel, bias = weights[layer.name]
            own[layer.name] = tf.concat([kernel[0, 0], kernel[0, 1]], -1), tf.concat([bias, bias], 0)
        kernel, bias = weights["out"]
        return own | {"left_in": weights["left_in"].matrix((1, 0)), "out": (kernel[0, 0], bias)}

    def _left(self, level: int) -> dict:
        """Returns the sizes of what a level takes from its pixel to the left; that of deeper levels as one tensor."""
        sizes = {"resnets": [(self.filters, 2 * self.filters)] * len(self.ul.resnets(level)), "next": self.filters}
        if level < self.levels - 1:
            sizes |= {"last": self.filters, "below": sum(tf.nest.flatten(self._left(level + 1)))}
        return sizes

    def pixel(self, x, row: dict, carry: dict) -> tuple[tf.Tensor, dict, list[tf.Tensor]]:
        """Computes a pixel's outputs.

        Arguments:
            x: its column.
            row: from `begin_row`.
            carry: from the pixel to the left.

        Returns:
            `(batch, outputs)`; the carry without this pixel; and what its levels emit, each `(batch, features)`.
        """
        value = row["in"][x] + tf.matmul(carry["pixel"], row["weights"]["left_in"])
        value, left, emitted = self._cell(0, value, x, row, carry["left"])
        matrix, bias = row["weights"]["out"]
        return tf.matmul(tf.nn.elu(value), matrix) + bias, {**carry, "left": left}, emitted

    def _cell(self, level: int, value, x, row: dict, left: dict) -> tuple[tf.Tensor, dict, list[tf.Tensor]]:
        """Runs a level of ul and those below it; returns its output, what is for the right, and for the rows below."""
        stream, weights, taken = self.ul, row["weights"], row["levels"][level]
        column, befores, lefts = x // (1 << level), iter(taken["before"]), iter(left["resnets"])
        fresh, emitted, below = {**left, "resnets": []}, [], []

        def apply(resnet, value, shortcuts):
            before = [known[column] for known in next(befores)]
            y, to_right, to_below = resnet.pixel(value, shortcuts, weights[resnet.name], before, next(lefts))
            fresh["resnets"].append(to_right)
            emitted.extend(to_below)
            return y

        def descend(value):
            nonlocal below
            fresh["last"], (matrix, bias) = value, weights[stream.grow[level].name]
            sizes = self._left(level + 1)

            def compute():
                inner = taken["shrunk"][x // (2 << level)]
                inner += tf.matmul(tf.concat([left["last"], value], -1), weights[stream.shrink[level].name])
                parts = tf.split(left["below"], tf.nest.flatten(sizes), -1)
                out, deeper, emitted = self._cell(level + 1, inner, x, row, tf.nest.pack_sequence_as(sizes, parts))
                now, deeper["next"] = tf.split(tf.matmul(out, matrix) + bias, 2, -1)
                return now, tf.concat(tf.nest.flatten(deeper), -1), emitted

            def wait():
                nothing = [tf.zeros((tf.shape(value)[0], size), value.dtype) for size in self.emits[level + 2 :]]
                deeper = tf.nest.pack_sequence_as(sizes, tf.split(left["below"], tf.nest.flatten(sizes), -1))
                return deeper["next"], left["below"], nothing

            now, fresh["below"], below = tf.cond(_due(row["y"], level + 1) & _due(x, level + 1), compute, wait)
            return tf.where(_due(row["y"], level + 1), now, taken["grown"][column])

        out = stream.run(level, value, apply, descend)
        return out, fresh, [tf.concat([*emitted, fresh.get("last", out), out], -1), *below]

    def end_pixel(self, pixel, carry: dict) -> tuple[dict, tf.Tensor]:
        """Returns the carry to the next pixel, and the pixel as the row below will need it.

        Arguments:
            pixel: `(batch, channels)` in [-1, 1].
            carry: from `pixel`.
        """
        pixel = tf.cast(pixel, self.compute_dtype)
        pixel = tf.concat([pixel, tf.ones_like(pixel[:, :1])], -1)
        return {**carry, "pixel": pixel}, pixel

    def end_row(self, y, carry: dict, emitted: list[tf.Tensor], cache: dict) -> dict:
        """Returns the cache with a finished row.

        Arguments:
            y: the row.
            carry: from its last pixel.
            emitted: its pixels, and what their levels emitted, each `(width, batch, features)`.
            cache: from above the row.
        """
        pixels, *levels = emitted
        ul = [
            tf.cond(_due(y, level), lambda new=new, level=level: new[:: 1 << level], lambda old=old: old)
            for level, (new, old) in enumerate(zip(levels, cache["ul"], strict=True))
        ]
        return {**cache, "pixels": (cache["pixels"][1], pixels), "u": carry["u"], "ul": ul}


def _due(position, level: int):
    """Returns whether a level has a cell in this row, or column, of the picture."""
    return tf.equal(position % (1 << level), 0)
