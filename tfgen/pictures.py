"""Pictures of samples: grids, sheets of grids, scatter plots."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfgen.errors import InputError

_PAPER, _INK, _LINE, _DOT = (255, 255, 255), (32, 32, 32), (200, 200, 200), (31, 90, 166)

# From low to high, ever lighter, so that it can be read without colours too.
_HEAT = np.array([(24, 20, 62), (58, 62, 140), (40, 126, 142), (94, 190, 110), (250, 230, 90)], np.float64)

# Between pictures of a grid: told apart from black and from white at their edges.
_BETWEEN = 110


def of_examples(spec, batch, *, columns: int | None = None) -> Image.Image:
    """Returns a picture of samples: a grid for `Images`, a scatter plot for `Points`.

    Arguments:
        spec: what an example is.
        batch: uint8 levels `(count, height, width, channels)`, or float32 points `(count, size)`.
        columns: of the grid; about square unless given.
    """
    if len(spec.shape) == 3:
        return grid(spec.to_picture(batch), columns=columns)
    return scatter(batch)


def grid(images, *, columns: int | None = None, side: int = 64, gap: int = 6) -> Image.Image:
    """Returns pictures in rows, left to right and top to bottom.

    Small pictures are enlarged by a whole factor without smoothing, so that a person sees every pixel.

    Arguments:
        images: uint8 0..255, `(count, height, width, channels)` of 1, 3 or any other number of channels; of others
            the mean is shown.
        columns: about square unless given.
        side: pixels that the shorter side of a picture has at least.
        gap: pixels between pictures.

    Raises:
        InputError: no picture, another rank or another dtype.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype != np.uint8 or not len(images):
        expected = "uint8 (count, height, width, channels)"
        raise InputError(f"grid: {images.dtype} of shape {images.shape}, expected {expected}")
    if images.shape[-1] not in (1, 3):
        images = np.round(images.mean(-1, keepdims=True)).astype(np.uint8)
    count, height, width, channels = images.shape
    columns = min(columns or int(np.ceil(np.sqrt(count))), count)
    rows = -(-count // columns)
    scale = max(1, -(-side // min(height, width)))
    images = images.repeat(scale, 1).repeat(scale, 2)
    tall, wide = height * scale + gap, width * scale + gap
    canvas = np.full((rows * tall + gap, columns * wide + gap, channels), _BETWEEN, np.uint8)
    for index, image in enumerate(images):
        top, left = gap + index // columns * tall, gap + index % columns * wide
        canvas[top : top + height * scale, left : left + width * scale] = image
    return Image.fromarray(canvas[..., 0] if channels == 1 else canvas).convert("RGB")


def completions(spec, original, known, completed, entropy=None) -> Image.Image:
    """Returns a row for each picture: the original, what was known of it, its completions, and where it is unsure.

    Arguments:
        spec: what an example is.
        original: uint8 levels `(count, height, width, channels)`.
        known: which rows were, bool `(height,)`; the others are shown grey.
        completed: uint8 levels `(completions, count, height, width, channels)`.
        entropy: nats of each pixel, `(count, height, width)`, black at 0 and white at the largest.
    """
    columns = [spec.to_picture(x) for x in (original, *completed)]
    occluded = np.where(known[:, None, None], columns[0], np.uint8(128))
    columns.insert(1, occluded)
    if entropy is not None:
        shown = np.round(255.0 * entropy / max(entropy.max(), 1e-9)).astype(np.uint8)
        columns.append(np.broadcast_to(shown[..., None], columns[0].shape))
    return grid(np.stack(columns, 1).reshape(-1, *spec.shape), columns=len(columns))


def scatter(points, *, reach: float | None = None, side: int = 400) -> Image.Image:
    """Returns points of the plane as dots; of one coordinate a histogram, of more the first two.

    The axes are labelled where they end.

    Arguments:
        points: float, `(count, size)`.
        reach: the axes go from -reach to reach; that of `reach_of` unless given.
        side: pixels of the picture's sides.

    Raises:
        InputError: no points, or another rank.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or not points.size:
        raise InputError(f"scatter: shape {points.shape}, expected (count, size)")
    points = points[np.isfinite(points).all(1), :2]
    picture = Image.new("RGB", (side, side), _PAPER)
    draw = ImageDraw.Draw(picture)
    reach = reach or reach_of(points)
    middle = side // 2
    draw.line([(0, middle), (side, middle)], _LINE)
    draw.line([(middle, 0), (middle, side)], _LINE)
    draw.text((side - 4, middle + 2), f"{reach:g}", _INK, _font(12), anchor="rt")
    if points.shape[1] == 1:
        heights, edges = np.histogram(points, 50, (-reach, reach))
        for height, left, right in zip(heights, edges[:-1], edges[1:], strict=True):
            top = side - height / max(heights.max(), 1) * (side - 20)
            draw.rectangle([(left / reach + 1) * middle, top, (right / reach + 1) * middle - 1, side], _DOT)
        return picture
    for x, y in points / reach:
        across, down = (x + 1) * middle, (1 - y) * middle
        draw.ellipse([across - 1.5, down - 1.5, across + 1.5, down + 1.5], _DOT)
    return picture


def reach_of(points) -> float:
    """Returns the smallest power of two between which and its negative 99 of 100 points lie, `(count, size)`."""
    extent = max(np.quantile(np.abs(points).max(1), 0.99), 2.0**-10) if len(points) else 1.0
    return float(2.0 ** np.ceil(np.log2(extent)))


def cells(reach: float, count: int = 100) -> np.ndarray:
    """Returns the middles of `count` by `count` cells of the square from -reach to reach, `(count, count, 2)`.

    Rows go upwards and columns to the right, as `heat` takes them.
    """
    middles = reach * ((np.arange(count) + 0.5) / count * 2.0 - 1.0)
    return np.stack(np.meshgrid(middles, middles), -1)


def heat(values, reach: float, *, line: float | None = None, side: int = 400) -> Image.Image:
    """Returns numbers over a square of the plane as colours, from dark for the lowest to light for the highest.

    Arguments:
        values: of equal cells, `(rows, columns)`, the lowest row and the leftmost column first.
        reach: the square goes from -reach to reach; it is written at the right end.
        line: a value between whose sides a line is drawn.
        side: pixels of the picture's sides.

    Raises:
        InputError: another rank, or numbers that are not finite.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise InputError(f"heat: shape {values.shape}, expected finite numbers (rows, columns)")
    low, high = values.min(), values.max()
    place = (values - low) / max(high - low, 1e-300) * (len(_HEAT) - 1)
    below = np.minimum(place.astype(int), len(_HEAT) - 2)
    colours = _HEAT[below] + (place - below)[..., None] * (_HEAT[below + 1] - _HEAT[below])
    picture = Image.fromarray(np.round(colours[::-1]).astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
    if line is not None:
        beyond = Image.fromarray((255 * (values[::-1] > line)).astype(np.uint8)).resize((side, side))
        beyond = np.asarray(beyond) > 127
        edge = np.zeros_like(beyond)
        edge[1:] |= beyond[1:] != beyond[:-1]
        edge[:, 1:] |= beyond[:, 1:] != beyond[:, :-1]
        picture.paste(_PAPER, mask=Image.fromarray((255 * edge).astype(np.uint8)))
    ImageDraw.Draw(picture).text((side - 4, side // 2 + 2), f"{reach:g}", _PAPER, _font(12), anchor="rt")
    return picture


def sheet(panels: Sequence[tuple[str, str, Image.Image]], title: str = "", *, margin: int = 16) -> Image.Image:
    """Returns pictures side by side, each below its name and a line about it.

    Arguments:
        panels: name, line and picture of each.
        title: of the sheet.
        margin: pixels around everything.

    Raises:
        InputError: no panels.
    """
    if not panels:
        raise InputError("sheet: no panels")
    head = 40 if title else 0
    widths = [
        max(picture.width, int(_font(18).getlength(name)) + 1, int(_font(13).getlength(line)) + 1)
        for name, line, picture in panels
    ]
    size = (
        max(sum(widths) + margin * (len(panels) + 1), int(_font(24).getlength(title)) + 2 * margin),
        head + 52 + max(picture.height for *_, picture in panels) + 2 * margin,
    )
    canvas = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((margin, margin), title, _INK, _font(24))
    left, top = margin, margin + head
    for (name, line, picture), width in zip(panels, widths, strict=True):
        draw.text((left, top), name, _INK, _font(18))
        draw.text((left, top + 26), line, _INK, _font(13))
        canvas.paste(picture, (left, top + 52))
        left += width + margin
    return canvas


def save(picture: Image.Image, path: str | os.PathLike) -> None:
    """Writes a PNG beside its place and renames it."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.writing")
    picture.save(temporary, "PNG")
    os.replace(temporary, path)


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
