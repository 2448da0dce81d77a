"""VAE with a Gaussian posterior of full covariance."""

from collections.abc import Sequence

import keras

from tfgen.distributions import FullCovarianceGaussian, Likelihood, Prior
from tfgen.models import AmortizedModel, RateWeight
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "full_covariance_vae",
    title="Auto-Encoding Variational Bayes",
    authors="D. P. Kingma, M. Welling",
    year=2014,
    url="https://arxiv.org/abs/1312.6114",
    recipes={
        "digits": {"batch_size": 64, "epochs": 150, "model": {"latent_size": 12, "hidden": (256, 256)}},
        "mnist": {"batch_size": 128, "epochs": 100, "model": {"latent_size": 32, "hidden": (200, 200)}},
    },
)
class FullCovarianceVAE(AmortizedModel):
    r"""Variational auto-encoder whose posterior knows how latents vary together.

    .. math::
        q(z|x) = N(\mu, L L^T), \quad z = \mu + L \epsilon, \quad
        KL = \frac{1}{2} \Big( \|L\|_F^2 + \|\mu\|^2 - d - 2 \sum_i \log L_{ii} \Big)

    with a triangular L of positive diagonal (appendix F). It is the linear case of an inverse autoregressive flow.

    References:
        D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014, https://arxiv.org/abs/1312.6114
        D. P. Kingma, T. Salimans, R. Jozefowicz, X. Chen, I. Sutskever, M. Welling, "Improving Variational Inference
        with Inverse Autoregressive Flow", NIPS 2016, https://arxiv.org/abs/1606.04934

    Arguments:
        example: pictures, or points.
        latent_size: d, of z.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        encoder: pictures in [-1, 1], or points, to mu, the logarithms of L's diagonal and what lies below it row by
            row, `(batch, d (d + 3) / 2)`.
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
        latent_size: int = 32,
        hidden: Sequence[int] = (200, 200),
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        prior: Prior | None = None,
        likelihood: Likelihood | None = None,
        rate: RateWeight | None = None,
        **kwargs,
    ):
        parts = {"encoder": encoder, "decoder": decoder, "posterior": FullCovarianceGaussian(), "prior": prior}
        parts |= {"likelihood": likelihood, "rate": rate}
        super().__init__(example=example, latent_size=latent_size, hidden=hidden, **parts, **kwargs)
