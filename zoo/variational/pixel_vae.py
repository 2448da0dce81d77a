"""PixelVAE: a VAE whose decoder ends in a shallow PixelCNN."""

import keras

from tfgen.distributions import DiagonalGaussian, Posterior, Prior
from tfgen.models import AmortizedModel, PixelCNNLikelihood, RateWeight
from tfgen.networks import conv_decoder, conv_encoder
from tfgen.registry import register
from tfgen.specs import Images


@register(
    "pixel_vae",
    title="PixelVAE: A Latent Variable Model for Natural Images",
    authors="I. Gulrajani, K. Kumar, F. Ahmed, A. A. Taiga, F. Visin, D. Vazquez, A. Courville",
    year=2017,
    url="https://arxiv.org/abs/1611.05013",
    recipes={
        "digits": {
            "batch_size": 32, "epochs": 25,
            "model": {"latent_size": 8, "width": 32, "pixel_width": 32, "depth": 3, "kernel_size": 5, "warm_up": 500},
        },
        "mnist": {"batch_size": 100, "epochs": 40, "model": {"depth": 4}},
    },
)  # fmt: skip
class PixelVAE(AmortizedModel):
    r"""Variational auto-encoder whose pixels know those before them.

    .. math::
        L(x) = E_{q(z|x)} \Big[ \sum_i \log p(x_i \mid x_{<i}, f(z)) \Big] - KL(q(z|x) \| p(z))

    The decoder gives a map f(z) of the picture's size, which conditions every layer of a Gated PixelCNN. Codes hold what the
    few layers cannot see of the picture; so that they are not left unused, the divergence's weight grows from 0 (section
    3.1). What `decode` and `reconstruct` show of a code is, pixel by pixel, the median given the pixels before.

    References:
        I. Gulrajani, K. Kumar, F. Ahmed, A. A. Taiga, F. Visin, D. Vazquez, A. Courville, "PixelVAE: A Latent Variable
        Model for Natural Images", ICLR 2017, https://arxiv.org/abs/1611.05013

    Arguments:
        example: pictures of any size.
        latent_size: of z.
        width: features of the encoder's first convolution.
        map_features: of f(z), per channel.
        pixel_width: features of each stack of the PixelCNN.
        depth: its layers (the paper: 12).
        kernel_size: of its first layer; the others have 3.
        warm_up: steps over which the divergence's weight grows from 0 to 1.
        encoder: pictures in [-1, 1] to the posterior's numbers, `(batch, 2 * latent_size)`.
        decoder: codes to maps `(batch, height, width, channels * map_features)`.
        posterior: family of q(z|x); the diagonal Gaussian unless given.
        prior: p(z); standard normal unless given.
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images = Images((28, 28, 1), 2),
        latent_size: int = 16,
        width: int = 32,
        map_features: int = 16,
        pixel_width: int = 32,
        depth: int = 12,
        kernel_size: int = 7,
        warm_up: int = 10_000,
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        posterior: Posterior | None = None,
        prior: Prior | None = None,
        **kwargs,
    ):
        posterior = posterior or DiagonalGaussian()
        likelihood = PixelCNNLikelihood(map_features, pixel_width, depth, kernel_size, pixel_width)
        *sides, channels = example.shape
        sizes = {"width": width, "dtype": kwargs.get("dtype")}
        encoder = encoder or conv_encoder(example.shape, posterior.parameters(latent_size), **sizes)
        decoder = decoder or conv_decoder(latent_size, (*sides, channels * map_features), **sizes)
        parts = {"encoder": encoder, "decoder": decoder, "posterior": posterior, "prior": prior}
        parts |= {"likelihood": likelihood, "rate": RateWeight(warm_up=warm_up)}
        super().__init__(example=example, latent_size=latent_size, **parts, **kwargs)
