"""Models whose likelihood is exact: a product of conditionals, and all that follows from it."""

import abc
import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.endpoints import Count, Example, Label, Map, Mask, Seed, Tensor, endpoint
from tfgen.models.generative import GenerativeModel
from tfgen.models.players import Batch, Player, Terms
from tfgen.specs import Maps, Masks

tfd = tfp.distributions

# Pictures that are sampled at a time: enough to keep the cores busy, and few enough for the memory.
_CHUNK = 64

# Pixels from which on XLA's compilation (seconds, once per size of chunk) pays: it halves the time of a step or better.
_COMPILED_FROM = 400


class ExactLikelihoodModel(GenerativeModel):
    r"""Exact likelihood by the chain rule, in an order that the family or the model chooses.

    .. math:: \log p(x) = \sum_i \log p(x_i \mid x_{<i})

    A pixel is drawn in `draws` steps (one per channel, or one for a whole pixel), each from `parameters` numbers.
    `conditionals` gives them all at once for a known picture, `_fill` draws pictures from uniforms in that order; the
    likelihood, the figures of `evaluate` and the endpoints follow from the two.
    """

    #: What else the model is conditional on, pixel by pixel.
    map: Maps | None = None

    @property
    def specs(self):
        return super().specs | ({self.map.key: self.map} if self.map is not None else {})

    @property
    def mask(self) -> Masks:
        """What tells which pixels `complete` keeps."""
        return Masks(self.example.shape[:2])

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

    @endpoint(
        returns="example",
        x=Example(),
        mask=Mask(),
        seed=Seed(),
        label=Label(),
        map=Map(),
    )
    def complete(self, x, mask, seed=0, label=None, map=None):
        """Keeps the known pixels and draws the others, each given the known and drawn pixels *before* it.

        The chain rule conditions on earlier pixels only, in raster order unless the model has another: a known pixel
        that comes after an unknown one is kept, but has no influence on it. Completions are therefore draws from the
        posterior where the known pixels come first.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`; unknown pixels may hold anything.
            mask: float32 `(batch, height, width)`; a pixel is known where it is at least 0.5.
            seed: an int, or two int32.
            label, map: as in `log_prob`.
        """
        noise = tf.random.stateless_uniform((tf.shape(x)[0], *self.noise_shape), seed, alg="philox")
        inputs = {"noise": noise, "known": tf.cast(x, tf.int32), "mask": mask >= 0.5}
        return self._fill_chunks(inputs | _given(label, map))

    @endpoint(
        returns="example",
        x=Example(),
        mask=Mask(),
        noise=Tensor(lambda model: model.noise_shape, draw="uniform"),
        label=Label(),
        map=Map(),
    )
    def complete_from_noise(self, x, mask, noise, label=None, map=None):
        """Transforms uniforms into the unknown pixels: `complete` for runtimes without random numbers.

        Arguments:
            x, mask, label, map: as in `complete`.
            noise: float32 in [0, 1), `(batch, height, width, draws, noise_size)`.
        """
        return self._fill(noise, known=tf.cast(x, tf.int32), mask=mask >= 0.5, **_given(label, map))

    def pixel_entropy(self, x, label=None, map=None):
        """Returns how unsure the model is of each pixel given those before it, in nats, `(batch, height, width)`.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`.
            label, map: as in `log_prob`.

        Raises:
            NotImplementedError: the entropy of a pixel's distribution has no closed form.
        """
        return self.head(self.conditionals(x, **_given(label, map))).entropy()

    def preview(self, count: int, seed: int = 0, label=None, map=None) -> tf.Tensor:
        """Returns pictures to look at."""
        return self.sample(count, seed, label, map)

    @abc.abstractmethod
    def _fill(self, noise, known=None, mask=None, **condition) -> tf.Tensor:
        """Draws all pixels that `mask` does not name as known, in the model's order.

        Arguments:
            noise: uniforms in [0, 1), `(batch, height, width, draws, noise_size)`.
            known: int32 levels `(batch, height, width, channels)`, or None if nothing is known.
            mask: bool `(batch, height, width)`, with `known`.
            condition: as in `conditionals`.

        Returns:
            uint8 levels `(batch, height, width, channels)`.
        """

    def _fill_chunks(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Runs `_fill` on one chunk of the batch after the other, all of about the same size."""
        fill = self._fill
        if self.example.shape[0] * self.example.shape[1] >= _COMPILED_FROM:
            fill = tf.function(self._fill, jit_compile=True, autograph=False)
        count = tf.shape(inputs["noise"])[0]
        chunks = tf.maximum(-(-count // _CHUNK), 1)
        size = -(-count // chunks)

        def split(tensor):
            padding = [[0, chunks * size - count]] + [[0, 0]] * (tensor.shape.rank - 1)
            return tf.reshape(tf.pad(tensor, padding), (chunks, size, *tensor.shape[1:]))

        images = tf.map_fn(
            lambda chunk: fill(**chunk),
            {name: split(tensor) for name, tensor in inputs.items()},
            parallel_iterations=1,
            fn_output_signature=tf.TensorSpec((None, *self.example.shape), self.example.tensor_spec().dtype),
        )
        return tf.reshape(images, (-1, *self.example.shape))[:count]


def _given(label, map) -> dict[str, tf.Tensor]:
    """Returns those conditions that were given."""
    return {name: value for name, value in (("label", label), ("map", map)) if value is not None}
