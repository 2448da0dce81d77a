"""Networks for the levels of a Laplacian pyramid, and all of them as one (Denton et al. 2015, section 3)."""

import functools
import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.layers.pyramid import double, pyramid
from tfgen.precision import full


class Levels(keras.layers.Layer):
    """A network for each level of a pyramid, the coarsest first.

    Arguments:
        networks: from a tensor to a tensor; of a conditional model from `[tensor, c]`, where c is float32
            `(batch, classes)`, 1 for the class and 0 for the others.
        shapes: `(height, width, channels)` of the pictures.
        takes, gives: shapes of the networks' tensors, without the batch axis.
        classes: their number, 0 for an unconditional model.
    """

    def __init__(self, networks: Sequence[keras.layers.Layer], shapes, takes, gives, *, classes: int, **kwargs):
        # Pictures stay float32: each network casts what it takes, and details are added to what is there.
        super().__init__(autocast=False, **kwargs)
        self.networks, self.shapes, self.takes, self.gives = list(networks), list(shapes), list(takes), list(gives)
        self.classes = classes
        self.built = True

    def ask(self, level: int, x, c=None, training: bool = False) -> tf.Tensor:
        """Returns a network's answer to `x`, and to `c` if there are classes; None is a `c` of zeros, no class."""
        if self.classes:
            x = [x, tf.zeros((tf.shape(x)[0], self.classes)) if c is None else c]
        return full(self.networks[level](x, training=training))


class PyramidGenerator(Levels):
    r"""A picture from a flat code, coarse to fine (eq. 6 of the paper).

    .. math:: x_0 = G_0(z_0), \qquad x_k = l + G_k(z_k, l), \quad l = double(x_{k-1})

    Levels count from the coarsest, unlike in the paper. The code is z_0, then a plane of noise for each finer level, then
    c of a conditional model.

    Arguments:
        shapes: `(height, width, channels)` of the pictures, the coarsest first.
        networks: the first from z_0 to a picture, the others from l and the noise, `(batch, height, width,
            channels + 1)`, to what is added to l, of any range; None for all, or in place of one, is a default.
        code_size: of z_0.
        width: of the defaults.
        classes: their number, 0 for an unconditional model.
        dtype: precision of the defaults.
    """

    def __init__(self, shapes, networks=None, *, code_size: int, width: int = 64, classes: int = 0, dtype=None):
        takes = [(code_size,), *((*sides, channels + 1) for *sides, channels in shapes[1:])]
        common = {"width": width, "classes": classes, "dtype": dtype}
        defaults = [functools.partial(coarse_generator, code_size), *[detail_generator] * (len(shapes) - 1)]
        networks = _complete("generators", networks, shapes, defaults, common)
        super().__init__(networks, shapes, takes, shapes, classes=classes, name="generator")
        self.sizes = [code_size, *(height * width for height, width, _ in shapes[1:])]

    @property
    def latent_size(self) -> int:
        """Size of the whole code, without c."""
        return sum(self.sizes)

    def parts(self, z) -> tuple[list[tf.Tensor], tf.Tensor | None]:
        """Returns the noise of each level in codes `(batch, latent_size + classes)`, flat, and c, if there are classes."""
        if not self.classes:
            return tf.split(z, self.sizes, -1), None
        *noises, c = tf.split(z, [*self.sizes, self.classes], -1)
        return noises, c

    def picture(self, level: int, noise, smaller=None, c=None, training: bool = False) -> tf.Tensor:
        """Returns the pictures of a level, `(batch, height, width, channels)`.

        Arguments:
            level: 0 for the coarsest.
            noise: the level's part of a code, `(batch, size)`.
            smaller: the pictures of the level before; None for the coarsest.
            c: float32 `(batch, classes)`, of a conditional model.
            training: of the network.
        """
        if level == 0:
            return self.ask(0, noise, c, training)
        l = double(smaller)
        plane = tf.reshape(tf.cast(noise, l.dtype), (-1, *self.shapes[level][:2], 1))
        return l + self.ask(level, tf.concat([l, plane], -1), c, training)

    def call(self, z, training=False):
        noises, c = self.parts(z)
        x = None
        for level, noise in enumerate(noises):
            x = self.picture(level, noise, x, c, training)
        return x


