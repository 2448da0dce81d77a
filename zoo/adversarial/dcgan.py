"""DCGAN: an architecture that makes convolutional GANs train."""

import keras

from tfgen.endpoints import Example, endpoint
from tfgen.models.adversarial import AdversarialModel, uniform_codes
from tfgen.models.players import Batch, Terms
from tfgen.networks import feature_maps, pooled_features
from tfgen.objectives import discriminator_cross_entropy, non_saturating
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images


@register(
    "dcgan",
    title="Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
    authors="A. Radford, L. Metz, S. Chintala",
    year=2016,
    url="https://arxiv.org/abs/1511.06434",
    recipes={
        "digits": {"batch_size": 32, "epochs": 100, "model": {"width": 64, "latent_size": 16}},
        "mnist": {"batch_size": 128, "epochs": 25, "model": {}},
        "celeb_a": {"batch_size": 128, "epochs": 25, "model": {"width": 128}},
    },
)
class DCGAN(AdversarialModel):
    r"""Deep convolutional GAN.

    .. math::
        \min_D E_p[-\log D(x)] + E_z[-\log(1 - D(G(z)))], \qquad \min_G E_z[-\log D(G(z))]

    with strided convolutions in place of pooling, batch normalisation everywhere but in G's output and D's first layer,
    ReLU and tanh in G, LeakyReLU in D (section 3), and z uniform in [-1, 1].

    References:
        A. Radford, L. Metz, S. Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
        Adversarial Networks", ICLR 2016, https://arxiv.org/abs/1511.06434

    Arguments:
        example: pictures whose sides can be halved down to 4..8 pixels: 8, 16, 28, 32, 64, ...
        latent_size: of the code (the paper: 100).
        width: features next to the picture (the paper: 128 at 64 pixels).
        generator: codes to pictures in [-1, 1]; the paper's unless given.
        discriminator: pictures in [-1, 1] to one logit; the paper's unless given.
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images = Images((64, 64, 3)),
        latent_size: int = 100,
        width: int = 64,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        **kwargs,
    ):
        networks = {"width": width, "generator": generator, "discriminator": discriminator}
        super().__init__(example=example, latent_size=latent_size, **networks, **kwargs)

    def latent_prior(self):
        """Returns the uniform distribution over [-1, 1] in each coordinate."""
        return uniform_codes(self.latent_size)

    def discriminator_terms(self, batch: Batch) -> Terms:
        # Two calls: statistics of real and fake batches must not mix.
        real, fake = discriminator_cross_entropy(self.score(self.real(batch)), self.score(self.fake(batch)))
        return {"real": real, "fake": fake}

    def generator_terms(self, batch: Batch) -> Terms:
        return {"fooling": non_saturating(self.score(self.fake(batch)))}

    @endpoint(x=Example())
    def features(self, x):
        """Returns what D knows about pictures, for a linear classifier (section 5.1).

        Every map of D is max-pooled to 4x4, and all are joined.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`.

        Returns:
            float32 `(batch, 16 * channels of all maps)`.

        Raises:
            InputError: D was passed in and has no maps.
        """
        return pooled_features(self.discriminator, self.example.to_network(x))

    def offers(self, name):
        return name != "features" or bool(feature_maps(self.discriminator))

    def default_optimizers(self):
        return {name: Adam(2e-4, beta_1=0.5) for name in ("discriminator", "generator")}
