"""Models of a picture as a product of conditionals, sampled at about the cost of one forward pass."""

import abc
import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.endpoints import Count, Example, Label, Map, Seed, Tensor, endpoint
from tfgen.models.generative import GenerativeModel
from tfgen.models.players import Batch, Player, Terms
from tfgen.specs import Maps

tfd = tfp.distributions

# Nested tensors that a `tf.while_loop` can carry.
Nest = Any

# Chunks of a batch that are sampled at the same time, and pictures in the largest of them.
_LANES, _CHUNK = 2, 64

# Pixels from which on XLA's compilation (seconds, once per size of chunk) pays: it halves the time of a step or better.
_COMPILED_FROM = 400


class AutoregressiveModel(GenerativeModel):
    r"""Exact likelihood by the chain rule, in raster order (rows, columns, then channels).

    .. math:: \log p(x) = \sum_i \log p(x_i \mid x_{<i})

    A pixel is drawn in `draws` steps (one per channel, or one for a whole pixel), each from `parameters` numbers.
    The same weights answer two questions: `conditionals`, all parameters at once for a known picture, and `step`,
    the parameters of one draw given what has been drawn. The second keeps each layer's inputs in a cache, so that
    every cell of every layer is computed once per picture.
    """

    #: What else the model is conditional on, pixel by pixel.
    map: Maps | None = None

    @property
    def specs(self):
        return super().specs | ({self.map.key: self.map} if self.map is not None else {})

    @property
    def draws(self) -> int:
        """Number of draws per pixel."""
        return self.example.shape[2]

    @property
    def noise_size(self) -> int:
        """Number of uniforms that one draw takes."""
        return 1

    @abc.abstractmethod
    def conditionals(self, x, **condition) -> tf.Tensor:
        """Returns the parameters of all draws, teacher-forced.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`.
            condition: what the model is conditional on, by name: `label`, int32 `(batch,)`; `map`, float32
                `(batch, height, width, features)`.

        Returns:
            float32 `(batch, height, width, draws, parameters)`.
        """

    @abc.abstractmethod
    def head(self, parameters) -> tfd.Distribution:
        """Returns the distribution of each draw.

        Arguments:
            parameters: `(..., draws, parameters)`.

        Returns:
            Batch shape `(...)` and event shape `(channels,)` of integer levels.
        """

    @abc.abstractmethod
    def draw(self, parameters, noise) -> tf.Tensor:
        """Returns the channels of one draw, by transforming uniforms.

        Arguments:
            parameters: `(batch, parameters)`.
            noise: uniforms in [0, 1), `(batch, noise_size)`.

        Returns:
            int32 levels `(batch, channels // draws)`.
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

    # Likelihood.

    def distribution(self, x, **condition) -> tfd.Distribution:
        """Returns the teacher-forced conditionals, batch shape `(batch,)`, event shape `(height, width, channels)`."""
        return tfd.Independent(self.head(self.conditionals(x, **condition)), 2)

    @endpoint(returns="log_prob", x=Example(), label=Label(), map=Map())
    def log_prob(self, x, label=None, map=None):
        """Returns the exact log-likelihood in nats, float32 `(batch,)`.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`.
            label: int32 `(batch,)`, for a model that is conditional on it.
            map: float32 `(batch, height, width, features)`, for a model that is conditional on it.
        """
        return self.distribution(x, **_given(label, map)).log_prob(tf.cast(x, tf.int32))

    def players(self) -> list[Player]:
        return [Player("model", self.networks(), self.terms)]

    @abc.abstractmethod
    def networks(self) -> list:
        """Returns the layers that are trained."""

    def terms(self, batch: Batch) -> Terms:
        """Returns the negative log-likelihood in nats per picture."""
        return {"nll": -tf.reduce_mean(self.log_prob(batch["image"], batch.get("label"), batch.get("map")))}

    def figures(self, batch: Batch) -> Terms:
        """Returns exact nats per picture and bits per dimension."""
        nats = -self.log_prob(batch["image"], batch.get("label"), batch.get("map"))
        return {"nats": nats, "bits_per_dim": nats / (self.example.dimensions * math.log(2.0))}

    # Sampling.

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the uniforms that make one picture: `(height, width, draws, noise_size)`."""
        height, width, _ = self.example.shape
        return (height, width, self.draws, self.noise_size)

    @endpoint(returns="example", count=Count(), seed=Seed(), label=Label(), map=Map())
    def sample(self, count, seed=0, label=None, map=None):
        """Draws pictures, uint8 levels `(count, height, width, channels)`.

        Arguments:
            count: how many.
            seed: an int, or two int32; the same seed gives the same pictures.
            label: int32 `(count,)`, for a model that is conditional on it.
            map: float32 `(count, height, width, features)`, for a model that is conditional on it.
        """
        noise = tf.random.stateless_uniform((count, *self.noise_shape), seed, alg="philox")
        return self._fill_chunks({"noise": noise, **_given(label, map)})

    @endpoint(
        returns="example", noise=Tensor(lambda model: model.noise_shape, draw="uniform"), label=Label(), map=Map()
    )
    def sample_from_noise(self, noise, label=None, map=None):
        """Transforms uniforms into pictures: `sample` for runtimes without random numbers.

        Arguments:
            noise: float32 in [0, 1), `(batch, height, width, draws, noise_size)`.
            label, map: as in `log_prob`.
        """
        return self._fill(noise, **_given(label, map))

    @endpoint(returns="example", x=Example(), mask=Tensor(lambda model: model.example.shape[:2], draw="uniform"),
              seed=Seed(), label=Label(), map=Map())  # fmt: skip
    def complete(self, x, mask, seed=0, label=None, map=None):
        """Keeps the known pixels and draws the others, each given the known and drawn pixels *before* it.

        The chain rule conditions on earlier pixels only: a known pixel below an unknown one is kept, but has no
        influence on it. Completions are therefore draws from the posterior where the known pixels come first.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`; unknown pixels may hold anything.
            mask: float32 `(batch, height, width)`; a pixel is known where it is at least 0.5.
            seed: an int, or two int32.
            label, map: as in `log_prob`.
        """
        noise = tf.random.stateless_uniform((tf.shape(x)[0], *self.noise_shape), seed, alg="philox")
        inputs = {"noise": noise, "known": tf.cast(x, tf.int32), "mask": mask >= 0.5}
        return self._fill_chunks(inputs | _given(label, map))

    def preview(self, count: int, seed: int = 0, label=None, map=None) -> tf.Tensor:
        """Returns pictures to look at."""
        return self.sample(count, seed, label, map)

    def _fill_chunks(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Runs `_fill` on chunks of the batch: some at a time, for the cores, and none too large, for the memory.

        A step is too small to keep more than one core busy, so the chunks are the parallelism.
        """
        fill = self._fill
        if self.example.shape[0] * self.example.shape[1] >= _COMPILED_FROM:
            fill = tf.function(self._fill, jit_compile=True, autograph=False)
        count = tf.shape(inputs["noise"])[0]
        size = tf.clip_by_value(-(-count // _LANES), 1, _CHUNK)
        chunks = -(-count // size)

        def split(tensor):
            padding = [[0, chunks * size - count]] + [[0, 0]] * (tensor.shape.rank - 1)
            return tf.reshape(tf.pad(tensor, padding), (chunks, size, *tensor.shape[1:]))

        images = tf.map_fn(
            lambda chunk: fill(**chunk),
            {name: split(tensor) for name, tensor in inputs.items()},
            parallel_iterations=_LANES,
            fn_output_signature=tf.TensorSpec((None, *self.example.shape), tf.uint8),
        )
        return tf.reshape(images, (-1, *self.example.shape))[:count]

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
                maximum_iterations=width,
            )
            emitted = tf.split(features, sizes, -1) if sizes else []
            return y + 1, self.end_row(y, carry, emitted, cache), write(image, y, levels)

        _, _, image = tf.while_loop(
            lambda y, *_: y < height,
            fill_row,
            (0, self.init_cache(batch, **condition), tf.zeros((height, width, batch, channels), tf.int32)),
            maximum_iterations=height,
        )
        image = tf.ensure_shape(tf.transpose(image, (2, 0, 1, 3)), (None, *self.example.shape))
        return tf.cast(image, tf.uint8)


def _given(label, map) -> dict[str, tf.Tensor]:
    """Returns those conditions that were given."""
    return {name: value for name, value in (("label", label), ("map", map)) if value is not None}


def write(buffer, index, value) -> tf.Tensor:
    """Returns `buffer` with `value` at `index` of its first axis."""
    return tf.tensor_scatter_nd_update(buffer, [[index]], value[None])


def inverse_cdf(logits, uniform) -> tf.Tensor:
    """Draws from a categorical distribution by its inverse cumulative distribution function.

    Arguments:
        logits: `(batch, levels)`.
        uniform: in [0, 1), `(batch,)`.

    Returns:
        int32 `(batch,)`: the first level whose cumulative probability exceeds the uniform.
    """
    # Against the total instead of 1, so that rounding can not walk past the last level.
    weights = tf.exp(logits - tf.reduce_max(logits, -1, keepdims=True))
    cumulative = tf.cumsum(weights, -1)
    threshold = tf.cast(uniform, logits.dtype)[:, None] * cumulative[:, -1:]
    return tf.minimum(tf.reduce_sum(tf.cast(cumulative <= threshold, tf.int32), -1), logits.shape[-1] - 1)
