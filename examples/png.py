"""Writes pictures as a PNG file, with NumPy and what Python brings along."""

import math
import pathlib
import struct
import zlib

import numpy as np


def write_png(path, pictures: np.ndarray, levels: int = 256) -> None:
    """Writes pictures side by side, in as many rows as columns or one less, black where none is left.

    Arguments:
        path: of the file.
        pictures: uint8 levels `(count, height, width, channels)`, of one channel or three.
        levels: how many there are; the highest becomes 255.

    Raises:
        ValueError: the array holds something else.
    """
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[-1] not in (1, 3):
        raise ValueError(f"{pictures.dtype} {pictures.shape} are no pictures of one channel or three")
    count, height, width, channels = pictures.shape
    columns = math.isqrt(count - 1) + 1
    rows = -(-count // columns)
    scaled = np.zeros((rows * columns, height, width, channels), np.uint8)
    scaled[:count] = np.rint(pictures * (255.0 / (levels - 1)))
    sheet = scaled.reshape(rows, columns, height, width, channels).swapaxes(1, 2).reshape(rows * height, -1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", columns * width, rows * height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    lines = b"".join(b"\0" + line.tobytes() for line in sheet)  # 0: as they are
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(lines), b"IEND": b""}
    content = b"".join(chunk(kind, data) for kind, data in chunks.items())
    pathlib.Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + content)
