"""LAPGAN: a picture from coarse to fine, each level of its Laplacian pyramid a game of its own."""

import functools
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfgen.endpoints import Count, Example, Label, Seed, endpoint
from tfgen.layers.pyramid import double, pyramid, pyramid_shapes
from tfgen.models.adversarial import AdversarialModel, uniform_codes
from tfgen.models.generative import ensure_network
from tfgen.models.players import Batch, Player, Terms
from tfgen.networks.pyramid import PyramidDiscriminator, PyramidGenerator
from tfgen.objectives import discriminator_cross_entropy, non_saturating
from tfgen.optimizers import Adam
from tfgen.registry import register
from tfgen.specs import Images, Labels


class SmallPicture(Example):
    """A batch of the coarsest pictures."""

    def tensor_spec(self, model, parameter):
        return tf.TensorSpec((None, *model.smallest.shape), tf.uint8, name=self.name)

    def convert(self, value, model, parameter):
        return model.smallest.validate(value, parameter)

    def reference(self, model, count, seed):
        size = (count, *model.smallest.shape)
        return np.random.default_rng(seed).integers(0, model.smallest.levels, size, np.uint8)


@register(
    "lapgan",
    title="Deep Generative Image Models using a Laplacian Pyramid of Adversarial Networks",
    authors="E. Denton, S. Chintala, A. Szlam, R. Fergus",
    year=2015,
    url="https://arxiv.org/abs/1506.05751",
    recipes={
        "digits": {"batch_size": 32, "epochs": 200, "model": {"upscalings": 1, "code_size": 16, "width": 16}},
        "mnist": {"batch_size": 128, "epochs": 25, "model": {"width": 32}},
        "cifar10": {"batch_size": 128, "epochs": 50, "model": {}},
    },
)
class LAPGAN(AdversarialModel):
    r"""Laplacian pyramid of adversarial networks.

    .. math::
        x_0 = G_0(z_0), \qquad x_k = l_k + G_k(z_k, l_k), \quad l_k = u(x_{k-1}), \quad k = 1 \dots K

    (eq. 6; levels count from the coarsest here). u doubles the sides of a picture and d halves them. Level k > 0 is a
    game for the details h = x_k - l_k that are missing in a coarse picture: D_k tells (x_k, l_k) of the data from
    (l_k + G_k(z_k, l_k), l_k), where l_k is of the data too, so that the levels are trained independently of each
    other, all of them on each batch. Level 0 is a GAN of the coarsest pictures.

    The authors' code shows x_k alone to D_k, which then does not know when details change what is coarse.

    References:
        E. Denton, S. Chintala, A. Szlam, R. Fergus, "Deep Generative Image Models using a Laplacian Pyramid of
        Adversarial Networks", NIPS 2015, https://arxiv.org/abs/1506.05751

    Arguments:
        example: pictures whose sides can be halved `upscalings` times.
        upscalings: K, at least 1.
        code_size: of z_0 (the paper: 100). The model's code is z_0 and a plane of noise for each finer level.
        width: features of the convolutions; the dense layers of level 0 have 1200 / 64 and 600 / 64 as many.
        generators: G_0 to G_K, or None for a level's default: from z_0 to a picture; from l_k and z_k,
            `(batch, height, width, channels + 1)`, to details. With labels each takes `[input, c]`, c float32
            `(batch, classes)`: 1 for the class.
        discriminators: D_0 to D_K, or None: from a coarsest picture to one logit; from x_k and l_k,
            `(batch, height, width, 2 * channels)`, to one logit; with labels from `[input, c]`.
        label: the classes, for a conditional model.
        kwargs: `seed`, `name`, `dtype`.

    Raises:
        InputError: sides that cannot be halved so often, or networks of another number or other shapes.
    """

    def __init__(
        self,
        *,
        example: Images = Images((32, 32, 3)),
        upscalings: int = 2,
        code_size: int = 100,
        width: int = 64,
        generators: Sequence[keras.Model | None] | None = None,
        discriminators: Sequence[keras.Model | None] | None = None,
        label: Labels | None = None,
        **kwargs,
    ):
        shapes = pyramid_shapes(example.shape, upscalings, "LAPGAN")
        common = {
            "width": width,
            "classes": label.count if label is not None else 0,
            "dtype": kwargs.get("dtype"),
        }
        generator = PyramidGenerator(shapes, generators, code_size=code_size, **common)
        discriminator = PyramidDiscriminator(shapes, discriminators, **common)
        for whole in (generator, discriminator):
            for level, (takes, gives) in enumerate(zip(whole.takes, whole.gives, strict=True)):
                network = functools.partial(whole.ask, level)
                ensure_network("LAPGAN", f"{whole.name} of level {level}", network, takes, gives)
        networks = {"generator": generator, "discriminator": discriminator, "scores": len(shapes)}
        labels = {"label": label, "condition": label}
        super().__init__(example=example, latent_size=generator.latent_size, **networks, **labels, **kwargs)
        self.upscalings, self.smallest = upscalings, Images(shapes[0], example.levels)
        self.level_names = [f"{height}x{breadth}" for height, breadth, _ in shapes]

    def latent_prior(self):
        """Returns the uniform distribution over [-1, 1] in each coordinate."""
        return uniform_codes(self.latent_size)

    def players(self):
        return [
            Player(f"{role}_{name}", [whole.networks[level]], functools.partial(terms, level=level))
            for level, name in enumerate(self.level_names)
            for role, whole, terms in (
                ("discriminator", self.discriminator, self.discriminator_terms),
                ("generator", self.generator, self.generator_terms),
            )
        ]

    def discriminator_terms(self, batch: Batch, level: int = 0) -> Terms:
        real, fake = self.pictures(batch)[level], self.fake_level(batch, level)
        real, fake = discriminator_cross_entropy(*(self.score_level(batch, level, x) for x in (real, fake)))
        return {"real": real, "fake": fake}

    def generator_terms(self, batch: Batch, level: int = 0) -> Terms:
        return {"fooling": non_saturating(self.score_level(batch, level, self.fake_level(batch, level)))}

    def pictures(self, batch: Batch) -> list[tf.Tensor]:
        """Returns the batch's pictures in all sizes, as networks see them, the coarsest first."""
        return pyramid(self.real(batch), self.upscalings)

    def fake_level(self, batch: Batch, level: int) -> tf.Tensor:
        """Returns generated pictures of a level; their l_k is that of the batch, the same as of the real pictures."""
        smaller = self.pictures(batch)[level - 1] if level else None
        noises, c = self.draw_parts(tf.shape(batch[self.example.key])[0], self.seed(), batch.get("label"))
        return self.generator.picture(level, noises[level], smaller, c, training=self.in_training)

    def score_level(self, batch: Batch, level: int, x) -> tf.Tensor:
        """Returns D's score of pictures of a level, real or generated from the batch's coarser ones, `(batch,)`."""
        smaller = self.pictures(batch)[level - 1] if level else None
        c = self.one_hot(batch.get("label"))
        return self.discriminator.score(level, x, smaller, c, training=self.in_training)[:, 0]

    def draw_parts(self, count, seed, label=None) -> tuple[list[tf.Tensor], tf.Tensor | None]:
        """Returns random noise for each level, and c of the labels."""
        return self.generator.parts(self.with_class(self.latent_prior().sample(count, seed=seed), label))

    def one_hot(self, label) -> tf.Tensor | None:
        """Returns c as D takes it, float32 `(batch, classes)`."""
        return None if label is None else tf.one_hot(label, self.label.count)

    def figures(self, batch: Batch) -> Terms:
        """Returns how much detail each level generates, and how much of it the noise decides, in shares of the data's.

        The first is 1 for a generator that is right. The second is 0 where the noise is ignored, and at most the first.
        """
        pictures, figures = self.pictures(batch), {}
        for level, name in list(enumerate(self.level_names))[1:]:
            x, l = pictures[level], double(pictures[level - 1])
            one, other = (self.fake_level(batch, level) for _ in range(2))
            energy = tf.reduce_mean(tf.square(x - l))
            for figure, difference in (("detail", one - l), ("diversity", (one - other) / np.sqrt(2.0))):
                per_example = tf.reduce_mean(tf.square(difference), (1, 2, 3))
                figures[f"{figure}_{name}"] = tf.math.divide_no_nan(per_example, energy)
        return figures

    @endpoint(returns="score", x=Example(), label=Label())
    def discriminate(self, x, label=None):
        """Returns the score of each level's discriminator, the coarsest first, float32 `(batch, upscalings + 1)`."""
        return self.discriminator(self.example.to_network(x), self.one_hot(label), training=False)

    @endpoint(returns="example", small=SmallPicture("small"), seed=Seed(), label=Label())
    def super_resolve(self, small, seed=0, label=None):
        """Draws pictures with the details that coarse ones lack: uint8 levels `(batch, height, width, channels)`.

        Arguments:
            small: uint8 levels `(batch, height / 2^K, width / 2^K, channels)`; see `redraw` for larger ones.
            seed: an int, or two int32.
            label: int32 `(batch,)`, for a conditional model.
        """
        for _ in range(self.upscalings):
            small = double(small)
        return self.redraw(small, self.upscalings, seed, label)

    @endpoint(returns="example", x=Example(), upscalings=Count(), seed=Seed(), label=Label())
    def redraw(self, x, upscalings=1, seed=0, label=None):
        """Draws the fine details of pictures anew, and keeps what is coarse.

        A picture of half the sides comes in by repeating its pixels: it is what `redraw` keeps of that.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`.
            upscalings: number of levels that are drawn, the finest and so on; K, or more, keeps the coarsest alone.
            seed: an int, or two int32.
            label: int32 `(batch,)`, for a conditional model.

        Returns:
            As `x`.
        """
        picture, *pictures = pyramid(self.example.to_network(x), self.upscalings)
        noises, c = self.draw_parts(tf.shape(x)[0], seed, label)
        for level, (noise, kept) in enumerate(zip(noises[1:], pictures, strict=True), 1):
            drawn = self.generator.picture(level, noise, picture, c)
            picture = tf.where(level + upscalings <= self.upscalings, kept, drawn)
        return self.example.from_network(picture)

    def default_optimizers(self):
        # The authors' gradient descent with growing momentum needs many epochs; DCGAN's Adam does not.
        return {player.name: Adam(2e-4, beta_1=0.5) for player in self.players()}
