"""VAE: an amortised Gaussian posterior, reparameterised."""

from collections.abc import Sequence

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import Likelihood, default_likelihood
from tfgen.models.generative import ensure_network
from tfgen.models.latent import LatentVariableModel
from tfgen.networks import mlp
from tfgen.precision import full
from tfgen.registry import register
from tfgen.specs import Images, Points

tfd = tfp.distributions


@register(
    "vae",
    title="Auto-Encoding Variational Bayes",
    authors="D. P. Kingma, M. Welling",
    year=2014,
    url="https://arxiv.org/abs/1312.6114",
    recipes={
        "digits": {"batch_size": 64, "epochs": 150, "model": {"latent_size": 12, "hidden": (256, 256)}},
        "mnist": {"batch_size": 128, "epochs": 100, "model": {"latent_size": 50, "hidden": (200, 200)}},
    },
)
class VAE(LatentVariableModel):
    r"""Variational auto-encoder with a diagonal Gaussian posterior.

    .. math::
        p(z) = N(0, I), \quad q(z|x) = N(\mu(x), diag\,\sigma^2(x)), \quad
        L(x) = E_{q(z|x)}[\log p(x|z)] - KL(q(z|x) \| p(z))

    with z = mu + sigma * epsilon (eq. 10) and the divergence in closed form (appendix B).

    References:
        D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014, https://arxiv.org/abs/1312.6114

    Arguments:
        example: pictures, or points.
        latent_size: of z; with 2 there is the picture of the `manifold` (figure 4).
        hidden: widths of the encoder's hidden layers; the decoder mirrors them (the paper: one of 500).
        likelihood: p(x|z); Bernoulli for binary pictures, the discretized logistic for others, and a Gaussian with a
            learned scale for points, unless given.
        encoder: pictures in [-1, 1], or points, to mean and log-scale `(batch, 2 * latent_size)`.
        decoder: codes to the likelihood's parameters `(batch, height, width, channels * parameters)`, or
            `(batch, size * parameters)` for points.
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1), 2),
        latent_size: int = 50,
        hidden: Sequence[int] = (500,),
        likelihood: Likelihood | None = None,
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        **kwargs,
    ):
        super().__init__(example=example, **kwargs)
        self.latent_size = latent_size
        self.p_x = likelihood or default_likelihood(example)
        self.p_x.check(example)
        *sides, channels = example.shape
        parameters = (*sides, channels * self.p_x.parameters)
        dtype = self.dtype_policy
        self.encoder = encoder or mlp(example.shape, (2 * latent_size,), hidden=hidden, name="encoder", dtype=dtype)
        self.decoder = decoder or mlp((latent_size,), parameters, hidden=hidden[::-1], name="decoder", dtype=dtype)
        ensure_network("vae", "encoder", self.encoder, example.shape, (2 * latent_size,))
        ensure_network("vae", "decoder", self.decoder, (latent_size,), parameters)

    def prior(self, label=None):
        return tfd.MultivariateNormalDiag(tf.zeros(self.latent_size), tf.ones(self.latent_size))

    def posterior(self, x, label=None):
        mean, log_scale = tf.split(full(self.encoder(self.example.to_network(x), training=self.in_training)), 2, -1)
        return tfd.MultivariateNormalDiag(mean, tf.exp(log_scale))

    def likelihood(self, z, label=None):
        codes = tf.reshape(z, (-1, self.latent_size))  # importance samples stand before the batch
        parameters = self.decoder(codes, training=self.in_training)
        return self.p_x(tf.reshape(parameters, tf.concat([tf.shape(z)[:-1], parameters.shape[1:]], 0)), self.example)

    def event(self, x, seed):
        return self.p_x.event(x, self.example, seed)

    def networks(self):
        return [self.encoder, self.decoder, self.p_x]

    def default_optimizers(self):
        # The paper's Adagrad, with a step chosen from three, is slower than Adam's one.
        return {"model": keras.optimizers.Adam(1e-3)}
