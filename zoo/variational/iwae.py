"""IWAE: trained on the bound of several importance samples."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfgen.distributions import Likelihood, Posterior, Prior
from tfgen.errors import InputError
from tfgen.models import AmortizedModel, Batch, Terms
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "iwae",
    title="Importance Weighted Autoencoders",
    authors="Y. Burda, R. Grosse, R. Salakhutdinov",
    year=2016,
    url="https://arxiv.org/abs/1509.00519",
    recipes={
        "digits": {"batch_size": 64, "epochs": 100, "model": {"latent_size": 12, "hidden": (256, 256), "samples": 10}},
        "mnist": {"batch_size": 20, "epochs": 100, "model": {}},
    },
)
class IWAE(AmortizedModel):
    r"""Importance weighted auto-encoder.

    .. math:: L_k(x) = E_{z_1 .. z_k \sim q(z|x)} \Big[ \log \frac{1}{k} \sum_i w_i \Big], \quad
        w_i = \frac{p(x, z_i)}{q(z_i | x)}

    (eq. 8), which k = 1 makes the bound of `vae`, and which rises with k towards log p(x) (theorem 1). Its gradient
    weighs each sample's by the normalised weight \tilde w_i (eq. 14). With `doubly_reparameterized` that of the encoder is

    .. math:: \sum_i \tilde w_i^2 \frac{\partial \log w_i}{\partial z_i} \frac{\partial z_i}{\partial \phi}

    instead (Tucker et al., eq. 8), the same on average, which vanishes as q becomes the posterior.

    References:
        Y. Burda, R. Grosse, R. Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016,
        https://arxiv.org/abs/1509.00519
        G. Tucker, D. Lawson, S. Gu, C. J. Maddison, "Doubly Reparameterized Gradient Estimators for Monte Carlo
        Objectives", ICLR 2019, https://arxiv.org/abs/1810.04152

    Arguments:
        example: pictures, or points.
        latent_size: of z.
        samples: k, in training.
        doubly_reparameterized: whether the encoder has that gradient; the posterior then is a Gaussian.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        encoder: pictures in [-1, 1], or points, to the posterior's numbers, `(batch, 2 * latent_size)`.
        decoder: codes to the likelihood's parameters, as of `vae`.
        posterior: family of q(z|x); the diagonal Gaussian unless given.
        prior: p(z); standard normal unless given.
        likelihood: p(x|z); as of `vae` unless given.
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1), 2),
        latent_size: int = 50,
        samples: int = 50,
        doubly_reparameterized: bool = False,
        hidden: Sequence[int] = (200, 200),
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        posterior: Posterior | None = None,
        prior: Prior | None = None,
        likelihood: Likelihood | None = None,
        **kwargs,
    ):
        parts = {"encoder": encoder, "decoder": decoder, "posterior": posterior, "prior": prior}
        super().__init__(
            example=example, latent_size=latent_size, hidden=hidden, likelihood=likelihood, **parts, **kwargs
        )
        if samples < 1:
            raise InputError(f"iwae: {samples} samples, expected at least 1")
        if doubly_reparameterized and not self.q_z.has_density:
            raise InputError(
                "iwae: the doubly reparameterized gradient needs the density of any code, which "
                f"{type(self.q_z).__name__} does not know"
            )
        self.samples, self.doubly_reparameterized = samples, doubly_reparameterized

    def terms(self, batch: Batch) -> Terms:
        """Returns -L_k."""
        of_z, of_x = tf.unstack(tf.random.split(self.seed(), 2, alg="philox"))
        x = batch[self.example.key]
        numbers, event, p = self._asked(self.example.to_network(x)), self.event(x, of_x), self.prior()
        q = self.q_z(numbers, self.latent_size)
        z, log_q = q.experimental_sample_and_log_prob(self.samples, seed=of_z)  # (samples, batch, latent)
        if not self.doubly_reparameterized:
            return {"bound": -self._mean_bound(self.likelihood(z).log_prob(event) + p.log_prob(z) - log_q)}
        fixed = self.q_z(tf.stop_gradient(numbers), self.latent_size)
        codes = tf.stop_gradient(z)
        with tf.GradientTape() as tape:
            tape.watch(codes)
            log_w = self.likelihood(codes).log_prob(event) + p.log_prob(codes) - fixed.log_prob(codes)
        slope = tf.stop_gradient(tf.square(tf.nn.softmax(log_w, 0))[..., None] * tape.gradient(log_w, codes))
        # Has the encoder's gradient, and the value 0.
        through_z = tf.reduce_sum(slope * (z - codes), (0, 2))
        return {"bound": -self._mean_bound(log_w) - tf.reduce_mean(through_z)}

    def _mean_bound(self, log_w) -> tf.Tensor:
        """Returns L_k, the mean over a batch, of log-weights `(samples, batch)`."""
        return tf.reduce_mean(tf.reduce_logsumexp(log_w, 0)) - tf.math.log(tf.cast(self.samples, tf.float32))

    def default_optimizers(self):
        return {"model": Adam(1e-3, epsilon=1e-4)}
