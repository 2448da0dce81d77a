"""b-GAN: a density ratio is estimated, and the divergence that it tells is descended."""

import keras
import tensorflow as tf

from tfgen.endpoints import Example, endpoint
from tfgen.errors import InputError
from tfgen.models.adversarial import AdversarialModel
from tfgen.models.players import Batch, Terms
from tfgen.objectives import make_divergence
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "b_gan",
    title="Generative Adversarial Nets from a Density Ratio Estimation Perspective",
    authors="M. Uehara, I. Sato, M. Suzuki, K. Nakayama, Y. Matsuo",
    year=2016,
    url="https://arxiv.org/abs/1610.02920",
    recipes={
        "digits": {"batch_size": 32, "epochs": 100, "model": {"latent_size": 16}},
        "ring": {"batch_size": 256, "epochs": 20, "model": {"latent_size": 2}},
        "mnist": {"batch_size": 64, "epochs": 25, "model": {}},
    },
)
class BGAN(AdversarialModel):
    r"""Density ratio estimation and divergence minimisation in turn.

    .. math:: \min_r E_q[r f'(r) - f(r)] - E_p[f'(r)] \ge -D_f(p \| q)

    with equality at r = p/q: the ratio is matched in Bregman's sense. G then descends a divergence with that ratio,

    .. math:: E_q[f_G(r) - r f_G'(r)],

    whose gradient at fixed r is that of D_{f_G}; for the reverse Kullback-Leibler divergence it is -log r. With
    `frozen` G descends E_q[f_G(r)] instead, the paper's step, in which p is replaced by r q: that is a heuristic,
    since q stands in what was replaced too, and it is flat where r is near 0. The two steps may have different f.

    The stabiliser is the relative ratio, which is bounded:

    .. math:: r_\alpha = \frac{p}{\alpha p + (1 - \alpha) q} \le \frac{1}{\alpha}

    estimated as above with the mixture of p and q in place of q.

    References:
        M. Uehara, I. Sato, M. Suzuki, K. Nakayama, Y. Matsuo, "Generative Adversarial Nets from a Density Ratio
        Estimation Perspective", 2016, https://arxiv.org/abs/1610.02920

    Arguments:
        example: pictures, or points.
        latent_size: of the code, which is Gaussian.
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        generator: codes to what networks see of examples; DCGAN's, or a perceptron's for points, unless given.
        discriminator: what networks see of examples to one number v; the same. The ratio is sigmoid(v) / alpha, or
            softplus(v) without alpha.
        divergence: f, by its name, see `tfgen.objectives.make_divergence`.
        generator_divergence: f_G; the discriminator's unless given.
        frozen: whether G takes the paper's step.
        alpha: share of the data in the mixture, in [0, 1); 0 for the plain ratio.
        kwargs: `seed`, `name`, `dtype`.

    Raises:
        InputError: no such divergence, or an alpha out of range.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1)),
        latent_size: int = 100,
        width: int | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        divergence: str = "pearson",
        generator_divergence: str | None = None,
        frozen: bool = False,
        alpha: float = 0.2,
        **kwargs,
    ):
        if not 0.0 <= alpha < 1.0:
            raise InputError(f"b_gan: alpha {alpha}, expected a share in [0, 1)")
        networks = {"width": width, "generator": generator, "discriminator": discriminator}
        super().__init__(example=example, latent_size=latent_size, **networks, **kwargs)
        self.divergence = make_divergence(divergence)
        self.generator_divergence = make_divergence(generator_divergence or divergence)
        self.frozen, self.alpha = frozen, alpha

    def ratio_of(self, v) -> tf.Tensor:
        """Returns r for the discriminator's numbers, float32 `(batch,)`, above 0."""
        r = tf.sigmoid(v) / self.alpha if self.alpha else tf.nn.softplus(v)
        # A ratio that rounds to 0 has no logarithm.
        return tf.maximum(r, 1e-35)

    def realness(self, score):
        return tf.math.log(self.ratio_of(score))

    def discriminator_terms(self, batch: Batch) -> Terms:
        f = self.divergence
        real, fake = (self.ratio_of(self.score(x)) for x in (self.real(batch), self.fake(batch)))
        of_real, of_fake = (-tf.reduce_mean(f.intercept(r)) for r in (real, fake))
        return {
            "real": -tf.reduce_mean(f.slope(real)) + self.alpha * of_real,
            "fake": (1.0 - self.alpha) * of_fake,
        }

    def generator_terms(self, batch: Batch) -> Terms:
        f, r = self.generator_divergence, self.ratio_of(self.score(self.fake(batch)))
        return (
            {"frozen": tf.reduce_mean(f.centred(r))} if self.frozen else {"divergence": tf.reduce_mean(f.intercept(r))}
        )

    @endpoint(x=Example())
    def ratio(self, x):
        """Returns p / (alpha p + (1 - alpha) q) of examples, float32 `(batch,)`: large where samples are too rare.

        These are importance weights of samples of the mixture. Without alpha it is p/q itself.
        """
        return self.ratio_of(self.score(self.example.to_network(x)))

    def default_optimizers(self):
        return {name: Adam(3e-4, beta_1=0.5, beta_2=0.9) for name in ("discriminator", "generator")}
