"""From pictures as they are stored to pictures as they are asked for."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.specs import Images

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as JPEG and Pillow weigh red, green and blue


@dataclasses.dataclass(frozen=True)
class Target:
    """What was asked for; None leaves a property as it is stored.

    Arguments:
        image_size: `(height, width)`, or one integer for both.
        channels: 1 (grey) or 3 (red, green, blue).
        levels: 2..256.
        binarize: for `levels=2`: "static", every picture is drawn once and for all, or "dynamic", pictures of the
            training split are drawn anew each time that they are seen.
        seed: of the binary draws.

    Raises:
        InputError: a value is not one of those.
    """

    image_size: int | tuple[int, int] | None = None
    channels: int | None = None
    levels: int | None = None
    binarize: str = "static"
    seed: int = 0

    def __post_init__(self):
        size = self.image_size
        if size is not None:
            size = tuple(size) if isinstance(size, tuple | list) else (size, size)
            if len(size) != 2 or not all(isinstance(s, int | np.integer) and s >= 1 for s in size):
                raise InputError(f"image_size={self.image_size!r}: expected a number of pixels or (height, width)")
            object.__setattr__(self, "image_size", (int(size[0]), int(size[1])))
        if self.channels not in (None, 1, 3):
            raise InputError(f"channels={self.channels!r}: expected 1 (grey) or 3 (red, green, blue)")
        if self.levels is not None and not 2 <= self.levels <= 256:
            raise InputError(f"levels={self.levels!r}: expected 2 to 256")
        if self.binarize not in ("static", "dynamic"):
            raise InputError(f"binarize={self.binarize!r}: expected 'static' or 'dynamic'")
        if self.binarize == "dynamic" and self.levels != 2:
            raise InputError("binarize='dynamic' draws binary pictures: pass levels=2 too")
        if self.seed < 0:
            raise InputError(f"seed={self.seed}: expected at least 0")

    def plan(self, stored: "Stored", where: str) -> tuple[Images, "Transform", "Binarizer | None"]:
        """Returns what comes out of pictures stored like that, what maps them, and what draws binary ones.

        Raises:
            InputError: the pictures have several sizes or channels, and none is asked for.
        """
        height, width = self.image_size or (stored.height, stored.width)
        channels = self.channels or stored.channels
        if not height or not width:
            raise InputError(f"{where}: pictures of several sizes; pass image_size=64 or another size")
        if not channels:
            raise InputError(f"{where}: grey and coloured pictures; pass channels=1 or channels=3")
        images = Images((height, width, channels), self.levels or stored.levels)
        drawn = images.levels == 2 < stored.levels
        binarizer = Binarizer(stored.levels, self.binarize == "dynamic", self.seed) if drawn else None
        return images, Transform(stored, images), binarizer


@dataclasses.dataclass(frozen=True)
class Stored:
    """Pictures as they are stored; None where it differs between them."""

    height: int | None
    width: int | None
    channels: int | None
    levels: int = 256


@dataclasses.dataclass(frozen=True)
class Transform:
    """Maps pictures as they are stored to size, channels and levels of `wanted`.

    Pictures are cropped at the centre to the aspect ratio that is asked for, and resized by bicubic interpolation
    with antialiasing. Fewer levels are equal shares of the stored ones (`level * n // stored`); more levels are the
    nearest ones. Two levels are left to the `Binarizer`.
    """

    stored: Stored
    wanted: Images

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """Maps integers `(..., height, width, channels)` to uint8 of the wanted shape."""
        height, width, channels = self.wanted.shape
        resized = (self.stored.height, self.stored.width) != (height, width)
        levels = self.stored.levels if self.wanted.levels == 2 else self.wanted.levels
        x = tf.cast(image, tf.float32)
        if channels != self.stored.channels:
            x = x[..., :3] + tf.zeros(3)  # grey or coloured, without transparency
            if channels == 1:
                x = tf.reduce_sum(x * tf.constant(LUMA), axis=-1, keepdims=True)
        if resized:
            x = tf.image.resize(crop(x, height / width), (height, width), "bicubic", antialias=True)
        x = tf.clip_by_value(tf.round(x), 0.0, self.stored.levels - 1.0)
        if levels < self.stored.levels:
            x = tf.floor(x * (levels / self.stored.levels))
        elif levels > self.stored.levels:
            x = tf.round(x * ((levels - 1) / (self.stored.levels - 1)))
        return tf.ensure_shape(tf.cast(x, tf.uint8), (*image.shape[:-3], *self.wanted.shape))

    def batched(self, images: np.ndarray, batch: int = 1024) -> np.ndarray:
        """Maps a whole array, some pictures at a time."""
        if self.wanted.shape == images.shape[1:] and self.wanted.levels in (2, self.stored.levels):
            return np.asarray(images, np.uint8)
        with tf.device("CPU"):
            parts = [self(images[i : i + batch]).numpy() for i in range(0, len(images), batch)]
        return np.concatenate(parts)


def crop(x: tf.Tensor, aspect: float) -> tf.Tensor:
    """Returns the largest part at the centre of `(..., height, width, channels)` with this height / width."""
    size = tf.shape(x)
    height, width = size[-3], size[-2]
    rows = tf.minimum(height, tf.maximum(1, tf.cast(tf.round(tf.cast(width, tf.float32) * aspect), tf.int32)))
    columns = tf.minimum(width, tf.maximum(1, tf.cast(tf.round(tf.cast(height, tf.float32) / aspect), tf.int32)))
    top, left = (height - rows) // 2, (width - columns) // 2
    return x[..., top : top + rows, left : left + columns, :]


@dataclasses.dataclass(frozen=True)
class Binarizer:
    """Draws binary pictures: a pixel is 1 with probability `level / (levels - 1)`.

    Arguments:
        levels: of the pictures that come in.
        dynamic: whether pictures of the training split are drawn anew each time that they are seen.
        seed: of the static draws.
    """

    levels: int
    dynamic: bool
    seed: int

    def draw(self, image: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """Maps levels of any shape to uint8 0 or 1; the same `key`, int64 of shape (2,), gives the same draw."""
        chance = tf.cast(image, tf.float32) * (1.0 / (self.levels - 1))
        uniform = tf.random.stateless_uniform(tf.shape(image), key, alg="philox")
        return tf.ensure_shape(tf.cast(uniform < chance, tf.uint8), image.shape)

    def draw_once(self, images: np.ndarray, split: str, batch: int = 1024) -> np.ndarray:
        """Maps a whole split to uint8 0 or 1, the same at every call."""
        random = np.random.default_rng([self.seed, *split.encode()])
        parts = (images[i : i + batch] for i in range(0, len(images), batch))
        drawn = [random.random(part.shape, np.float32) * (self.levels - 1) < part for part in parts]
        return np.concatenate(drawn).astype(np.uint8)

    def draw_picture(self, image: np.ndarray, index: int) -> np.ndarray:
        """Maps a picture to uint8 0 or 1, the same at every call with this index."""
        random = np.random.default_rng([self.seed, index])
        return (random.random(image.shape, np.float32) * (self.levels - 1) < image).astype(np.uint8)
