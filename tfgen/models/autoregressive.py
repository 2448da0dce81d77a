"""Models of a picture as a product of conditionals, sampled at about the cost of one forward pass."""

import abc
from typing import Any

import tensorflow as tf

from tfgen.layers.buffers import write
from tfgen.models.exact import ExactLikelihoodModel

# Nested tensors that a `tf.while_loop` can carry.
Nest = Any

# Levels of a categorical distribution that are summed at once when one is drawn.
_BLOCK = 16


class AutoregressiveModel(ExactLikelihoodModel):
    r"""Exact likelihood by the chain rule, in raster order (rows, columns, then channels).

    .. math:: \log p(x) = \sum_i \log p(x_i \mid x_{<i})

    A pixel is drawn in `draws` steps (one per channel, or one for a whole pixel), each from `parameters` numbers.
    The same weights answer two questions: `conditionals`, all parameters at once for a known picture, and `step`,
    the parameters of one draw given what has been drawn. The second keeps each layer's inputs in a cache, so that
    every cell of every layer is computed once per picture.
    """

    # The incremental computation. Within a row it is a scan over columns: what a pixel needs of its left neighbours
    # is carried, what the rows below will need is emitted. Buffers are written once and never read within a row, so
    # that XLA can write them in place.

    @abc.abstractmethod
    def init_cache(self, batch, **condition) -> Nest:
        """Returns the cache above the first row, for `batch` pictures, conditional as in `conditionals`."""

    @abc.abstractmethod
    def begin_row(self, y, cache: Nest) -> tuple[Nest, Nest]:
        """Returns what all pixels of row `y` take from the finished rows, and the carry to its first pixel."""

    @abc.abstractmethod
    def begin_pixel(self, x, row: Nest, carry: Nest) -> Any:
        """Returns the state of the pixel in column `x`, before its first draw."""

    @abc.abstractmethod
    def step(self, draw: int, previous, state) -> tuple[tf.Tensor, Any]:
        """Computes the parameters of a pixel's next draw.

        Arguments:
            draw: index of the draw, 0..draws-1.
            previous: the pixel's levels that were drawn just before, int32 `(batch, channels // draws)`; None at the
                first draw.
            state: of the pixel.

        Returns:
            Parameters `(batch, parameters)`, and the state with that draw's features.
        """

    @abc.abstractmethod
    def end_pixel(self, pixel, state) -> tuple[Nest, list[tf.Tensor]]:
        """Returns the carry to the next pixel, and what the rows below will need of this one, each `(batch, features)`.

        Arguments:
            pixel: all channels, int32 levels `(batch, channels)`.
            state: of the pixel.
        """

    @property
    @abc.abstractmethod
    def emits(self) -> list[int]:
        """Features of each tensor that `end_pixel` emits."""

    @abc.abstractmethod
    def end_row(self, y, carry: Nest, emitted: list[tf.Tensor], cache: Nest) -> Nest:
        """Returns the cache with a finished row.

        Arguments:
            y: the row.
            carry: from its last pixel.
            emitted: what its pixels emitted, each `(width, batch, features)`.
            cache: from above the row.
        """

    def _fill(self, noise, known=None, mask=None, **condition) -> tf.Tensor:
        """Draws all pixels that `mask` does not name as known, row by row with the cache."""
        height, width, channels = self.example.shape
        batch = tf.shape(noise)[0]

        # The axes that are walked stand first: (height, width, batch, ...).
        noise = tf.transpose(noise, (1, 2, 0, 3, 4))
        if known is not None:
            known, mask = tf.transpose(known, (1, 2, 0, 3)), tf.transpose(mask, (1, 2, 0))[..., None]

        def fill_pixel(y, x, row, carry):
            state = self.begin_pixel(x, row, carry)
            drawn, previous = [], None
            per_draw = channels // self.draws
            for index in range(self.draws):
                parameters, state = self.step(index, previous, state)
                previous = self.draw(parameters, noise[y, x, :, index])
                if known is not None:
                    part = known[y, x][:, index * per_draw : (index + 1) * per_draw]
                    previous = tf.where(mask[y, x], part, previous)
                drawn.append(previous)
            pixel = tf.concat(drawn, -1)
            carry, emitted = self.end_pixel(pixel, state)
            return carry, pixel, emitted

        def fill_row(y, cache, image):
            row, carry = self.begin_row(y, cache)
            sizes = self.emits

            def fill(x, carry, levels, features):
                carry, pixel, emitted = fill_pixel(y, x, row, carry)
                if sizes:  # one write for all layers
                    features = write(features, x, tf.concat(emitted, -1))
                return x + 1, carry, write(levels, x, pixel), features

            _, carry, levels, features = tf.while_loop(
                lambda x, *_: x < width,
                fill,
                (
                    0,
                    carry,
                    tf.zeros((width, batch, channels), tf.int32),
                    tf.zeros((width, batch, sum(sizes)), self.compute_dtype),
                ),
            )
            # A batch of known size stays one.
            features = tf.ensure_shape(features, (width, noise.shape[2], sum(sizes)))
            emitted = tf.split(features, sizes, -1) if sizes else []
            return y + 1, self.end_row(y, carry, emitted, cache), write(image, y, levels)

        _, _, image = tf.while_loop(
            lambda y, *_: y < height,
            fill_row,
            (0, self.init_cache(batch, **condition), tf.zeros((height, width, batch, channels), tf.int32)),
        )
        image = tf.ensure_shape(tf.transpose(image, (2, 0, 1, 3)), (None, *self.example.shape))
        return tf.cast(image, self.example.tensor_spec().dtype)


def inverse_cdf(logits, uniform) -> tf.Tensor:
    """Draws from a categorical distribution by its inverse cumulative distribution function.

    Arguments:
        logits: `(batch, levels)`.
        uniform: in [0, 1), `(batch,)`.

    Returns:
        int32 `(batch,)`: the first level whose cumulative probability exceeds the uniform.
    """
    weights = tf.exp(logits - tf.reduce_max(logits, -1, keepdims=True))
    uniform = tf.cast(uniform, logits.dtype)[:, None]
    levels = logits.shape[-1]
    if levels <= 2 * _BLOCK:
        return _first_beyond(weights, uniform * tf.reduce_sum(weights, -1, keepdims=True))
    # First the block of levels, then the level in it: the time of a cumulative sum grows faster than its length.
    blocks = -(-levels // _BLOCK)
    weights = tf.reshape(tf.pad(weights, [[0, 0], [0, blocks * _BLOCK - levels]]), (-1, blocks, _BLOCK))
    masses = tf.reduce_sum(weights, -1)
    # Against the total instead of 1, so that rounding can not walk past the last level.
    threshold = uniform * tf.reduce_sum(masses, -1, keepdims=True)
    block = _first_beyond(masses, threshold)[:, None]
    index = tf.range(blocks)
    before = tf.reduce_sum(tf.where(index < block, masses, 0.0), -1, keepdims=True)
    chosen = tf.reduce_sum(tf.where((index == block)[..., None], weights, 0.0), 1)
    return tf.minimum(block[:, 0] * _BLOCK + _first_beyond(chosen, threshold - before), levels - 1)


def _first_beyond(masses, threshold) -> tf.Tensor:
    """Returns the first index whose cumulative mass exceeds the threshold, `(batch,)`, or the last one."""
    passed = tf.cumsum(masses, -1) <= threshold
    return tf.minimum(tf.reduce_sum(tf.cast(passed, tf.int32), -1), masses.shape[-1] - 1)
