"""EBGAN: an auto-encoder's error as an energy that is low on data and high on samples."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfgen.models.auto_encoding import AutoEncodingModel
from tfgen.models.players import Batch, Terms
from tfgen.networks import AutoEncoder, dcgan_auto_encoder, mlp_auto_encoder
from tfgen.objectives import pulling_away
from tfgen.optimizers import Adam
from tfgen.precision import full
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "ebgan",
    title="Energy-based Generative Adversarial Network",
    authors="J. Zhao, M. Mathieu, Y. LeCun",
    year=2017,
    url="https://arxiv.org/abs/1609.03126",
    recipes={
        "digits": {"batch_size": 32, "epochs": 100, "model": {"latent_size": 16, "code_size": 16}},
        "mnist": {"batch_size": 64, "epochs": 25, "model": {}},
        "celeb_a": {"batch_size": 64, "epochs": 25, "model": {"margin": 20.0}},
    },
)
class EBGAN(AutoEncodingModel):
    r"""Energy-based GAN.

    .. math::
        L_D = E_p[E(x)] + E_z[(m - E(G(z)))_+], \quad
        L_G = E_z[E(G(z))] + \lambda f_{PT}(S), \quad E(x) = \|Dec(Enc(x)) - x\|_2^2

    (eq. 1 to 3, section 2.3), where S are the codes Enc(G(z)) and f_PT, the pulling-away term of section 2.4, keeps
    samples apart in direction. The error is a sum over the example; the margin m is on its scale. At an equilibrium
    the samples' distribution q is that of the data and L_D = m; the best energy for a given q has
    L_D = m (1 - TV(p, q)).

    References:
        J. Zhao, M. Mathieu, Y. LeCun, "Energy-based Generative Adversarial Network", ICLR 2017,
        https://arxiv.org/abs/1609.03126

    Arguments:
        example: pictures, or points.
        latent_size: of the generator's code, which is Gaussian.
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        hidden: widths of the hidden layers of perceptrons in place of that; the decoder and the generator have them
            in reverse.
        code_size: of the auto-encoder's code: 64 for pictures, half as many as coordinates for points unless given.
            One as wide as the data lets the auto-encoder restore anything.
        generator: codes to what networks see of examples; DCGAN's, or a perceptron's for points, unless given.
        discriminator: an `AutoEncoder` of what networks see of examples; like DCGAN's networks, or a perceptron's for
            points, unless given.
        margin: m, above the energy that data reach (the paper: 10 for MNIST, 20 for faces, 80 for LSUN).
        pulling_away: lambda, 0 for the plain model.
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1)),
        latent_size: int = 100,
        width: int | None = None,
        hidden: Sequence[int] | None = None,
        code_size: int | None = None,
        generator: keras.Model | None = None,
        discriminator: AutoEncoder | None = None,
        margin: float = 10.0,
        pulling_away: float = 0.1,
        **kwargs,
    ):
        shape, dtype = example.shape, kwargs.get("dtype")
        code_size = code_size or (64 if isinstance(example, Images) else max(1, example.size // 2))
        if discriminator is None and isinstance(example, Images) and hidden is None:
            discriminator = dcgan_auto_encoder(shape, code_size, width=width or 64, dtype=dtype)
        elif discriminator is None:
            sizes = {"hidden": hidden or (width or 128,) * 2, "dtype": dtype}
            discriminator = mlp_auto_encoder(shape, code_size, activation="leaky_relu", **sizes)
        networks = {"width": width, "hidden": hidden, "generator": generator, "discriminator": discriminator}
        super().__init__(example=example, latent_size=latent_size, **networks, **kwargs)
        self.margin, self.pulling_away = margin, pulling_away

    def loss_of(self, x, restored):
        error = tf.square(x - restored)
        return tf.reduce_sum(error, tf.range(1, tf.rank(error)))

    def discriminator_terms(self, batch: Batch) -> Terms:
        return {
            "real": tf.reduce_mean(self.score(self.real(batch))),
            "fake": tf.reduce_mean(tf.nn.relu(self.margin - self.score(self.fake(batch)))),
        }

    def generator_terms(self, batch: Batch) -> Terms:
        x = self.fake(batch)
        codes = self.codes(x)
        return {
            # Through what is restored and through what it is compared with.
            "energy": tf.reduce_mean(self.loss_of(full(x), self.restore(codes))),
            "pulling_away": self.pulling_away * pulling_away(full(codes)),
        }

    def default_optimizers(self):
        return {name: Adam(1e-3, beta_1=0.5) for name in ("discriminator", "generator")}
