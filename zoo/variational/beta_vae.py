"""beta-VAE: a divergence that weighs more, so that latents share the work out."""

from collections.abc import Sequence

import keras

from tfgen.distributions import Likelihood, Posterior, Prior
from tfgen.models import AmortizedModel, RateWeight
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "beta_vae",
    title="beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework",
    authors="I. Higgins, L. Matthey, A. Pal, C. Burgess, X. Glorot, M. Botvinick, S. Mohamed, A. Lerchner",
    year=2017,
    url="https://openreview.net/forum?id=Sy2fzU9gl",
    recipes={
        "digits": {
            "batch_size": 64, "epochs": 150, "model": {"latent_size": 10, "hidden": (256, 256), "beta": 2.0},
        },
        "shapes": {"batch_size": 64, "epochs": 30, "model": {"hidden": (256, 256)}},
    },
)  # fmt: skip
class BetaVAE(AmortizedModel):
    r"""Variational auto-encoder whose divergence weighs more than in the bound.

    .. math:: -E_{q(z|x)}[\log p(x|z)] + \beta \, KL(q(z|x) \| p(z))

    (eq. 4), or with a capacity C that grows in training

    .. math:: -E_{q(z|x)}[\log p(x|z)] + \gamma \, |KL(q(z|x) \| p(z)) - C|

    (Burgess et al., eq. 8). What `evaluate` calls the ELBO has beta 1.

    References:
        I. Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework", ICLR
        2017, https://openreview.net/forum?id=Sy2fzU9gl
        C. Burgess et al., "Understanding disentangling in beta-VAE", 2018, https://arxiv.org/abs/1804.03599

    Arguments:
        example: pictures, or points.
        latent_size: of z.
        beta: weight of the divergence.
        warm_up: steps over which the weight, or the capacity, grows from 0.
        free_bits: nats of each latent that cost nothing.
        capacity: C in nats, in place of beta.
        gain: gamma, of the distance from the capacity.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them (the paper: two of 1200).
        encoder: pictures in [-1, 1], or points, to the posterior's numbers, `(batch, 2 * latent_size)`.
        decoder: codes to the likelihood's parameters, as of `vae`.
        posterior: family of q(z|x); the diagonal Gaussian unless given.
        prior: p(z); standard normal unless given.
        likelihood: p(x|z); as of `vae` unless given. With a learned scale of a Gaussian, beta means something else.
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((64, 64, 1), 2),
        latent_size: int = 10,
        beta: float = 4.0,
        warm_up: int = 0,
        free_bits: float = 0.0,
        capacity: float | None = None,
        gain: float = 1000.0,
        hidden: Sequence[int] = (1200, 1200),
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        posterior: Posterior | None = None,
        prior: Prior | None = None,
        likelihood: Likelihood | None = None,
        **kwargs,
    ):
        parts = {"encoder": encoder, "decoder": decoder, "posterior": posterior, "prior": prior}
        rate = RateWeight(beta, warm_up, free_bits, capacity, gain)
        super().__init__(
            example=example, latent_size=latent_size, hidden=hidden, likelihood=likelihood, rate=rate, **parts, **kwargs
        )

    def default_optimizers(self):
        return {"model": Adam(5e-4)}