class PyramidDiscriminator(Levels):
    """A score for each level of a picture's pyramid: `(batch, height, width, channels)` to `(batch, levels)`.

    Arguments:
        shapes: `(height, width, channels)` of the pictures, the coarsest first.
        networks: the first from a picture to one logit, the others from a picture and l, `(batch, height, width,
            2 * channels)`; None for all, or in place of one, is a default.
        width: of the defaults.
        classes: their number, 0 for an unconditional model.
        dtype: precision of the defaults.
    """

    def __init__(self, shapes, networks=None, *, width: int = 64, classes: int = 0, dtype=None):
        common = {"width": width, "classes": classes, "dtype": dtype}
        takes = [shapes[0], *((*sides, 2 * channels) for *sides, channels in shapes[1:])]
        defaults = [coarse_discriminator, *[detail_discriminator] * (len(shapes) - 1)]
        networks = _complete("discriminators", networks, shapes, defaults, common)
        super().__init__(networks, shapes, takes, [(1,)] * len(shapes), classes=classes, name="discriminator")

    def score(self, level: int, x, smaller=None, c=None, training: bool = False) -> tf.Tensor:
        """Returns the logits of pictures of a level, `(batch, 1)`.

        Arguments:
            level: 0 for the coarsest.
            x: the pictures, `(batch, height, width, channels)`.
            smaller: the pictures of the level before that they are to refine; None for the coarsest.
            c: float32 `(batch, classes)`, of a conditional model.
            training: of the network.
        """
        return self.ask(level, tf.concat([x, double(smaller)], -1) if level else x, c, training)

    def call(self, x, c=None, training=False):
        pictures = pyramid(x, len(self.shapes) - 1)
        pairs = zip(pictures, [None, *pictures], strict=False)
        return tf.concat([self.score(level, *pair, c, training) for level, pair in enumerate(pairs)], -1)


