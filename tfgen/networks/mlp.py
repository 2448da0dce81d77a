"""Multilayer perceptrons."""

import math
from collections.abc import Sequence

import keras


def mlp(
    input_shape: Sequence[int],
    output_shape: Sequence[int],
    *,
    hidden: Sequence[int],
    activation: str = "tanh",
    name: str,
    dtype: str | keras.DTypePolicy | None = None,
) -> keras.Sequential:
    """Returns Dense layers from any shape to any shape, without an activation on the last.

    Arguments:
        input_shape: without the batch axis.
        output_shape: without the batch axis.
        hidden: widths of the hidden layers.
        activation: of the hidden layers.
        name: of the network.
        dtype: its precision; Keras' current one unless given.
    """
    return keras.Sequential(
        [
            keras.Input(tuple(input_shape)),
            keras.layers.Flatten(dtype=dtype),
            *(keras.layers.Dense(width, activation, dtype=dtype) for width in hidden),
            keras.layers.Dense(math.prod(output_shape), dtype=dtype),
            keras.layers.Reshape(tuple(output_shape), dtype=dtype),
        ],
        name=name,
    )
