"""LSGAN: least squares in place of the cross-entropy."""

from collections.abc import Sequence

import keras

from tfgen.models.adversarial import AdversarialModel
from tfgen.models.players import Batch, Terms
from tfgen.objectives import least_squares
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "lsgan",
    title="Least Squares Generative Adversarial Networks",
    authors="X. Mao, Q. Li, H. Xie, R. Y. K. Lau, Z. Wang, S. P. Smolley",
    year=2017,
    url="https://arxiv.org/abs/1611.04076",
    recipes={
        "digits": {"batch_size": 32, "epochs": 100, "model": {"latent_size": 16}},
        "ring": {"batch_size": 256, "epochs": 20, "model": {"latent_size": 2}},
        "mnist": {"batch_size": 64, "epochs": 25, "model": {}},
    },
)
class LSGAN(AdversarialModel):
    r"""Least squares GAN.

    .. math::
        \min_D \tfrac{1}{2} E_p[(D(x) - b)^2] + \tfrac{1}{2} E_z[(D(G(z)) - a)^2], \qquad
        \min_G \tfrac{1}{2} E_z[(D(G(z)) - c)^2]

    (eq. 2), where D has no sigmoid, so that samples far on the right side of the boundary still move. The best D is
    (b p + a q) / (p + q). With b - c = 1 and b - a = 2 the generator descends the Pearson divergence between
    p + q and 2q (theorem 1), with the default codes (eq. 9) a game that works as well.

    References:
        X. Mao, Q. Li, H. Xie, R. Y. K. Lau, Z. Wang, S. P. Smolley, "Least Squares Generative Adversarial Networks",
        ICCV 2017, https://arxiv.org/abs/1611.04076

    Arguments:
        example: pictures, or points.
        latent_size: of the code, which is Gaussian.
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        generator: codes to what networks see of examples; DCGAN's, or a perceptron's for points, unless given.
        discriminator: what networks see of examples to one number; the same.
        codes: a, b and c; -1, 1 and 0 make the divergence Pearson's (eq. 8).
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1)),
        latent_size: int = 100,
        width: int | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        codes: Sequence[float] = (0.0, 1.0, 1.0),
        **kwargs,
    ):
        networks = {"width": width, "generator": generator, "discriminator": discriminator}
        super().__init__(example=example, latent_size=latent_size, **networks, **kwargs)
        self.a, self.b, self.c = codes

    def realness(self, score):
        return (score - 0.5 * (self.a + self.b)) * (self.b - self.a)

    def discriminator_terms(self, batch: Batch) -> Terms:
        return {
            "real": least_squares(self.score(self.real(batch)), self.b),
            "fake": least_squares(self.score(self.fake(batch)), self.a),
        }

    def generator_terms(self, batch: Batch) -> Terms:
        return {"fooling": least_squares(self.score(self.fake(batch)), self.c)}

    def default_optimizers(self):
        return {name: Adam(2e-4, beta_1=0.5) for name in ("discriminator", "generator")}