def coarse_generator(
    code_size: int, shape: tuple[int, int, int], *, width: int = 64, classes: int = 0, dtype=None
) -> keras.Model:
    """Returns the dense generator of the coarsest pictures: codes `(batch, code_size)` to pictures in [-1, 1].

    Arguments:
        code_size: of the code.
        shape: `(height, width, channels)` of the pictures.
        width: features of the details' generators; this one's layers have 1200 / 64 as many, as in the paper.
        classes: if there are any, it takes `[code, c]`.
        dtype: its precision; Keras' current one unless given.
    """
    (x, c), inputs = _inputs((code_size,), classes)
    y = x if c is None else keras.layers.Concatenate(dtype=dtype)([x, c])
    for _ in range(2):
        y = keras.layers.Dense(1200 * width // 64, "relu", dtype=dtype)(y)
    y = keras.layers.Dense(math.prod(shape), "tanh", dtype=dtype)(y)
    return keras.Model(inputs, keras.layers.Reshape(shape, dtype=dtype)(y), name="coarse_generator")


def coarse_discriminator(
    shape: tuple[int, int, int], *, width: int = 64, classes: int = 0, dropout: float = 0.5, dtype=None
) -> keras.Model:
    """Returns the dense discriminator of the coarsest pictures, to one logit `(batch, 1)`.

    Arguments:
        shape: `(height, width, channels)` of the pictures.
        width: features of the details' discriminators; this one's layers have 600 / 64 as many, as in the paper.
        classes: if there are any, it takes `[picture, c]`.
        dropout: share of the features that are dropped.
        dtype: its precision; Keras' current one unless given.
    """
    (x, c), inputs = _inputs(shape, classes)
    y = keras.layers.Flatten(dtype=dtype)(x)
    y = y if c is None else keras.layers.Concatenate(dtype=dtype)([y, c])
    for _ in range(2):
        y = keras.layers.Dense(600 * width // 64, "relu", dtype=dtype)(y)
        y = keras.layers.Dropout(dropout, dtype=dtype)(y)
    return keras.Model(inputs, keras.layers.Dense(1, dtype=dtype)(y), name="coarse_discriminator")


def detail_generator(shape: tuple[int, int, int], *, width: int = 64, classes: int = 0, dtype=None) -> keras.Model:
    """Returns the convolutional generator of details, `(batch, height, width, channels + 1)` to what is added.

    Its last layer is linear, since a difference of two pictures lies in [-2, 2].

    Arguments:
        shape: `(height, width, channels)` of the pictures.
        width: features of its layers.
        classes: if there are any, it takes `[input, c]`, and a plane that is linear in c joins the first maps.
        dtype: its precision; Keras' current one unless given.
    """
    height, breadth, channels = shape
    (x, c), inputs = _inputs((height, breadth, channels + 1), classes)
    y = keras.layers.Conv2D(width, 7, padding="same", activation="relu", dtype=dtype)(x)
    y = _with_plane(y, c, dtype)
    y = keras.layers.Conv2D(width, 7, padding="same", activation="relu", dtype=dtype)(y)
    y = keras.layers.Conv2D(channels, 5, padding="same", dtype=dtype)(y)
    return keras.Model(inputs, y, name=f"generator_{height}x{breadth}")


def detail_discriminator(
    shape: tuple[int, int, int], *, width: int = 64, classes: int = 0, dropout: float = 0.5, dtype=None
) -> keras.Model:
    """Returns the convolutional discriminator of details: `(batch, height, width, 2 * channels)`, to a logit `(batch, 1)`.

    It sees the picture with its details, and the one without them.

    Arguments:
        shape: `(height, width, channels)` of the pictures, of even sides.
        width: features of its layers.
        classes: if there are any, it takes `[input, c]`, and a plane that is linear in c joins the first maps.
        dropout: share of the features that are dropped.
        dtype: its precision; Keras' current one unless given.
    """
    height, breadth, channels = shape
    (x, c), inputs = _inputs((height, breadth, 2 * channels), classes)
    y = keras.layers.Conv2D(width, 5, padding="same", activation="relu", dtype=dtype)(x)
    y = _with_plane(y, c, dtype)
    # Padded apart and evenly: a convolution that pads unevenly itself is slower.
    y = keras.layers.ZeroPadding2D(2, dtype=dtype)(y)
    y = keras.layers.Conv2D(width, 5, 2, activation="relu", dtype=dtype)(y)
    y = keras.layers.Flatten(dtype=dtype)(keras.layers.Dropout(dropout, dtype=dtype)(y))
    return keras.Model(inputs, keras.layers.Dense(1, dtype=dtype)(y), name=f"discriminator_{height}x{breadth}")


def _complete(what: str, given, shapes, defaults, common: dict) -> list[keras.Model]:
    """Returns a network for each level: what was given, or a default."""
    given = [None] * len(shapes) if given is None else list(given)
    if len(given) != len(shapes):
        raise InputError(
            f"LAPGAN: {len(given)} {what} for {len(shapes)} levels; give one for each, None for a level's default"
        )
    return [
        make(shape, **common) if network is None else network
        for network, make, shape in zip(given, defaults, shapes, strict=True)
    ]


def _inputs(shape: tuple[int, ...], classes: int) -> tuple[tuple, object]:
    """Returns the input and that of the class, or None, and what a model takes of them."""
    x = keras.Input(shape)
    if not classes:
        return (x, None), x
    c = keras.Input((classes,))
    return (x, c), [x, c]


def _with_plane(maps, c, dtype):
    """Returns maps with one more, linear in the class; as they are where there are no classes."""
    if c is None:
        return maps
    height, width = maps.shape[1:3]
    plane = keras.layers.Dense(height * width, dtype=dtype)(c)
    plane = keras.layers.Reshape((height, width, 1), dtype=dtype)(plane)
    return keras.layers.Concatenate(dtype=dtype)([maps, plane])
