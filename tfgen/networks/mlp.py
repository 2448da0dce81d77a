"""Multilayer perceptrons."""

import math
from collections.abc import Callable, Sequence

import keras


def mlp(
    input_shape: Sequence[int],
    output_shape: Sequence[int],
    *,
    hidden: Sequence[int],
    activation: str = "tanh",
    norm: Callable[[], keras.layers.Layer] | None = None,
    noise: float = 0.0,
    hidden_noise: float = 0.0,
    first: Sequence[keras.layers.Layer] = (),
    last: Sequence[keras.layers.Layer] = (),
    output_activation: str | None = None,
    name: str,
    dtype: str | keras.DTypePolicy | None = None,
) -> keras.Sequential:
    """Returns Dense layers from any shape to any shape.

    Arguments:
        input_shape: without the batch axis.
        output_shape: without the batch axis.
        hidden: widths of the hidden layers.
        activation: of the hidden layers.
        norm: makes a layer before each of these activations, in place of biases.
        noise: standard deviation of the Gaussian noise that is added to inputs in training.
        hidden_noise: of the noise behind the hidden layers.
        first: layers before all others.
        last: layers before the last Dense one.
        output_activation: of that.
        name: of the network.
        dtype: its precision; Keras' current one unless given.
    """
    layers = [keras.Input(tuple(input_shape)), *first, keras.layers.Flatten(dtype=dtype), *gaussian_noise(noise, dtype)]
    for width in hidden:
        if norm is None:
            layers.append(keras.layers.Dense(width, activation, dtype=dtype))
        else:
            dense = keras.layers.Dense(width, use_bias=False, dtype=dtype)
            layers += [dense, norm(), keras.layers.Activation(activation, dtype=dtype)]
        layers += gaussian_noise(hidden_noise, dtype)
    layers += [*last, keras.layers.Dense(math.prod(output_shape), output_activation, dtype=dtype)]
    return keras.Sequential([*layers, keras.layers.Reshape(tuple(output_shape), dtype=dtype)], name=name)


def conditional_mlp(
    input_shape: Sequence[int],
    output_shape: Sequence[int],
    classes: int,
    *,
    first: Sequence[keras.layers.Layer] = (),
    name: str,
    dtype=None,
    **kwargs,
) -> keras.Model:
    """Returns an `mlp` that takes `[x, c]`, of which c is one-hot, `(batch, classes)`; or x alone without classes.

    Arguments:
        input_shape: of x, without the batch axis.
        output_shape: without the batch axis.
        classes: their number, or 0.
        first: layers before all others, for x alone.
        name: of the network.
        dtype: its precision; Keras' current one unless given.
        kwargs: as of `mlp`.
    """
    if not classes:
        return mlp(input_shape, output_shape, first=first, name=name, dtype=dtype, **kwargs)
    x, c = keras.Input(tuple(input_shape)), keras.Input((classes,))
    seen = x
    for layer in (*first, keras.layers.Flatten(dtype=dtype)):
        seen = layer(seen)
    both = keras.layers.Concatenate(dtype=dtype)([seen, c])
    inner = mlp((math.prod(input_shape) + classes,), output_shape, name=f"{name}_of_both", dtype=dtype, **kwargs)
    return keras.Model([x, c], inner(both), name=name)


def gaussian_noise(deviation: float, dtype=None) -> list[keras.layers.Layer]:
    """Returns a layer that adds Gaussian noise in training, or nothing where its standard deviation is 0."""
    return [keras.layers.GaussianNoise(deviation, dtype=dtype)] if deviation else []
