"""CatGAN: the discriminator sorts examples into classes, and is sure only of real ones."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.models import Batch, ClassifyingModel, Terms
from tfgen.models.adversarial import uniform_codes
from tfgen.objectives import class_cross_entropy, entropy, marginal_entropy
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Labels, Points


@register(
    "catgan",
    title="Unsupervised and Semi-supervised Learning with Categorical Generative Adversarial Networks",
    authors="J. T. Springenberg",
    year=2016,
    url="https://arxiv.org/abs/1511.06390",
    recipes={
        "digits": {"batch_size": 128, "epochs": 200, "model": {"latent_size": 32, "hidden": (256, 128)}},
        "ring": {"batch_size": 256, "epochs": 60, "model": {"latent_size": 2, "clusters": 8, "hidden_noise": 0.0}},
        "mnist": {"batch_size": 128, "epochs": 50, "model": {}},
    },
)
class CatGAN(ClassifyingModel):
    r"""Categorical generative adversarial network.

    .. math::
        L_D &= -H(\bar p_X) + E_X[H(p(y|x))] - E_z[H(p(y|G(z)))] + \lambda E_{(x, y)}[-\log p(y|x)] \\
        L_G &= -H(\bar p_G) + E_z[H(p(y|G(z)))]

    (eq. 7 and 9). D is a classifier without any output for real or generated: it should be sure of the class of real
    examples, unsure of generated ones, and use all classes alike; G makes examples of which D is sure, alike of all
    classes. The entropies H of the means over a batch want batches of at least 100.

    References:
        J. T. Springenberg, "Unsupervised and Semi-supervised Learning with Categorical Generative Adversarial
        Networks", ICLR 2016, https://arxiv.org/abs/1511.06390

    Arguments:
        example: pictures, or points.
        label: the classes, of which few examples need to have one (-1: not known); None to find clusters instead.
        clusters: how many to find where there are no labels.
        latent_size: of the code, which is uniform in [-1, 1].
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        hidden: widths of the hidden layers of perceptrons in place of that; the generator has them in reverse.
        generator: codes to what networks see of examples; DCGAN's, or a perceptron's for points, unless given.
        discriminator: what networks see of examples to a logit for each class; the same, with noise, without which it
            finds trivial classes.
        noise: standard deviation of the Gaussian noise on D's inputs.
        hidden_noise: of that behind its hidden layers.
        label_weight: lambda.
        kwargs: `seed`, `name`, `dtype`.

    Raises:
        InputError: fewer than two classes.
    """

    partial_labels = True
    has_boundary = False

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1)),
        label: Labels | None = None,
        clusters: int = 20,
        latent_size: int = 128,
        width: int | None = None,
        hidden: Sequence[int] | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        noise: float = 0.3,
        hidden_noise: float = 0.5,
        label_weight: float = 1.0,
        **kwargs,
    ):
        classes = clusters if label is None else label.count
        if classes < 2:
            raise InputError(f"catgan: {classes} classes; it sorts examples into two or more")
        networks = {"width": width, "hidden": hidden, "generator": generator, "discriminator": discriminator}
        networks |= {"noise": noise, "hidden_noise": hidden_noise}
        super().__init__(example=example, label=label, classes=classes, latent_size=latent_size, **networks, **kwargs)
        self.label_weight = label_weight

    def latent_prior(self):
        """Returns the uniform distribution over [-1, 1] in each coordinate."""
        return uniform_codes(self.latent_size)

    def score(self, x) -> tf.Tensor:
        """Returns how sure D is of the class, minus the entropy in nats, float32 `(batch,)`: low for novelties."""
        return -entropy(self.logits(x))

    def discriminator_terms(self, batch: Batch) -> Terms:
        real, fake = self.logits(self.real(batch)), self.logits(self.fake(batch))
        terms = {
            "balance": -marginal_entropy(real),
            "sure": tf.reduce_mean(entropy(real)),
            "unsure": -tf.reduce_mean(entropy(fake)),
        }
        if self.label is not None:
            terms["labelled"] = self.label_weight * class_cross_entropy(real, batch["label"])
        return terms

    def generator_terms(self, batch: Batch) -> Terms:
        fake = self.logits(self.fake(batch))
        return {"balance": -marginal_entropy(fake), "sure": tf.reduce_mean(entropy(fake))}

    def default_optimizers(self):
        return {name: Adam(2e-4, beta_1=0.5) for name in ("discriminator", "generator")}
