"""Convolutional VAE, for pictures of any size and 8-bit colours."""

import keras

from tfgen.distributions import DiagonalGaussian, Likelihood, Posterior, Prior, default_likelihood
from tfgen.models import AmortizedModel, RateWeight
from tfgen.networks import conv_decoder, conv_encoder
from tfgen.registry import register
from tfgen.specs import Images


@register(
    "conv_vae",
    title="Auto-Encoding Variational Bayes",
    authors="D. P. Kingma, M. Welling",
    year=2014,
    url="https://arxiv.org/abs/1312.6114",
    recipes={
        "digits": {"batch_size": 32, "epochs": 60, "model": {"width": 32, "latent_size": 12}},
        "mnist": {"batch_size": 128, "epochs": 50, "model": {"width": 32, "latent_size": 50}},
        "celeb_a": {"batch_size": 64, "epochs": 30, "model": {}},
    },
)
class ConvVAE(AmortizedModel):
    r"""Variational auto-encoder with strided convolutions and a likelihood of integer levels.

    .. math::
        L(x) = E_{q(z|x)}[\log p(x|z)] - KL(q(z|x) \| p(z)), \qquad
        P(x_i = v | z) = \int_{v - 1/2}^{v + 1/2} Logistic(\mu_i(z), s_i(z))

    of which the lowest and the highest level take the tails, so that the bound is one on the probability of the picture.
    Convolutions of 4x4 with stride 2 halve the sides until they are 4 or less; the decoder mirrors them.

    References:
        D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014, https://arxiv.org/abs/1312.6114
        A. Radford, L. Metz, S. Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
        Adversarial Networks", ICLR 2016, https://arxiv.org/abs/1511.06434

    Arguments:
        example: pictures of any size.
        latent_size: of z.
        width: features of the first convolution; they double at each level, up to four times as many.
        encoder: pictures in [-1, 1] to the posterior's numbers, `(batch, 2 * latent_size)`.
        decoder: codes to the likelihood's parameters `(batch, height, width, channels * parameters)`.
        posterior: family of q(z|x); the diagonal Gaussian unless given.
        prior: p(z); standard normal unless given.
        likelihood: p(x|z); Bernoulli for binary pictures, the discretized logistic for others, unless given.
        rate: how much the divergence weighs in training; as in the bound unless given.
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images = Images((32, 32, 3)),
        latent_size: int = 128,
        width: int = 64,
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        posterior: Posterior | None = None,
        prior: Prior | None = None,
        likelihood: Likelihood | None = None,
        rate: RateWeight | None = None,
        **kwargs,
    ):
        posterior, likelihood = posterior or DiagonalGaussian(), likelihood or default_likelihood(example)
        *sides, channels = example.shape
        sizes = {"width": width, "dtype": kwargs.get("dtype")}
        encoder = encoder or conv_encoder(example.shape, posterior.parameters(latent_size), **sizes)
        decoder = decoder or conv_decoder(latent_size, (*sides, channels * likelihood.parameters), **sizes)
        parts = {"encoder": encoder, "decoder": decoder, "posterior": posterior, "prior": prior}
        parts |= {"likelihood": likelihood, "rate": rate}
        super().__init__(example=example, latent_size=latent_size, **parts, **kwargs)
