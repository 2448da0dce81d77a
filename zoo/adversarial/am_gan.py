"""AM-GAN: each generated example is pulled to one class."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfgen.models import Batch, ClassifyingModel, Terms
from tfgen.objectives import activation_maximization, class_cross_entropy, real_logit
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Labels, Points


@register(
    "am_gan",
    title="Activation Maximization Generative Adversarial Nets",
    authors="Z. Zhou, H. Cai, S. Rong, Y. Song, K. Ren, W. Zhang, J. Wang, Y. Yu",
    year=2018,
    url="https://arxiv.org/abs/1703.02000",
    recipes={
        "digits": {
            "batch_size": 64, "epochs": 150,
            "model": {"latent_size": 32, "hidden": (256, 128), "noise": 0.3, "hidden_noise": 0.5},
        },
        "ring": {"batch_size": 256, "epochs": 60, "model": {"latent_size": 2, "noise": 0.3}},
        "mnist": {"batch_size": 100, "epochs": 40, "model": {}},
    },
)  # fmt: skip
class AMGAN(ClassifyingModel):
    r"""Activation maximization generative adversarial network.

    .. math:: L_D = -E_{(x, y)}[\log p_y(x)] - E_z[\log p_{K+1}(G(z))], \qquad L_G = -E_z[\log p_t(G(z))]

    with a softmax p over K classes and that of generated examples. G descends the cross-entropy to one class t, where
    it would otherwise be pulled to all of them together (the paper's overlaid gradient, section 3). That class is the
    likeliest one of each example, or the one that a conditional G was asked for.

    References:
        Z. Zhou, H. Cai, S. Rong, Y. Song, K. Ren, W. Zhang, J. Wang, Y. Yu, "Activation Maximization Generative
        Adversarial Nets", ICLR 2018, https://arxiv.org/abs/1703.02000

    Arguments:
        example: pictures, or points.
        label: the classes.
        latent_size: of the code, which is Gaussian.
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        hidden: widths of the hidden layers of perceptrons in place of that; the generator has them in reverse.
        generator: codes, with a one in the place of the class behind them if `predefined`, to what networks see of
            examples; DCGAN's, or a perceptron's for points, unless given.
        discriminator: what networks see of examples to K + 1 logits, the last of generated ones; the same, with noise,
            without which classes that are not predefined collapse.
        predefined: whether samples are of a class that is asked for; else each gets the class that it resembles.
        noise: standard deviation of the Gaussian noise on D's inputs.
        hidden_noise: of that behind its hidden layers (the paper: none, but dropout of 0.3).
        kwargs: `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        *,
        example: Images | Points = Images((32, 32, 3)),
        label: Labels,
        latent_size: int = 100,
        width: int | None = None,
        hidden: Sequence[int] | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        predefined: bool = False,
        noise: float = 0.1,
        hidden_noise: float = 0.0,
        **kwargs,
    ):
        networks = {"width": width, "hidden": hidden, "generator": generator, "discriminator": discriminator}
        networks |= {"noise": noise, "hidden_noise": hidden_noise, "scores": label.count + 1}
        classes = {"label": label, "classes": label.count, "condition": label if predefined else None}
        super().__init__(example=example, latent_size=latent_size, **classes, **networks, **kwargs)

    def score(self, x) -> tf.Tensor:
        """Returns the logit of being of any class rather than generated, float32 `(batch,)`."""
        return real_logit(self.logits(x))

    def class_logits(self, x) -> tf.Tensor:
        return tf.split(self.logits(x), [self.classes, 1], -1)[0]

    def discriminator_terms(self, batch: Batch) -> Terms:
        real, fake = self.logits(self.real(batch)), self.logits(self.fake(batch))
        generated = tf.fill(tf.shape(batch["label"]), self.classes)
        return {
            "real": class_cross_entropy(real, batch["label"]),
            "fake": class_cross_entropy(fake, generated),
        }

    def generator_terms(self, batch: Batch) -> Terms:
        target = None if self.condition is None else batch["label"]
        return {"class": activation_maximization(self.logits(self.fake(batch)), target)}

    def default_optimizers(self):
        return {name: Adam(4e-4, beta_1=0.5) for name in ("discriminator", "generator")}
