"""f-GAN: the game for any f-divergence."""

import keras
import tensorflow as tf

from tfgen.models.adversarial import AdversarialModel
from tfgen.models.players import Batch, Terms
from tfgen.objectives import make_divergence
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Points


@register(
    "f_gan",
    title="f-GAN: Training Generative Neural Samplers using Variational Divergence Minimization",
    authors="S. Nowozin, B. Cseke, R. Tomioka",
    year=2016,
    url="https://arxiv.org/abs/1606.00709",
    recipes={
        "digits": {"batch_size": 32, "epochs": 100, "model": {"latent_size": 16}},
        "ring": {"batch_size": 256, "epochs": 20, "model": {"latent_size": 2, "trick": False}},
        "mnist": {"batch_size": 64, "epochs": 25, "model": {}},
    },
)
class FGAN(AdversarialModel):
    r"""Variational divergence minimisation.

    .. math:: \min_G \max_V E_p[g_f(V(x))] - E_z[f^*(g_f(V(G(z))))] \le D_f(p \| q)

    (eq. 6 and 7): the bound on an f-divergence by its conjugate f*, with a final activation g_f that keeps V in the
    domain of f*. With the `trick` of section 3.2 G descends -g_f(V) instead, whose gradient does not vanish while V
    tells real and generated examples apart. The conjugates are exponential or quadratic for some divergences: `cap`
    bounds V from above there.

    References:
        S. Nowozin, B. Cseke, R. Tomioka, "f-GAN: Training Generative Neural Samplers using Variational Divergence
        Minimization", NIPS 2016, https://arxiv.org/abs/1606.00709

    Arguments:
        example: pictures, or points.
        latent_size: of the code, which is Gaussian.
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        generator: codes to what networks see of examples; DCGAN's, or a perceptron's for points, unless given.
        discriminator: V, what networks see of examples to one number; the same.
        divergence: its name, see `tfgen.objectives.make_divergence`.
        parameter: of the divergence, for those that have one.
        trick: whether G descends -g_f(V).
        cap: V is at most this, smoothly: V becomes c - softplus(c - V); not the paper's, None for no cap.
        kwargs: `seed`, `name`, `dtype`.

    Raises:
        InputError: no such divergence, or a parameter that it does not take.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1)),
        latent_size: int = 100,
        width: int | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        divergence: str = "jensen_shannon",
        parameter: float | None = None,
        trick: bool = True,
        cap: float | None = None,
        **kwargs,
    ):
        networks = {"width": width, "generator": generator, "discriminator": discriminator}
        super().__init__(example=example, latent_size=latent_size, **networks, **kwargs)
        self.divergence, self.trick, self.cap = make_divergence(divergence, parameter), trick, cap

    def capped_score(self, x) -> tf.Tensor:
        """Returns V below its cap, float32 `(batch,)`."""
        v = self.score(x)
        return v if self.cap is None else self.cap - tf.nn.softplus(self.cap - v)

    def realness(self, score):
        # g(v) is f'(p/q) at the best, and f' grows.
        return self.divergence.activation(score) - self.divergence.threshold

    def discriminator_terms(self, batch: Batch) -> Terms:
        real, fake = self.capped_score(self.real(batch)), self.capped_score(self.fake(batch))
        return {
            "real": -tf.reduce_mean(self.divergence.activation(real)),
            "fake": tf.reduce_mean(self.divergence.conjugate(fake)),
        }

    def generator_terms(self, batch: Batch) -> Terms:
        v = self.capped_score(self.fake(batch))
        if self.trick:
            return {"fooling": -tf.reduce_mean(self.divergence.activation(v))}
        return {"divergence": -tf.reduce_mean(self.divergence.conjugate(v))}

    def default_optimizers(self):
        return {name: Adam(2e-4, beta_1=0.5) for name in ("discriminator", "generator")}
