"""Geometric GAN: the discriminator is a support vector machine on features that it learns."""

import keras
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.models.adversarial import AdversarialModel
from tfgen.models.players import Batch, Player, Terms
from tfgen.objectives import hinge
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "geometric_gan",
    title="Geometric GAN",
    authors="J. H. Lim, J. C. Ye",
    year=2017,
    url="https://arxiv.org/abs/1705.02894",
    recipes={
        "digits": {"batch_size": 32, "epochs": 100, "model": {"latent_size": 16, "generator_steps": 1}},
        "ring": {"batch_size": 256, "epochs": 20, "model": {"latent_size": 2, "generator_steps": 1}},
        "mnist": {"batch_size": 64, "epochs": 25, "model": {}},
    },
)
class GeometricGAN(AdversarialModel):
    r"""Geometric GAN.

    .. math::
        \min_{w, b, \phi} \frac{1}{2 C B} \|w\|^2 + E_p[(1 - t(x))_+] + E_z[(1 + t(G(z)))_+], \qquad
        \min_G -E_z[t(G(z))]

    where t(x) = <w, phi(x)> + b is the last layer of the discriminator, a soft-margin support vector machine on a
    batch of B examples, and G moves along its normal w (section 3). Examples beyond the margin do not move it.

    References:
        J. H. Lim, J. C. Ye, "Geometric GAN", 2017, https://arxiv.org/abs/1705.02894

    Arguments:
        example: pictures, or points.
        latent_size: of the code, which is Gaussian.
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        generator: codes to what networks see of examples; DCGAN's, or a perceptron's for points, unless given.
        discriminator: what networks see of examples to one number, by a dense layer in the end; the same.
        softness: C; the larger, the fewer examples lie within the margin.
        generator_steps: steps of G for one of D (the authors' code: 10 for pictures, 1 for points).
        kwargs: `seed`, `name`, `dtype`.

    Raises:
        InputError: the discriminator has no layer with a kernel.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1)),
        latent_size: int = 100,
        width: int | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        softness: float = 1.0,
        generator_steps: int = 10,
        **kwargs,
    ):
        networks = {"width": width, "generator": generator, "discriminator": discriminator}
        super().__init__(example=example, latent_size=latent_size, **networks, **kwargs)
        self.softness, self.generator_steps = softness, generator_steps
        with_kernel = [layer for layer in self.discriminator.layers if hasattr(layer, "kernel")]
        if not with_kernel:
            raise InputError("geometric_gan: the discriminator has no layer with a kernel, thus no separating plane")
        # Not tracked by Keras, or the layer would be saved a second time.
        object.__setattr__(self, "separator", with_kernel[-1])

    def players(self):
        return [
            Player("discriminator", [self.discriminator], self.discriminator_terms, every=self.generator_steps),
            Player("generator", [self.generator], self.generator_terms),
        ]

    def discriminator_terms(self, batch: Batch) -> Terms:
        size = tf.cast(tf.shape(batch[self.example.key])[0], tf.float32)
        normal = tf.cast(self.separator.kernel.value, tf.float32)
        return {
            "margin": tf.reduce_sum(tf.square(normal)) / (2.0 * self.softness * size),
            "real": hinge(self.score(self.real(batch)), 1.0),
            "fake": hinge(self.score(self.fake(batch)), -1.0),
        }

    def generator_terms(self, batch: Batch) -> Terms:
        return {"normal": -tf.reduce_mean(self.score(self.fake(batch)))}

    def default_optimizers(self):
        return {name: keras.optimizers.RMSprop(2e-4) for name in ("discriminator", "generator")}
