"""VAE with inverse autoregressive flow: masked networks bend the posterior, all latents at once."""

from collections.abc import Sequence

import keras

from tfgen.distributions import InverseAutoregressiveFlow, Likelihood, Prior, default_likelihood
from tfgen.models import AmortizedModel, RateWeight
from tfgen.networks import conv_decoder, conv_encoder
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "iaf_vae",
    title="Improving Variational Inference with Inverse Autoregressive Flow",
    authors="D. P. Kingma, T. Salimans, R. Józefowicz, X. Chen, I. Sutskever, M. Welling",
    year=2016,
    url="https://arxiv.org/abs/1606.04934",
    recipes={
        "digits": {"batch_size": 64, "epochs": 60, "model": {"latent_size": 12, "width": 32, "units": (64,)}},
        "mnist": {"batch_size": 100, "epochs": 100, "model": {}},
        "cifar10": {"batch_size": 64, "epochs": 100, "model": {"latent_size": 128, "width": 64}},
    },
)
class IAFVAE(AmortizedModel):
    r"""Variational auto-encoder whose posterior is an inverse autoregressive flow.

    .. math::
        z_0 \sim N(\mu, diag\,\sigma^2), \quad
        z_t = \sigma(s_t) \odot z_{t-1} + (1 - \sigma(s_t)) \odot m_t, \quad
        \log q(z_T) = \log q(z_0) - \sum_{t,i} \log \sigma(s_{t,i})

    (section 4 and algorithm 1), where [m_t, s_t] of each latent is computed from those before it in z_{t-1} and from a
    context that the encoder gives. The divergence is estimated from the draw of z.

    References:
        D. P. Kingma, T. Salimans, R. Józefowicz, X. Chen, I. Sutskever, M. Welling, "Improving Variational Inference with
        Inverse Autoregressive Flow", NIPS 2016, https://arxiv.org/abs/1606.04934

    Arguments:
        example: pictures, which have strided convolutions, or points, which have perceptrons.
        latent_size: of z.
        maps: T; none makes the posterior that of `vae` (the paper: 2 to 8).
        units: widths of the hidden layers of each map's masked network (the paper: one of 320 or 1920).
        context: numbers that the encoder tells the masked networks.
        width: features of the first convolution.
        hidden: widths of the encoder's hidden layers for points; the decoder mirrors them.
        encoder: pictures in [-1, 1], or points, to mean and log-scale of z_0 and the context,
            `(batch, 2 * latent_size + context)`.
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
        maps: int = 4,
        units: Sequence[int] = (320,),
        context: int = 64,
        width: int = 32,
        hidden: Sequence[int] = (450,),
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        prior: Prior | None = None,
        likelihood: Likelihood | None = None,
        rate: RateWeight | None = None,
        **kwargs,
    ):
        posterior = InverseAutoregressiveFlow(maps, units, context)
        likelihood = likelihood or default_likelihood(example)
        if isinstance(example, Images):
            *sides, channels = example.shape
            sizes = {"width": width, "dtype": kwargs.get("dtype")}
            encoder = encoder or conv_encoder(example.shape, posterior.parameters(latent_size), **sizes)
            decoder = decoder or conv_decoder(latent_size, (*sides, channels * likelihood.parameters), **sizes)
        parts = {"encoder": encoder, "decoder": decoder, "posterior": posterior, "prior": prior}
        parts |= {"likelihood": likelihood, "rate": rate}
        super().__init__(example=example, latent_size=latent_size, hidden=hidden, **parts, **kwargs)

    def default_optimizers(self):
        return {"model": keras.optimizers.Adamax(2e-3)}
