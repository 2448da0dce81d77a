"""Improved GAN: five ways to steady the game, and a discriminator that learns classes from few labels."""

import functools
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfgen.layers import MinibatchDiscrimination, VirtualBatch, VirtualBatchNormalization
from tfgen.models import Batch, ClassifyingModel, Terms
from tfgen.models.adversarial import uniform_codes
from tfgen.networks import default_discriminator, default_generator, with_hidden
from tfgen.objectives import (
    HistoricalAverage,
    class_cross_entropy,
    discriminator_cross_entropy,
    feature_matching,
    non_saturating,
)
from tfgen.optimizers import Adam
from tfgen.precision import full
from tfgen.registry import register
from tfgen.specs import Images, Labels, Points


@register(
    "improved_gan",
    title="Improved Techniques for Training GANs",
    authors="T. Salimans, I. Goodfellow, W. Zaremba, V. Cheung, A. Radford, X. Chen",
    year=2016,
    url="https://arxiv.org/abs/1606.03498",
    recipes={
        "digits": {"batch_size": 64, "epochs": 150, "model": {"latent_size": 32, "hidden": (256, 128)}},
        "ring": {
            "batch_size": 256, "epochs": 60,
            "model": {"latent_size": 2, "matching": False, "minibatch_kernels": 20, "noise": 0.0, "hidden_noise": 0.0},
        },
        "mnist": {"batch_size": 64, "epochs": 25, "model": {"matching": False, "minibatch_kernels": 100}},
    },
)  # fmt: skip
class ImprovedGAN(ClassifyingModel):
    r"""Generative adversarial network with the improved techniques.

    .. math::
        L_D = E_{(x, y)}[-\log p(y|x)] - \frac{1}{2} E_p[\log D(x)] - \frac{1}{2} E_z[\log(1 - D(G(z)))], \qquad
        D(x) = \frac{Z(x)}{Z(x) + 1}, \quad Z(x) = \sum_k e^{l_k(x)}

    (section 5): of K + 1 logits that of a generated example is fixed at 0, and D(x) is the sigmoid of log Z. Without
    labels K is 1. G descends |E_p[f(x)] - E_z[f(G(z))]|^2 for the last hidden features f of D (section 3.1), or
    -log D(G(z)). Feature matching classifies best, minibatch discrimination samples best.

    References:
        T. Salimans, I. Goodfellow, W. Zaremba, V. Cheung, A. Radford, X. Chen, "Improved Techniques for Training
        GANs", NIPS 2016, https://arxiv.org/abs/1606.03498

    Arguments:
        example: pictures, or points.
        label: the classes, of which few examples need to have one (-1: not known), or None.
        latent_size: of the code, which is uniform in [-1, 1].
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        hidden: widths of the hidden layers of perceptrons in place of that; the generator has them in reverse.
        generator: codes to what networks see of examples; DCGAN's, or a perceptron's for points, unless given.
        discriminator: what networks see of examples to a logit for each class; the same, with noise.
        noise: standard deviation of the Gaussian noise on a default D's inputs.
        hidden_noise: of that behind its hidden layers.
        matching: whether G matches features (3.1) instead of fooling D.
        minibatch_kernels: B of minibatch discrimination (3.2) in a default D, 0 for none (the paper: 100). What D
            says of an example then depends on those beside it, in endpoints too.
        history_weight: c of historical averaging (3.3) for both players, 0 for none.
        real_target: of one-sided label smoothing (3.4), 1 for none (the paper: 0.9).
        reference_size: examples of the reference batch of virtual batch normalisation (3.5) in a default G, 0 for
            batch normalisation.
        kwargs: `seed`, `name`, `dtype`.

    Raises:
        InputError: features to match, and a discriminator that shows none.
    """

    partial_labels = True

    def __init__(
        self,
        *,
        example: Images | Points = Images((28, 28, 1)),
        label: Labels | None = None,
        latent_size: int = 100,
        width: int | None = None,
        hidden: Sequence[int] | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        noise: float = 0.3,
        hidden_noise: float = 0.5,
        matching: bool = True,
        minibatch_kernels: int = 0,
        history_weight: float = 0.0,
        real_target: float = 1.0,
        reference_size: int = 0,
        **kwargs,
    ):
        classes, dtype = label.count if label else 1, kwargs.get("dtype")
        if generator is None and reference_size:
            norm = functools.partial(VirtualBatchNormalization, reference_size, dtype=dtype)
            common = {"width": width, "hidden": hidden and hidden[::-1], "norm": norm, "dtype": dtype}
            codes = keras.initializers.RandomUniform(-1.0, 1.0)
            generator = VirtualBatch(
                default_generator(example, latent_size, **common), reference_size, codes, dtype=dtype
            )
        if discriminator is None:
            # The authors' code normalises D's weights, too.
            last = [MinibatchDiscrimination(minibatch_kernels, dtype=dtype)] if minibatch_kernels else []
            common = {"width": width, "hidden": hidden, "noise": noise, "hidden_noise": hidden_noise, "dtype": dtype}
            discriminator = default_discriminator(example, classes, last=last, **common)
        networks = {"width": width, "hidden": hidden, "generator": generator, "discriminator": discriminator}
        super().__init__(example=example, label=label, classes=classes, latent_size=latent_size, **networks, **kwargs)
        self.matching, self.history_weight, self.real_target = matching, history_weight, real_target
        # Not tracked by Keras, or D would be saved a second time.
        features = with_hidden(self.discriminator, before=MinibatchDiscrimination) if matching else None
        object.__setattr__(self, "_with_hidden", features)
        players = {"discriminator": self.discriminator, "generator": self.generator} if history_weight else {}
        self.histories = {name: HistoricalAverage(network) for name, network in players.items()}

    def latent_prior(self):
        """Returns the uniform distribution over [-1, 1] in each coordinate."""
        return uniform_codes(self.latent_size)

    def score(self, x) -> tf.Tensor:
        """Returns log Z, the logit of D, float32 `(batch,)`."""
        return tf.reduce_logsumexp(self.logits(x), -1)

    def features(self, x) -> tf.Tensor:
        """Returns f, the input of D's last layer, before minibatch features, float32 `(batch, features)`."""
        return full(self._with_hidden(x, training=self.in_training)[0])

    def discriminator_terms(self, batch: Batch) -> Terms:
        logits = [self.logits(x) for x in (self.real(batch), self.fake(batch))]
        real, fake = discriminator_cross_entropy(*(tf.reduce_logsumexp(l, -1) for l in logits), self.real_target)
        terms = {"real": 0.5 * real, "fake": 0.5 * fake} | self.history_terms("discriminator")
        return terms if self.label is None else terms | {"labelled": class_cross_entropy(logits[0], batch["label"])}

    def generator_terms(self, batch: Batch) -> Terms:
        fake = self.fake(batch)
        if self.matching:
            # The authors' code takes the mean over features, and other real examples than D's step.
            terms = {"features": feature_matching(self.features(self.real(batch)), self.features(fake))}
        else:
            terms = {"fooling": non_saturating(self.score(fake))}
        return terms | self.history_terms("generator")

    def history_terms(self, player: str) -> Terms:
        return {"history": self.history_weight * self.histories[player].penalty()} if self.histories else {}

    def after_move(self, player, terms):
        if self.histories:
            self.histories[player.name].update()

    def default_optimizers(self):
        # The rate of the paper's convolutional networks; that of its perceptrons, 3e-3, wants weight normalisation.
        return {name: Adam(3e-4, beta_1=0.5) for name in ("discriminator", "generator")}
