"""A coloured shape on a dark ground, with all that can be said about it."""

import numpy as np

from tfgen.data import drawing

SHAPES = ("circle", "square", "triangle", "cross")
COLORS = {
    "red": (228, 52, 46),
    "yellow": (246, 206, 48),
    "green": (58, 178, 76),
    "blue": (52, 112, 240),
    "purple": (170, 74, 214),
    "white": (240, 240, 240),
}
SIZES = ("small", "large")
SQUARE = np.float32(0.87)  # half side of a square that looks as large as a circle of radius 1
RADIUS = np.array([0.11, 0.19], np.float32)
ROWS = ("top", "middle", "bottom")
COLUMNS = ("left", "centre", "right")
GROUND = (24, 26, 36)

CLASSES = {"shape": SHAPES, "color": tuple(COLORS), "size": SIZES, "row": ROWS, "column": COLUMNS}
"""Names of the values of each factor that has classes; `label` is the shape."""

NUMBERS = {"x": (), "y": (), "box": (4,)}
"""Shapes of the float32 factors: the centre, and the box `(y0, x0, y1, x1)`, as shares of height and width."""

FACTORS = len(CLASSES) + 2


def factors(uniform: np.ndarray, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Maps uniform draws `(count, FACTORS)` in [0, 1) to factors, arrays of `count` entries."""
    found = {key: (uniform[:, i] * len(names)).astype(np.int32) for i, (key, names) in enumerate(CLASSES.items())}
    jitter = 0.08 * (uniform[:, -2:] - 0.5)
    found["x"] = (0.25 * (1 + found["column"]) + jitter[:, 0]).astype(np.float32)
    found["y"] = (0.25 * (1 + found["row"]) + jitter[:, 1]).astype(np.float32)
    half = RADIUS[found["size"]] * np.where(found["shape"] == SHAPES.index("square"), SQUARE, 1).astype(np.float32)
    vertical, horizontal = half * min(size) / size[0], half * min(size) / size[1]
    x, y = found["x"], found["y"]
    found["box"] = np.stack([y - vertical, x - horizontal, y + vertical, x + horizontal], axis=1)
    return found


def captions(found: dict[str, np.ndarray]) -> list[str]:
    """Returns sentences like "a small red circle at the top left"."""
    keys = ("size", "color", "shape", "row", "column")
    words = [[CLASSES[key][value] for value in found[key]] for key in keys]
    return [_caption(*example) for example in zip(*words, strict=True)]


def _caption(size: str, color: str, shape: str, row: str, column: str) -> str:
    if row == "middle":
        place = "in the centre" if column == "centre" else f"on the {column}"
    else:
        place = f"at the {row}" if column == "centre" else f"at the {row} {column}"
    return f"a {size} {color} {shape} {place}"


def draw(found: dict[str, np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Draws pictures of these factors, uint8 `(count, height, width, 3)`."""
    height, width = size
    canvas = drawing.Canvas(len(found["x"]), size, GROUND)
    x = canvas.x - drawing.column(found["x"] * (width / min(size)))
    y = canvas.y - drawing.column(found["y"] * (height / min(size)))
    r = drawing.column(RADIUS[found["size"]])
    shape = drawing.column(found["shape"])
    cross = np.minimum(drawing.box(x, y, r, 0.32 * r), drawing.box(x, y, 0.32 * r, r))
    figures = [drawing.circle(x, y, r), drawing.box(x, y, SQUARE * r, SQUARE * r), drawing.triangle(x, y, r, r), cross]
    distance = np.select([shape == i for i in range(len(SHAPES))], figures)
    canvas.paint(distance, np.array(list(COLORS.values()))[found["color"]])
    return canvas.pictures()
