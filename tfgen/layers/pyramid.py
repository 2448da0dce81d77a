"""Pictures of half and of twice the sides, a pair that fits together: halving what was doubled changes nothing."""

import tensorflow as tf

from tfgen.errors import InputError


def halve(x) -> tf.Tensor:
    """Returns the means of cells of 2x2 pixels: `(batch, height, width, k)` to `(batch, height / 2, width / 2, k)`."""
    return tf.nn.avg_pool2d(x, 2, 2, "VALID")


def double(x) -> tf.Tensor:
    """Returns each pixel as a cell of 2x2: `(batch, height, width, k)` to `(batch, 2 * height, 2 * width, k)`."""
    return tf.image.resize(x, (2 * x.shape[1], 2 * x.shape[2]), method="nearest")


def pyramid(x, halvings: int) -> list[tf.Tensor]:
    """Returns a picture in all sizes, the smallest first and `x` itself, `(batch, height, width, k)`, last.

    With h = x - double(halve(x)) of each but the first these are a Laplacian pyramid (Burt & Adelson 1983): the
    smallest, doubled, plus h, doubled, plus h, and so on, is `x`, and every h has the mean 0 in each cell.
    """
    pictures = [x]
    for _ in range(halvings):
        pictures.append(halve(pictures[-1]))
    return pictures[::-1]


def pyramid_shapes(shape: tuple[int, int, int], halvings: int, owner: str) -> list[tuple[int, int, int]]:
    """Returns the `(height, width, channels)` of the pictures of `pyramid`, for one of that shape.

    Arguments:
        shape: of the largest.
        halvings: how often the sides are halved.
        owner: who asks, for the message.

    Raises:
        InputError: less than one halving, or sides that cannot be halved so often.
    """
    height, width, channels = shape
    if halvings < 1:
        raise InputError(f"{owner}: {halvings} upscalings, expected at least 1")
    if height % 2**halvings or width % 2**halvings:
        raise InputError(
            f"{owner}: {height}x{width} pixels cannot be halved {halvings} times; pass image_size to the data source "
            f"(multiples of {2**halvings}), or fewer upscalings"
        )
    return [(height // 2**n, width // 2**n, channels) for n in reversed(range(halvings + 1))]
