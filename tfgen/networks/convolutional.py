"""Strided convolutions between pictures of any size and vectors, with group normalisation."""

import math
from collections.abc import Sequence

import keras


def conv_encoder(
    shape: Sequence[int], outputs: int, *, width: int = 64, levels: int | None = None, name: str = "encoder", dtype=None
) -> keras.Sequential:
    """Returns the way from pictures `(batch, height, width, channels)` to `(batch, outputs)`.

    Arguments:
        shape: `(height, width, channels)`; sides may be odd.
        outputs: numbers that it gives.
        width: features of the first layer; they double at each level, up to four times as many.
        levels: convolutions, each of which halves the sides; until they are 4 or less, unless given.
        name: of the network.
        dtype: its precision; Keras' current one unless given.
    """
    sizes = halvings(shape, levels)
    layers = [keras.Input(tuple(shape))]
    for level in range(len(sizes) - 1):
        features = _features(width, level)
        layers += [keras.layers.Conv2D(features, 4, strides=2, padding="same", dtype=dtype), *_norm(features, dtype)]
    layers += [keras.layers.Flatten(dtype=dtype), keras.layers.Dense(outputs, dtype=dtype)]
    return keras.Sequential(layers, name=name)


def conv_decoder(
    inputs: int, shape: Sequence[int], *, width: int = 64, levels: int | None = None, name: str = "decoder", dtype=None
) -> keras.Sequential:
    """Returns the way back: `(batch, inputs)` to `(batch, height, width, channels)`, without a last activation.

    Arguments:
        inputs: numbers that it takes.
        shape: `(height, width, channels)` of what it gives; the channels may be any number.
        width, levels, name, dtype: as of `conv_encoder`.
    """
    sizes = halvings(shape, levels)
    features = _features(width, max(len(sizes) - 2, 0))
    layers = [
        keras.Input((inputs,)),
        keras.layers.Dense(math.prod(sizes[-1]) * features, dtype=dtype),
        keras.layers.Reshape((*sizes[-1], features), dtype=dtype),
        *_norm(features, dtype),
    ]
    for level in reversed(range(len(sizes) - 1)):
        features = _features(width, level - 1) if level else shape[-1]
        layers.append(keras.layers.Conv2DTranspose(features, 4, strides=2, padding="same", dtype=dtype))
        # Twice a side that was rounded up is one too many.
        over = [2 * small - large for small, large in zip(sizes[level + 1], sizes[level], strict=True)]
        if any(over):
            layers.append(keras.layers.Cropping2D([(0, rows) for rows in over], dtype=dtype))
        layers += _norm(features, dtype) if level else []
    if len(sizes) == 1:
        layers.append(keras.layers.Conv2D(shape[-1], 1, dtype=dtype))
    return keras.Sequential(layers, name=name)


def halvings(shape: Sequence[int], levels: int | None = None) -> list[tuple[int, int]]:
    """Returns `(height, width)` before and after each halving, rounded up."""
    sizes = [(shape[0], shape[1])]
    while len(sizes) <= levels if levels is not None else max(sizes[-1]) > 4:
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
    return sizes


def _features(width: int, level: int) -> int:
    return width * 2 ** min(level, 2)


def _norm(features: int, dtype) -> list[keras.layers.Layer]:
    # Statistics of each picture: the same in training and in use.
    groups = math.gcd(features, 8)
    return [keras.layers.GroupNormalization(groups, dtype=dtype), keras.layers.Activation("silu", dtype=dtype)]
