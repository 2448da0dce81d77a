"""Picture files, read with Pillow."""

import pathlib

import numpy as np

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")

GREY, COLOR = {"1", "L", "LA"}, {"RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB"}
"""Modes of 8-bit pictures; a palette counts as coloured."""

ORIENTATION = 0x0112
"""The EXIF tag that says how the camera was held."""


def read_header(path: pathlib.Path) -> tuple[int, int, int]:
    """Returns height, width and channels, 1 or 3, of a picture without decoding it.

    Raises:
        OSError: it is not a picture, or not one of 8 bits per channel; other errors for broken files.
    """
    with _open(path) as picture:
        width, height = picture.size
        if picture.format in ("JPEG", "MPO", "TIFF") and picture.getexif().get(ORIENTATION, 1) >= 5:
            width, height = height, width
        if picture.mode not in GREY | COLOR:
            raise OSError(f"mode {picture.mode} is not one of 8 bits per channel")
        return height, width, 1 if picture.mode in GREY else 3


def read_picture(path: pathlib.Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Returns a picture, uint8 of this shape; the first frame if it moves.

    It is turned as its camera was held, laid on white where it is transparent, and, if it has another size, cropped
    at the centre to the aspect ratio of `shape` and resized by bicubic interpolation with antialiasing.

    Raises:
        OSError: it is broken; other errors for some kinds of broken files.
    """
    from PIL import Image, ImageOps

    height, width, channels = shape
    with _open(path) as picture:
        picture = ImageOps.exif_transpose(picture)
        if "A" in picture.getbands() or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        picture = picture.convert("L" if channels == 1 else "RGB")
        if picture.size != (width, height):
            picture = ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC)
        return np.asarray(picture).reshape(shape)


def _open(path: pathlib.Path):
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(path)
    except UnidentifiedImageError:
        raise OSError("of no known picture format") from None
