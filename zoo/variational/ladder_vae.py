"""Ladder VAE: layers of codes, whose posterior merges what the picture says with what the layers above expect."""

from collections.abc import Sequence

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import Hierarchy, Likelihood, default_likelihood, merge
from tfgen.errors import InputError
from tfgen.models import Batch, LatentVariableModel, RateWeight, Terms
from tfgen.networks import mlp
from tfgen.networks.dcgan import batch_norm
from tfgen.optimizers import Adam
from tfgen.precision import full
from tfgen.registry import register
from tfgen.specs import Images, Points

tfd = tfp.distributions


@register(
    "ladder_vae",
    title="Ladder Variational Autoencoders",
    authors="C. K. Sønderby, T. Raiko, L. Maaløe, S. K. Sønderby, O. Winther",
    year=2016,
    url="https://arxiv.org/abs/1602.02282",
    recipes={
        "digits": {
            "batch_size": 64, "epochs": 150, "model": {"rungs": ((256, 12), (128, 6), (64, 4)), "warm_up": 1000},
        },
        "mnist": {"batch_size": 256, "epochs": 200, "model": {"warm_up": 20_000}},
    },
)  # fmt: skip
class LadderVAE(LatentVariableModel):
    r"""Ladder variational auto-encoder.

    .. math::
        p(x, z) = p(x | z_1) \prod_n p(z_n | z_{n+1}), \quad
        q(z_n | z_{n+1}, x) \propto N(\hat\mu_n(x), \hat\sigma_n^2(x)) \, p(z_n | z_{n+1})

    A path without draws goes up from the picture and leaves a message on each rung (eq. 11 to 13); codes are drawn on the
    way down from the product of the message and the prior (eq. 14 to 19), and at the top from the message alone. The
    divergence of each layer is in closed form given the layer above, and its weight grows over the first steps.

    References:
        C. K. Sønderby, T. Raiko, L. Maaløe, S. K. Sønderby, O. Winther, "Ladder Variational Autoencoders", NIPS 2016,
        https://arxiv.org/abs/1602.02282

    Arguments:
        example: pictures, or points.
        rungs: hidden units and latents of each rung, from the picture up. A code holds all of them, z_1 first.
        warm_up: steps over which the divergence's weight grows from 0 to 1 (the paper: 200 epochs).
        likelihood: p(x|z_1); Bernoulli for binary pictures, the discretized logistic for others, and a Gaussian with a
            learned scale for points, unless given.
        kwargs: `seed`, `name`, `dtype`.
    """

    # Of the messages' and the priors' variances: precisions are divided by.
    _LEAST_VARIANCE = 1e-4

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1), 2),
        rungs: Sequence[tuple[int, int]] = ((512, 64), (256, 32), (128, 16), (64, 8), (32, 4)),
        warm_up: int = 40_000,
        likelihood: Likelihood | None = None,
        **kwargs,
    ):
        super().__init__(example=example, rate=RateWeight(warm_up=warm_up), **kwargs)
        if not rungs or any(len(rung) != 2 or min(rung) < 1 for rung in rungs):
            raise InputError(
                f"ladder_vae: rungs={rungs}, expected pairs of hidden units and latents, at least 1 of each"
            )
        hidden, self.sizes = zip(*rungs, strict=True)
        self.latent_size = sum(self.sizes)
        self.p_x = likelihood or default_likelihood(example)
        self.p_x.check(example)
        dtype = self.dtype_policy
        common = {"activation": "leaky_relu", "norm": lambda: batch_norm(dtype), "dtype": dtype}
        *sides, channels = example.shape
        below = [example.shape, *((width,) for width in hidden[:-1])]
        self.up = [
            mlp(shape, (width,), hidden=(width,), name=f"up_{n}", **common)
            for n, (shape, width) in enumerate(zip(below, hidden, strict=True), start=1)
        ]
        self.messages = [
            mlp((width,), (2 * size,), hidden=(), name=f"message_{n}", **common)
            for n, (width, size) in enumerate(rungs, start=1)
        ]
        self.down = [
            mlp((above,), (2 * size,), hidden=(width,), name=f"down_{n}", **common)
            for n, (above, size, width) in enumerate(zip(self.sizes[1:], self.sizes, hidden[1:], strict=False), start=1)
        ]
        self.decoder = mlp(
            self.sizes[:1], (*sides, channels * self.p_x.parameters), hidden=hidden[:1], name="decoder", **common
        )

    def _gaussian(self, network: keras.Model, inputs) -> tfd.MultivariateNormalDiag:
        """Returns N(mu, diag sigma^2) for inputs `(..., size)`."""
        numbers = full(network(tf.reshape(inputs, (-1, inputs.shape[-1])), training=self.in_training))
        numbers = tf.reshape(numbers, tf.concat([tf.shape(inputs)[:-1], numbers.shape[-1:]], 0))
        mean, raw = tf.split(numbers, 2, -1)
        return tfd.MultivariateNormalDiag(mean, tf.sqrt(tf.nn.softplus(raw) + self._LEAST_VARIANCE))

    def prior(self, given=None):
        top = tfd.MultivariateNormalDiag(tf.zeros(self.sizes[-1]), tf.ones(self.sizes[-1]))
        below = [lambda z, network=network: self._gaussian(network, z) for network in self.down[::-1]]
        return Hierarchy(top, below, self.sizes)

    def posterior(self, x, given=None):
        told, messages = self.example.to_network(x), []
        for up, message in zip(self.up, self.messages, strict=True):
            told = up(told, training=self.in_training)
            messages.append(self._gaussian(message, told))
        below = [
            lambda z, said=said, network=network: merge(said, self._gaussian(network, z))
            for said, network in zip(messages[-2::-1], self.down[::-1], strict=True)
        ]
        return Hierarchy(messages[-1], below, self.sizes)

    def likelihood(self, z, given=None):
        lowest = tf.reshape(z[..., : self.sizes[0]], (-1, self.sizes[0]))
        parameters = self.decoder(lowest, training=self.in_training)
        return self.p_x(tf.reshape(parameters, tf.concat([tf.shape(z)[:-1], parameters.shape[1:]], 0)), self.example)

    def event(self, x, seed):
        return self.p_x.event(x, self.example, seed)

    def rates(self, q, p, z, log_q):
        """Returns KL(q(z_n | z_{n+1}, x) || p(z_n | z_{n+1})) of each layer, z_1's first, `(batch, layers)`."""
        return tf.stack([tfd.kl_divergence(*pair) for pair in zip(q.given(z), p.given(z), strict=True)], -1)

    def figures(self, batch: Batch) -> Terms:
        """Returns those of the family, and the divergence of each layer, which tells the layers that are in use."""
        rates, _, _ = self._parts(batch)
        layers = {f"kl_{n}": rate for n, rate in enumerate(tf.unstack(rates, axis=-1), start=1)}
        return super().figures(batch) | layers

    def centre(self, q):
        return q.centre()[0]

    def scale(self, q):
        return q.centre()[1]

    def networks(self):
        return [*self.up, *self.messages, *self.down, self.decoder, self.p_x]

    def default_optimizers(self):
        return {"model": Adam(2e-3)}
