"""WGAN: a critic with clipped weights estimates the Wasserstein distance."""

import keras
import tensorflow as tf

from tfgen.models.adversarial import AdversarialModel
from tfgen.models.players import Batch, Terms
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "wgan",
    title="Wasserstein GAN",
    authors="M. Arjovsky, S. Chintala, L. Bottou",
    year=2017,
    url="https://arxiv.org/abs/1701.07875",
    recipes={
        "digits": {"batch_size": 32, "epochs": 200, "model": {"latent_size": 16}},
        "ring": {"batch_size": 256, "epochs": 60, "model": {"latent_size": 2, "clip": 0.1}},
        "mnist": {"batch_size": 64, "epochs": 50, "model": {}},
    },
)
class WGAN(AdversarialModel):
    r"""Wasserstein GAN with clipped weights.

    .. math:: \min_G \max_{|w| \le c} E_p[f_w(x)] - E_z[f_w(G(z))]

    (eq. 3 and algorithm 1). The critic f, called the discriminator here as everywhere, has no sigmoid. Clipping keeps
    it Lipschitz with an unknown constant K, so that the gap between its means, `discriminator_wasserstein` with the
    sign reversed, is at most K times the distance of q to p, and falls as samples get better.

    References:
        M. Arjovsky, S. Chintala, L. Bottou, "Wasserstein GAN", ICML 2017, https://arxiv.org/abs/1701.07875

    Arguments:
        example: pictures, or points.
        latent_size: of the code, which is Gaussian.
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        generator: codes to what networks see of examples; DCGAN's, or a perceptron's for points, unless given.
        discriminator: the critic, what networks see of examples to one number; the same, without batch normalisation,
            whose gains cannot be clipped to c without silencing it.
        clip: c.
        discriminator_steps: n_critic, steps of the critic for one of G.
        kwargs: `seed`, `name`, `dtype`.
    """

    has_boundary = False

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1)),
        latent_size: int = 100,
        width: int | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        clip: float = 0.01,
        discriminator_steps: int = 5,
        **kwargs,
    ):
        networks = {"width": width, "generator": generator, "discriminator": discriminator, "normalize": False}
        super().__init__(example=example, latent_size=latent_size, **networks, **kwargs)
        self.clip, self.discriminator_steps = clip, discriminator_steps

    def discriminator_terms(self, batch: Batch) -> Terms:
        real, fake = self.score(self.real(batch)), self.score(self.fake(batch))
        return {"wasserstein": tf.reduce_mean(fake) - tf.reduce_mean(real)}

    def generator_terms(self, batch: Batch) -> Terms:
        return {"critic": -tf.reduce_mean(self.score(self.fake(batch)))}

    def after_move(self, player, terms):
        # Algorithm 1 clips after each update, so G never sees an unclipped critic; the authors' code clips before.
        if player.name == "discriminator":
            player.clip(self.clip)

    def default_optimizers(self):
        return {name: keras.optimizers.RMSprop(5e-5, rho=0.99) for name in ("discriminator", "generator")}
