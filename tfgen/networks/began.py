"""The encoder and decoder of BEGAN (Berthelot, Schumm & Metz 2017, figure 1)."""

import keras

from tfgen.errors import InputError


def sides_of(shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Returns the heights and widths from a picture's own down to the smallest, each half of the one before.

    The paper's 64 pixels are halved three times, to 8x8; 28 pixels twice, to 7x7; 8 pixels never.

    Raises:
        InputError: more than 16 pixels are left on a side.
    """
    height, width, _ = shape
    sides = [(height, width)]
    while height % 2 == 0 and width % 2 == 0 and min(height, width) > 8:
        height, width = height // 2, width // 2
        sides.append((height, width))
    if max(height, width) > 16:
        raise InputError(
            f"BEGAN: {shape[0]}x{shape[1]} pixels cannot be halved down to 16 or less; "
            "pass image_size to the data source (16, 28, 32, 64, ...), or networks of your own"
        )
    return sides


def began_encoder(
    shape: tuple[int, int, int],
    code_size: int,
    *,
    width: int = 64,
    dtype: str | keras.DTypePolicy | None = None,
) -> keras.Sequential:
    """Returns the encoder: pictures in [-1, 1] to codes `(batch, code_size)`.

    Two convolutions at each scale, one of stride 2 between scales, and a linear map to the code; neither
    normalisation nor dropout.

    Arguments:
        shape: `(height, width, channels)` of the pictures.
        code_size: of the code.
        width: n, features of the first scale; each further scale has n more.
        dtype: its precision; Keras' current one unless given.

    Raises:
        InputError: the sides cannot be halved down to 16 pixels or less.
    """
    layers = [keras.Input(shape), _conv(width, dtype)]
    for scale, _ in enumerate(sides_of(shape), 1):
        # The step between two scales already has the features of the next.
        layers += [_conv(scale * width, dtype, strides=2)] if scale > 1 else []
        layers += [_conv(scale * width, dtype), _conv(scale * width, dtype)]
    layers += [keras.layers.Flatten(dtype=dtype), keras.layers.Dense(code_size, dtype=dtype)]
    return keras.Sequential(layers, name="encoder")


def began_decoder(
    code_size: int,
    shape: tuple[int, int, int],
    *,
    width: int = 64,
    name: str = "decoder",
    dtype: str | keras.DTypePolicy | None = None,
) -> keras.Sequential:
    """Returns the decoder, which is also the shape of the generator: codes `(batch, code_size)` to pictures.

    A linear map to the smallest scale, two convolutions at each scale, nearest neighbours between scales; the output
    is linear, so that it may leave [-1, 1].

    Arguments:
        code_size: of the code.
        shape: `(height, width, channels)` of the pictures.
        width: n, features of all scales.
        name: of the network.
        dtype: its precision; Keras' current one unless given.

    Raises:
        InputError: the sides cannot be halved down to 16 pixels or less.
    """
    sides = sides_of(shape)
    height, base = sides[-1]
    layers = [
        keras.Input((code_size,)),
        keras.layers.Dense(height * base * width, dtype=dtype),
        keras.layers.Reshape((height, base, width), dtype=dtype),
    ]
    for scale in range(len(sides)):
        layers += [keras.layers.UpSampling2D(2, dtype=dtype)] if scale else []
        layers += [_conv(width, dtype), _conv(width, dtype)]
    layers.append(keras.layers.Conv2D(shape[2], 3, padding="same", dtype=dtype))
    return keras.Sequential(layers, name=name)


def _conv(features: int, dtype, strides: int = 1) -> keras.layers.Layer:
    return keras.layers.Conv2D(features, 3, strides, "same", activation="elu", dtype=dtype)
