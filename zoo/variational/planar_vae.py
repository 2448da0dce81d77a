"""VAE with a planar flow: maps that bend the posterior."""

from collections.abc import Sequence

import keras

from tfgen.distributions import Likelihood, PlanarFlow, Prior
from tfgen.models import AmortizedModel, RateWeight
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "planar_vae",
    title="Variational Inference with Normalizing Flows",
    authors="D. J. Rezende, S. Mohamed",
    year=2015,
    url="https://arxiv.org/abs/1505.05770",
    recipes={
        "digits": {"batch_size": 64, "epochs": 200, "model": {"latent_size": 12, "hidden": (256, 256), "maps": 4}},
        "mnist": {"batch_size": 100, "epochs": 100, "model": {}},
    },
)
class PlanarVAE(AmortizedModel):
    r"""Variational auto-encoder whose posterior is a planar flow.

    .. math::
        z_0 \sim N(\mu, diag\,\sigma^2), \quad z_t = z_{t-1} + u_t' \tanh(w_t^T z_{t-1} + b_t), \quad
        \log q(z_T) = \log q(z_0) - \sum_t \log |1 + (1 - \tanh^2(\cdot)) w_t^T u_t'|

    (eq. 10 to 13), where the encoder gives mu, sigma and each map's u, w and b. The divergence is estimated from the draw
    of z. Density is known for codes that were drawn, not for any code.

    References:
        D. J. Rezende, S. Mohamed, "Variational Inference with Normalizing Flows", ICML 2015,
        https://arxiv.org/abs/1505.05770

    Arguments:
        example: pictures, or points.
        latent_size: of z.
        maps: T; none makes it `vae` (the paper: up to 80).
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        encoder: pictures in [-1, 1], or points, to mean and log-scale of z_0, then u, w and b of each map,
            `(batch, 2 d + T (2 d + 1))` for codes of size d.
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
        maps: int = 10,
        hidden: Sequence[int] = (400, 400),
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        prior: Prior | None = None,
        likelihood: Likelihood | None = None,
        rate: RateWeight | None = None,
        **kwargs,
    ):
        parts = {"encoder": encoder, "decoder": decoder, "posterior": PlanarFlow(maps), "prior": prior}
        parts |= {"likelihood": likelihood, "rate": rate}
        super().__init__(example=example, latent_size=latent_size, hidden=hidden, **parts, **kwargs)

    def default_optimizers(self):
        return {"model": keras.optimizers.Adamax(5e-4)}
