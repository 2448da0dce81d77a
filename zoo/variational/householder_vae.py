"""VAE with a Householder flow: reflections that turn the posterior."""

from collections.abc import Sequence

import keras

from tfgen.distributions import HouseholderFlow, Likelihood, Prior
from tfgen.models import AmortizedModel, RateWeight
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "householder_vae",
    title="Improving Variational Auto-Encoders using Householder Flow",
    authors="J. M. Tomczak, M. Welling",
    year=2016,
    url="https://arxiv.org/abs/1611.09630",
    recipes={
        "digits": {"batch_size": 64, "epochs": 300, "model": {"latent_size": 12, "hidden": (256, 256), "maps": 2}},
        "mnist": {"batch_size": 100, "epochs": 100, "model": {}},
    },
)
class HouseholderVAE(AmortizedModel):
    r"""Variational auto-encoder whose posterior is a reflected Gaussian.

    .. math:: z_0 \sim N(\mu, diag\,\sigma^2), \quad z_t = \Big( I - 2 \frac{v_t v_t^T}{\|v_t\|^2} \Big) z_{t-1}

    (eq. 13), where the encoder gives v_1 and a linear layer each next one. Enough reflections make any orthogonal matrix U,
    and U diag(sigma^2) U^T any covariance. Reflections keep volumes: log q(z_T) = log q(z_0).

    References:
        J. M. Tomczak, M. Welling, "Improving Variational Auto-Encoders using Householder Flow", 2016,
        https://arxiv.org/abs/1611.09630

    Arguments:
        example: pictures, or points.
        latent_size: of z.
        maps: T; none makes it `vae` (the paper: 1 and 10).
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        encoder: pictures in [-1, 1], or points, to mean and log-scale of z_0 and v_1, `(batch, 3 d)` for codes
            of size d.
        decoder: codes to the likelihood's parameters, as of `vae`.
        prior: p(z); standard normal unless given.
        likelihood: p(x|z); as of `vae` unless given.
        rate: how much the divergence weighs in training; as in the bound unless given.
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1), 2),
        latent_size: int = 40,
        maps: int = 1,
        hidden: Sequence[int] = (300, 300),
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        prior: Prior | None = None,
        likelihood: Likelihood | None = None,
        rate: RateWeight | None = None,
        **kwargs,
    ):
        parts = {"encoder": encoder, "decoder": decoder, "posterior": HouseholderFlow(maps), "prior": prior}
        parts |= {"likelihood": likelihood, "rate": rate}
        super().__init__(example=example, latent_size=latent_size, hidden=hidden, **parts, **kwargs)

    def default_optimizers(self):
        return {"model": Adam(2e-4)}
