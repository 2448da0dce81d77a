"""Models with latent codes, trained on a variational bound."""

import abc
import functools
import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import replicas
from tfgen.endpoints import Count, Example, Label, Latent, Seed, endpoint
from tfgen.errors import InputError
from tfgen.models.generative import GenerativeModel
from tfgen.models.lines import places, straight
from tfgen.models.meters import ActiveUnits, Median
from tfgen.models.players import Batch, Player, Terms
from tfgen.models.rate import RateWeight
from tfgen.specs import Images

tfd = tfp.distributions

# Importance samples that are decoded at once; more are summed up in a loop, so that memory does not grow with k.
_CHUNK = 16


class LatentVariableModel(GenerativeModel):
    r"""A prior, a likelihood, and a posterior that is learned beside them.

    .. math:: \log p(x) \ge E_{q(z|x)}[\log p(x|z)] - KL(q(z|x) \| p(z))

    A model gives `prior`, `posterior` and `likelihood`; the bound, its importance-weighted form and all endpoints
    are written here from them. A likelihood of pictures is one of integer levels, so that the bound is one on the
    probability of the picture itself; that of points is a density, and so is what is bounded.

    Arguments:
        rate: how much the divergence weighs in training; as in the bound unless given.
        kwargs: as of `GenerativeModel`.
    """

    #: Size of the code; `prior` has event shape `(latent_size,)`.
    latent_size: int

    # The k that `evaluate` was asked for.
    _importance_samples = 0

    def __init__(self, *, rate: RateWeight | None = None, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate or RateWeight()
        self._measured = replicas.Kept()  # the batch of a test step, and its parts

    def given(self, batch: Batch):
        """Returns what the model is conditional on, of a batch: what the three below take; its labels, or None."""
        return batch.get("label")

    @abc.abstractmethod
    def prior(self, given=None) -> tfd.Distribution:
        """Returns p(z), event shape `(latent_size,)`; batch shape `(batch,)` if it depends on what is given, or `()`."""

    @abc.abstractmethod
    def posterior(self, x, given=None) -> tfd.Distribution:
        """Returns q(z|x), batch shape `(batch,)`, for a batch of examples."""

    @abc.abstractmethod
    def likelihood(self, z, given=None) -> tfd.Distribution:
        """Returns p(x|z) for codes `(..., latent_size)`, event shape that of an example: levels, or coordinates.

        What is given is of the batch, the last axis before a code's own, and the same for all axes before that.
        """

    @abc.abstractmethod
    def networks(self) -> list:
        """Returns the layers that are trained."""

    def event(self, x, seed) -> tf.Tensor:
        """Returns where p(x|z) is evaluated for examples `x`, float32; `seed` is for one that is dequantised."""
        return tf.cast(x, tf.float32)

    def centre(self, q: tfd.Distribution) -> tf.Tensor:
        """Returns the codes that stand for examples, `(batch, latent_size)`, given q(z|x)."""
        return q.mean()

    def scale(self, q: tfd.Distribution) -> tf.Tensor:
        """Returns the standard deviations of q(z|x), `(batch, latent_size)`."""
        return q.stddev()

    def typical(self, p: tfd.Distribution) -> tf.Tensor:
        """Returns the examples that stand for p(x|z), of its batch and event shape, float32: the means."""
        return p.mean()

    # The bound.

    def divergence(self, q: tfd.Distribution, p: tfd.Distribution, z, log_q) -> tf.Tensor:
        """Returns KL(q||p) per example: in closed form where tfp has it, else its estimate from `z ~ q` and log q(z)."""
        try:
            return tfd.kl_divergence(q, p)
        except NotImplementedError:
            return log_q - p.log_prob(z)

    def has_closed_form(self) -> bool:
        """Returns whether the rate is computed exactly given an example; if not, it is estimated from the draw of z."""
        specs = (spec.tensor_spec(1) for spec in (self.specs | self.optional_specs).values())
        batch = {spec.name: tf.zeros(spec.shape, spec.dtype) for spec in specs}
        given = self.given(batch)
        try:
            tfd.kl_divergence(self.posterior(batch[self.example.key], given), self.prior(given))
        except NotImplementedError:
            return False
        return True

    def rates(self, q: tfd.Distribution, p: tfd.Distribution, z, log_q) -> tf.Tensor:
        """Returns the divergence of each group of latents, `(batch, groups)`; arguments as of `divergence`.

        Where both distributions are diagonal Gaussians and groups matter, each latent is a group, else there is one.
        """
        if self.rate.free_bits and all(isinstance(one, tfd.MultivariateNormalDiag) for one in (q, p)):
            q, p = (tfd.Normal(one.mean(), one.stddev()) for one in (q, p))
            return tfd.kl_divergence(q, p)
        return self.divergence(q, p, z, log_q)[:, None]

    def rate_distortion(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns KL(q(z|x)||p(z)) and -E_q[log p(x|z)] (one draw of z) in nats, each `(batch,)`."""
        rates, distortion, _ = self._parts(batch)
        return tf.reduce_sum(rates, -1), distortion

    def _parts(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the rates, the distortion and, while measuring, the codes that stand for the examples.

        Within a test step it is one draw per batch, so that terms and figures are of the same.
        """
        if self._measured.value is not None and self._measured.value[0] is batch:
            return self._measured.value[1]
        x, given = batch[self.example.key], self.given(batch)
        of_z, of_x = tf.unstack(tf.random.split(self.seed(), 2, alg="philox"))
        q = self.posterior(x, given)
        # Of a flow it knows the density of its own draws only.
        z, log_q = q.experimental_sample_and_log_prob(seed=of_z)
        distortion = -self.likelihood(z, given).log_prob(self.event(x, of_x))
        # A hierarchy walks down once more for the codes that stand for examples, of which training makes no use.
        parts = self.rates(q, self.prior(given), z, log_q), distortion, None if self.in_training else self.centre(q)
        if self.in_step and not self.in_training:
            self._measured.value = (batch, parts)
        return parts

    def test_step(self, data):
        try:
            return super().test_step(data)
        finally:
            self._measured.value = None

    def players(self) -> list[Player]:
        return [Player("model", self.networks(), self.terms)]

    def terms(self, batch: Batch) -> Terms:
        """Returns the two parts of the negative bound, means over the batch of sums over dimensions."""
        rates, distortion, _ = self._parts(batch)
        return {"rate": self.rate(rates, self._steps.value), "distortion": tf.reduce_mean(distortion)}

    def figures(self, batch: Batch) -> Terms:
        """Returns the ELBO in nats, of pictures also as bits per dimension, and L_k where `evaluate` was asked to."""
        rates, distortion, centre = self._parts(batch)
        rate = tf.reduce_sum(rates, -1)
        figures = {"elbo": -rate - distortion, "kl": rate, "active_units": centre}
        if isinstance(self.example, Images):
            figures["bits_per_dim"] = (rate + distortion) / (self.example.dimensions * math.log(2.0))
        if self._importance_samples:
            log_prob, effective = self._importance_weighted(
                batch[self.example.key], self._importance_samples, self.seed(), self.given(batch)
            )
            figures |= {"nats": -log_prob, "effective_sample_size": effective}
        return figures

    def meters(self, figure):
        if figure == "effective_sample_size":
            return {figure: Median}
        if figure == "active_units":
            return {figure: functools.partial(ActiveUnits, size=self.latent_size)}
        return super().meters(figure)

    def evaluate(self, *args, importance_samples: int = 0, **kwargs):
        """Measures rate, distortion, ELBO and the active units; with `importance_samples` also L_k.

        The term `rate` is what training descends, weighted; `kl` is the divergence itself, and `elbo` has it in full.

        Arguments:
            importance_samples: k. `nats` is then -L_k, and `effective_sample_size` the median over examples of
                (sum w)^2 / sum w^2; near 1 at a large k it says that the bound has not converged.
            *args: as in `keras.Model.evaluate`.
            **kwargs: as in `keras.Model.evaluate`.
        """
        if importance_samples < 0:
            raise InputError(f"importance_samples: {importance_samples}, expected 0 or more")
        if importance_samples != self._importance_samples:
            self._importance_samples = importance_samples
            self.test_function = None  # Keras makes it anew
        return super().evaluate(*args, **kwargs)

    def _importance_weighted(self, x, k, seed, given=None, proposal=None) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns L_k = log 1/k sum_i p(x, z_i) / q(z_i|x) and the effective sample size, each `(batch,)`.

        Codes are drawn from q(z|x), or from another `proposal`, of batch shape `(batch,)`.
        """
        of_z, of_x = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        event, p = self.event(x, of_x), self.prior(given)
        q = self.posterior(x, given) if proposal is None else proposal

        def add(index, sums, squares):
            fresh = tf.random.fold_in(of_z, index, alg="philox")
            z, log_q = q.experimental_sample_and_log_prob(_CHUNK, seed=fresh)  # (chunk, batch, latent)
            log_w = self.likelihood(z, given).log_prob(event) + p.log_prob(z) - log_q
            # The last chunk may hold more draws than were asked for.
            wanted = (index * _CHUNK + tf.range(_CHUNK) < k)[:, None]
            log_w = tf.where(wanted, log_w, -math.inf)
            return (
                index + 1,
                tf.math.reduce_logsumexp(tf.concat([sums[None], log_w], 0), 0),
                tf.math.reduce_logsumexp(tf.concat([squares[None], 2.0 * log_w], 0), 0),
            )

        nothing = tf.fill((tf.shape(x)[0],), -math.inf)
        chunks = -(-k // _CHUNK)
        _, sums, squares = tf.while_loop(lambda index, *_: index < chunks, add, (0, nothing, nothing))
        return sums - tf.math.log(tf.cast(k, tf.float32)), tf.exp(2.0 * sums - squares)

    # Endpoints.

    @endpoint(returns="log_prob", x=Example(), importance_samples=Count(), seed=Seed(), label=Label())
    def log_prob(self, x, importance_samples=64, seed=0, label=None):
        """Returns the importance-weighted lower bound L_k of log p(x) in nats, float32 `(batch,)`.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`, or float32 points `(batch, size)`.
            importance_samples: k; the bound rises with it towards log p(x), and k=1 is the ELBO.
            seed: an int, or two int32.
            label: int32 `(batch,)`, for a conditional model.
        """
        return self._importance_weighted(x, importance_samples, seed, label)[0]

    @endpoint(x=Example(), label=Label())
    def encode(self, x, label=None):
        """Returns `mean` and `scale` (standard deviation) of q(z|x), each float32 `(batch, latent_size)`."""
        q = self.posterior(x, label)
        return {"mean": self.centre(q), "scale": self.scale(q)}

    @endpoint(returns="example", z=Latent(), label=Label())
    def decode(self, z, label=None):
        """Returns the mean of p(x|z), uint8 levels or float32 points, for codes float32 `(batch, latent_size)`."""
        return self._output(self.typical(self.likelihood(z, label)))

    @endpoint(returns="example", x=Example(), label=Label())
    def reconstruct(self, x, label=None):
        """Returns examples decoded from the posterior's mean, uint8 levels or float32 points of the shape of `x`."""
        return self.decode(self.encode(x, label)["mean"], label)

    @endpoint(returns="example", count=Count(), seed=Seed(), label=Label())
    def sample(self, count, seed=0, label=None):
        """Draws z ~ p(z), x ~ p(x|z): uint8 levels `(count, height, width, channels)`, or points `(count, size)`.

        Arguments:
            count: how many.
            seed: an int, or two int32; the same seed gives the same examples.
            label: int32 `(count,)`, for a conditional model.
        """
        of_z, of_x = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        return self._output(self.likelihood(self._draw_latents(count, of_z, label), label).sample(seed=of_x))

    @endpoint(returns="example", start=Example("start"), stop=Example("stop"), steps=Count())
    def interpolate(self, start, stop, steps=8):
        """Decodes the straight line between two codes: uint8 levels, or float32 points, `(batch, steps, ...)`.

        Arguments:
            start: examples `(batch, ...)`; their posterior means are one end.
            stop: examples `(batch, ...)`; their posterior means are the other end.
            steps: number of examples, ends included.
        """
        z_start, z_stop = (self.encode(x)["mean"] for x in (start, stop))
        z = straight(z_start[:, None], z_stop[:, None], places(steps))
        examples = self.decode(tf.reshape(z, (-1, self.latent_size)))
        return tf.reshape(examples, (-1, steps, *self.example.shape))

    @endpoint(returns="example", side=Count())
    def manifold(self, side=20):
        """Decodes a grid over a Gaussian prior of two dimensions (Kingma & Welling 2014, figure 4).

        The codes lie evenly in probability, `(i + 1/2) / side` mapped through the inverse distribution function.

        Arguments:
            side: examples per row and per column.

        Returns:
            uint8 levels, or float32 points, `(side * side, ...)` row by row, as a page is read: the first coordinate
            grows to the right, the second upwards.

        Raises:
            InputError: the codes have not two dimensions, or their prior is not Gaussian.
        """
        if not self.offers("manifold"):
            raise InputError(f"manifold: for two latents with a Gaussian prior; this model has {self.latent_size}")
        levels = (tf.range(side, dtype=tf.float32) + 0.5) / tf.cast(side, tf.float32)
        quantiles = tfd.Normal(0.0, 1.0).quantile(levels)
        z = tf.stack(tf.meshgrid(quantiles, tf.reverse(quantiles, [0])), -1)
        prior = self.prior()
        return self.decode(prior.mean() + prior.stddev() * tf.reshape(z, (-1, 2)))

    def offers(self, name: str) -> bool:
        if name == "manifold":
            return self.label is None and self.latent_size == 2 and isinstance(self.prior(), tfd.MultivariateNormalDiag)
        return name != "interpolate" or self.label is None

    def preview(self, count: int, seed: int = 0, label=None) -> tf.Tensor:
        """Returns examples to look at: the means of p(x|z) for codes from the prior, without the pixels' noise."""
        return self.decode(self._draw_latents(count, tf.constant([seed, 0]), label), label)

    def _draw_latents(self, count, seed, given) -> tf.Tensor:
        prior = self.prior(given)
        per_example = given is not None and prior.batch_shape.rank
        return prior.sample(seed=seed) if per_example else prior.sample(count, seed=seed)

    def _output(self, x) -> tf.Tensor:
        """Rounds a mean, or a draw, of pictures to levels; points stay."""
        return self.example.nearest(x) if isinstance(self.example, Images) else x
