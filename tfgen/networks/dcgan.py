"""The generator and discriminator of DCGAN (Radford, Metz & Chintala 2016), for sides of 8 pixels and more."""

import functools
from collections.abc import Callable, Sequence

import keras

from tfgen.errors import InputError
from tfgen.networks.mlp import gaussian_noise


def stages_of(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Returns how often a picture is halved, and the height and width that are left.

    The paper's 64 pixels are halved four times, to 4x4; 28 pixels twice, to 7x7.

    Raises:
        InputError: the sides cannot be halved at least once to 4 pixels or more.
    """
    height, width, _ = shape
    stages = 0
    while min(height, width) >= 8 and height % 2 == 0 and width % 2 == 0:
        height, width, stages = height // 2, width // 2, stages + 1
    if stages == 0 or max(height, width) > 8:
        raise InputError(
            f"DCGAN: {shape[0]}x{shape[1]} pixels cannot be halved down to 4..8; "
            "pass image_size to the data source (8, 16, 28, 32, 64, ...), or networks of your own"
        )
    return stages, height, width


def dcgan_generator(
    latent_size: int,
    shape: tuple[int, int, int],
    *,
    width: int = 64,
    norm: Callable[[], keras.layers.Layer] | None = None,
    normalize: bool = True,
    output_activation: str | None = "tanh",
    dtype: str | keras.DTypePolicy | None = None,
) -> keras.Sequential:
    """Returns the generator: float32 codes `(batch, latent_size)` to pictures in [-1, 1].

    Arguments:
        latent_size: of the code.
        shape: `(height, width, channels)` of the pictures.
        width: features before the last layer; they double at each halving of the side.
        norm: makes a layer that stands in for batch normalisation.
        normalize: whether there is any normalisation; without it layers have a bias.
        output_activation: of the last layer, None for one that gives any numbers.
        dtype: its precision; Keras' current one unless given.
    """
    stages, height, base = stages_of(shape)
    widths = [width * 2**index for index in reversed(range(stages))]
    norm = norm or functools.partial(batch_norm, dtype)
    first = height * base * widths[0]

    def hidden(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
        return [layer, *([norm()] if normalize else []), keras.layers.ReLU(dtype=dtype)]

    layers = [
        keras.Input((latent_size,)),
        *hidden(keras.layers.Dense(first, use_bias=not normalize, kernel_initializer=_normal(), dtype=dtype)),
        keras.layers.Reshape((height, base, widths[0]), dtype=dtype),
    ]
    for features in widths[1:]:
        layers += hidden(_conv_transpose(features, bias=not normalize, dtype=dtype))
    layers += [_conv_transpose(shape[2], bias=True, dtype=dtype)]
    layers += [keras.layers.Activation(output_activation, dtype=dtype)] if output_activation else []
    return keras.Sequential(layers, name="generator")


def dcgan_discriminator(
    shape: tuple[int, int, int],
    *,
    width: int = 64,
    outputs: int = 1,
    normalize: bool = True,
    noise: float = 0.0,
    hidden_noise: float = 0.0,
    last: Sequence[keras.layers.Layer] = (),
    dtype: str | keras.DTypePolicy | None = None,
) -> keras.Sequential:
    """Returns the discriminator: pictures in [-1, 1] to logits `(batch, outputs)`.

    Arguments:
        shape: `(height, width, channels)` of the pictures.
        width: features of the first layer; they double at each halving of the side.
        outputs: number of logits.
        normalize: whether layers behind the first have batch normalisation.
        noise: standard deviation of the Gaussian noise that is added to pictures in training.
        hidden_noise: of the noise behind the convolutions.
        last: layers before the last Dense one.
        dtype: its precision; Keras' current one unless given.
    """
    stages, _, _ = stages_of(shape)
    layers = [keras.Input(shape), *gaussian_noise(noise, dtype)]
    for index in range(stages):
        normalized = normalize and index > 0
        layers.append(_conv(width * 2**index, bias=not normalized, dtype=dtype))
        layers += [batch_norm(dtype)] if normalized else []
        layers += [keras.layers.LeakyReLU(0.2, dtype=dtype), *gaussian_noise(hidden_noise, dtype)]
    layers += [keras.layers.Flatten(dtype=dtype), *last]
    layers.append(keras.layers.Dense(outputs, kernel_initializer=_normal(), dtype=dtype))
    return keras.Sequential(layers, name="discriminator")


def _conv(features: int, *, bias: bool, dtype) -> keras.layers.Layer:
    return keras.layers.Conv2D(features, 4, 2, "same", use_bias=bias, kernel_initializer=_normal(), dtype=dtype)


def _conv_transpose(features: int, *, bias: bool, dtype) -> keras.layers.Layer:
    return keras.layers.Conv2DTranspose(
        features, 4, 2, "same", use_bias=bias, kernel_initializer=_normal(), dtype=dtype
    )


def batch_norm(dtype=None) -> keras.layers.Layer:
    """Returns batch normalisation as DCGAN has it."""
    # With Keras' momentum of 0.99 the moving statistics lag for several hundred steps.
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=_normal(mean=1.0), dtype=dtype)


def _normal(mean: float = 0.0) -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(mean, 0.02)
