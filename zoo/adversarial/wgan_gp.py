"""WGAN-GP: a penalty on the critic's gradient in place of clipped weights."""

import keras
import tensorflow as tf

from tfgen.models.adversarial import AdversarialModel
from tfgen.models.players import Batch, Terms
from tfgen.objectives import between, gradient_penalty
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "wgan_gp",
    title="Improved Training of Wasserstein GANs",
    authors="I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin, A. Courville",
    year=2017,
    url="https://arxiv.org/abs/1704.00028",
    recipes={
        "digits": {"batch_size": 32, "epochs": 200, "model": {"latent_size": 16}},
        "ring": {"batch_size": 256, "epochs": 60, "model": {"latent_size": 2, "penalty": 1.0}},
        "mnist": {"batch_size": 64, "epochs": 50, "model": {}},
    },
)
class WGANGP(AdversarialModel):
    r"""Wasserstein GAN with gradient penalty.

    .. math::
        E_z[D(G(z))] - E_p[D(x)] + \lambda E_{\hat x}[(\|\nabla D(\hat x)\|_2 - 1)^2]

    (eq. 3), with x-hat on the lines between real and generated examples: there the best critic of the Wasserstein
    distance has gradients of length 1. G descends -D(G(z)).

    References:
        I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin, A. Courville, "Improved Training of Wasserstein GANs",
        NIPS 2017, https://arxiv.org/abs/1704.00028

    Arguments:
        example: pictures, or points.
        latent_size: of the code, which is Gaussian.
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        generator: codes to what networks see of examples; DCGAN's, or a perceptron's for points, unless given.
        discriminator: the critic, what networks see of examples to one number; the same, without batch normalisation,
            which would make an example's gradient depend on the others.
        penalty: lambda (the paper: 10; 0.1 for points of the plane).
        one_sided: whether gradients shorter than 1 are free.
        discriminator_steps: n_critic, steps of the critic for one of G.
        kwargs: `seed`, `name`, `dtype`.
    """

    has_boundary = False

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1)),
        latent_size: int = 128,
        width: int | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        penalty: float = 10.0,
        one_sided: bool = False,
        discriminator_steps: int = 5,
        **kwargs,
    ):
        networks = {"width": width, "generator": generator, "discriminator": discriminator, "normalize": False}
        super().__init__(example=example, latent_size=latent_size, **networks, **kwargs)
        self.penalty, self.one_sided, self.discriminator_steps = penalty, one_sided, discriminator_steps

    def discriminator_terms(self, batch: Batch) -> Terms:
        real, fake = self.real(batch), self.fake(batch)
        points = between(real, fake, self.seed())
        return {
            "wasserstein": tf.reduce_mean(self.score(fake)) - tf.reduce_mean(self.score(real)),
            "penalty": self.penalty * gradient_penalty(self.score, points, one_sided=self.one_sided),
        }

    def generator_terms(self, batch: Batch) -> Terms:
        return {"critic": -tf.reduce_mean(self.score(self.fake(batch)))}

    def default_optimizers(self):
        return {name: Adam(1e-4, beta_1=0.0, beta_2=0.9) for name in ("discriminator", "generator")}
