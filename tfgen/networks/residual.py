"""Strided convolutions and residual blocks between pictures and maps of features (van den Oord et al. 2017)."""

from collections.abc import Sequence

import keras

from tfgen.networks.convolutional import halvings


@keras.saving.register_keras_serializable("tfgen")
class ResidualBlock(keras.layers.Layer):
    """x + conv1x1(relu(conv3x3(relu(x)))), with as many features everywhere.

    Arguments:
        features: of the input, which the output has too.
    """

    def __init__(self, features: int, **kwargs):
        super().__init__(**kwargs)
        self.features = features
        self.wide = keras.layers.Conv2D(features, 3, padding="same", activation="relu", dtype=self.dtype_policy)
        # A bias would be one more of the next layer's.
        self.narrow = keras.layers.Conv2D(features, 1, use_bias=False, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.wide.build(input_shape)
        self.narrow.build(input_shape)

    def call(self, x):
        return x + self.narrow(self.wide(keras.ops.relu(x)))

    def get_config(self):
        return {**super().get_config(), "features": self.features}


def residual_encoder(
    shape: Sequence[int],
    outputs: int,
    *,
    width: int = 256,
    levels: int = 2,
    blocks: int = 2,
    name="encoder",
    dtype=None,
) -> keras.Sequential:
    """Returns the way from pictures to maps `(batch, height / 2^levels, width / 2^levels, outputs)`, rounded up.

    Arguments:
        shape: `(height, width, channels)`; sides may be of any size.
        outputs: features of the map.
        width: features of all layers but the last.
        levels: convolutions of 4x4, each of which halves the sides.
        blocks: residual blocks behind them.
        name: of the network.
        dtype: its precision; Keras' current one unless given.
    """
    layers = [keras.Input(tuple(shape))]
    for level in range(levels):
        # The block behind the last one begins with its own.
        activation = "relu" if level < levels - 1 else None
        conv = {"strides": 2, "padding": "same", "activation": activation, "dtype": dtype}
        layers.append(keras.layers.Conv2D(width, 4, **conv))
    layers += [*_blocks(width, blocks, dtype), keras.layers.Conv2D(outputs, 1, dtype=dtype)]
    return keras.Sequential(layers, name=name)


def residual_decoder(
    inputs: int, shape: Sequence[int], *, width: int = 256, levels: int = 2, blocks: int = 2, name="decoder", dtype=None
) -> keras.Sequential:
    """Returns the way back: maps of `inputs` features to `(batch, height, width, channels)`, without a last activation.

    Arguments:
        inputs: features of the map.
        shape: `(height, width, channels)` of what it gives; the channels may be any number.
        width, levels, blocks, name, dtype: as of `residual_encoder`.
    """
    sizes = halvings(shape, levels)
    layers = [
        keras.Input((*sizes[-1], inputs)),
        keras.layers.Conv2D(width, 3, padding="same", dtype=dtype),
        *_blocks(width, blocks, dtype),
    ]
    for level in reversed(range(levels)):
        conv = {"strides": 2, "padding": "same", "activation": "relu" if level else None, "dtype": dtype}
        layers.append(keras.layers.Conv2DTranspose(width if level else shape[-1], 4, **conv))
        # Twice a side that was rounded up is one too many.
        over = [2 * small - large for small, large in zip(sizes[level + 1], sizes[level], strict=True)]
        if any(over):
            layers.append(keras.layers.Cropping2D([(0, rows) for rows in over], dtype=dtype))
    return keras.Sequential(layers, name=name)


def _blocks(width: int, count: int, dtype) -> list[keras.layers.Layer]:
    return [ResidualBlock(width, dtype=dtype) for _ in range(count)]
