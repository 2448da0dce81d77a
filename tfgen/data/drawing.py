"""Pictures from signed distances: a canvas, and distances to simple figures.

A distance is negative inside of a figure. Everything is vectorised over pictures: coordinates have shape
`(count, height, width)` or broadcast to it, sizes and positions `(count, 1, 1)`. The unit is the shorter side of a
picture, the origin its top left corner, and y points down.
"""

import copy
from collections.abc import Iterator

import numpy as np


class Canvas:
    """Pictures that are painted over, with smooth edges.

    Arguments:
        count: number of pictures.
        size: `(height, width)` in pixels.
        color: of the ground, 0..255, `(3,)` or `(count, 3)`.
        origin: where the coordinates are 0, `(y, x)` as shares of height and width; the top left corner by default.

    Attributes:
        x, y: coordinates of the pixels' centres, float32 of shapes `(1, 1, width)` and `(1, height, 1)`.
    """

    def __init__(self, count: int, size: tuple[int, int], color, origin: tuple[float, float] = (0.0, 0.0)):
        height, width = size
        self._scale = np.float32(min(size))
        self.x = ((np.arange(width, dtype=np.float32) + 0.5 - origin[1] * width) / self._scale)[None, None, :]
        self.y = ((np.arange(height, dtype=np.float32) + 0.5 - origin[0] * height) / self._scale)[None, :, None]
        self._pixels = np.empty((count, height, width, 3), np.float32)
        self._pixels[:] = np.asarray(color, np.float32).reshape(-1, 1, 1, 3)

    def between(self, top: float, bottom: float) -> "Canvas":
        """Returns the rows of the same pictures that a figure from y = `top` to `bottom` can touch."""
        y = self.y.ravel()
        margin = 1 / self._scale
        rows = slice(np.searchsorted(y, top - margin), np.searchsorted(y, bottom + margin))
        part = copy.copy(self)
        part.y, part._pixels = self.y[:, rows], self._pixels[:, rows]
        return part

    def paint(self, distance: np.ndarray, color: np.ndarray, opacity: np.ndarray | float = 1.0) -> None:
        """Paints the inside of a figure; `color` is `(3,)` or `(count, 3)`, `opacity` broadcasts to the distance."""
        cover = np.clip(0.5 - distance * self._scale, 0, 1) * np.float32(opacity)
        self._pixels += cover[..., None] * (np.asarray(color, np.float32).reshape(-1, 1, 1, 3) - self._pixels)

    def pictures(self) -> np.ndarray:
        """Returns what was painted, uint8 `(count, height, width, 3)`."""
        return np.round(self._pixels).astype(np.uint8)


def column(values: np.ndarray) -> np.ndarray:
    """Returns a number per picture in a shape that broadcasts over pixels, `(count, 1, 1)`."""
    return np.asarray(values, np.float32)[:, None, None]


def ellipse(x, y, a, b):
    """Returns the distance, exact at the edge, to an ellipse around 0 with half axes `a` and `b`."""
    inner = np.sqrt((x / a) ** 2 + (y / b) ** 2) + 1e-6
    slope = np.sqrt((x / a**2) ** 2 + (y / b**2) ** 2) + 1e-6
    return inner * (inner - 1) / slope


def circle(x, y, radius):
    """Returns the distance to a circle around 0."""
    return np.hypot(x, y) - radius


def box(x, y, a, b):
    """Returns the distance, a lower bound near corners, to a box around 0 with half sides `a` and `b`."""
    return np.maximum(np.abs(x) - a, np.abs(y) - b)


def triangle(x, y, a, b):
    """Returns the distance, a lower bound near corners, to the triangle (0, -b), (a, b), (-a, b)."""
    side = (2 * b * np.abs(x) - a * (y + b)) / np.sqrt(4 * b**2 + a**2)
    return np.maximum(side, y - b)


def segment(x, y, start, end, thickness):
    """Returns the distance to a line from `start` to `end`, pairs (x, y), with round ends and this half thickness."""
    x, y = x - start[0], y - start[1]
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip((x * dx + y * dy) / (dx**2 + dy**2 + 1e-12), 0, 1)
    return np.hypot(x - along * dx, y - along * dy) - thickness


def chunks(count: int, size: tuple[int, int], pixels: int = 2**16) -> Iterator[slice]:
    """Returns slices of 0..count-1 that hold about that many pixels, so that temporary arrays stay small."""
    step = max(1, pixels // (size[0] * size[1]))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
