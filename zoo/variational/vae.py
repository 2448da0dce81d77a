"""VAE: an amortised Gaussian posterior, reparameterised."""

from collections.abc import Sequence

import keras

from tfgen.distributions import Likelihood, Posterior, Prior
from tfgen.models import AmortizedModel, RateWeight
from tfgen.registry import register
from tfgen.specs import Images, Points


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
class VAE(AmortizedModel):
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
        encoder: pictures in [-1, 1], or points, to the posterior's numbers: mean and log-scale `(batch, 2 *
            latent_size)` for the paper's.
        decoder: codes to the likelihood's parameters `(batch, height, width, channels * parameters)`, or
            `(batch, size * parameters)` for points.
        posterior: family of q(z|x); the diagonal Gaussian unless given.
        prior: p(z); standard normal unless given.
        likelihood: p(x|z); Bernoulli for binary pictures, the discretized logistic for others, and a Gaussian with a
            learned scale for points, unless given.
        rate: how much the divergence weighs in training; as in the bound unless given.
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1), 2),
        latent_size: int = 50,
        hidden: Sequence[int] = (500,),
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        posterior: Posterior | None = None,
        prior: Prior | None = None,
        likelihood: Likelihood | None = None,
        rate: RateWeight | None = None,
        **kwargs,
    ):
        parts = {"encoder": encoder, "decoder": decoder, "posterior": posterior, "prior": prior}
        parts |= {"likelihood": likelihood, "rate": rate}
        super().__init__(example=example, latent_size=latent_size, hidden=hidden, **parts, **kwargs)
