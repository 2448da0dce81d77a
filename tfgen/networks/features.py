"""What a convolutional network knows about a picture, as a vector for a linear classifier."""

import keras
import tensorflow as tf

from tfgen.errors import InputError


def feature_maps(network: keras.Model) -> list[keras.KerasTensor]:
    """Returns the maps of a network: of each size the last one, `(batch, height, width, channels)`.

    A convolution's map is thus the one that the next convolution sees, behind the normalisation and the activation.
    The list is empty for a network without maps, and for one that is not a graph of layers.
    """
    maps = {}
    for layer in network.layers if getattr(network, "inputs", None) else []:
        output = layer.output
        if not isinstance(layer, keras.layers.InputLayer) and len(output.shape) == 4:
            maps[output.shape[1:3]] = output
    return list(maps.values())


def with_hidden(network: keras.Model, before: type[keras.layers.Layer] | None = None) -> keras.Model:
    """Returns the same layers as a network that gives two tensors: the last hidden features, and the output.

    Arguments:
        network: a Sequential or functional network that ends in a layer with a kernel.
        before: kind of a layer that stands behind the features instead, if the network has one.

    Raises:
        InputError: the network has no such layer.
    """
    layers = network.layers if getattr(network, "inputs", None) else []
    heads = [layer for layer in layers if before is not None and isinstance(layer, before)]
    heads = heads[:1] or [layer for layer in layers if hasattr(layer, "kernel")][-1:]
    if not heads:
        raise InputError(
            f"features: {getattr(network, 'name', network)!r} shows none; take a Sequential or functional network "
            "that ends in a dense layer"
        )
    return keras.Model(network.inputs, [heads[0].input, network.outputs[0]])


def pooled_features(network: keras.Model, x, *, side: int = 4) -> tf.Tensor:
    """Returns all maps of a network, each max-pooled to a grid, in one vector (Radford et al. 2016, section 5.1).

    Arguments:
        network: a Sequential or functional network with convolutions.
        x: its input, `(batch, height, width, channels)`.
        side: of the grid. Where it does not divide a map, windows overlap by a row or a column.

    Returns:
        float32 `(batch, side * side * channels of all maps)`, from the first map to the last.

    Raises:
        InputError: the network has no maps.
    """
    maps = feature_maps(network)
    if not maps:
        raise InputError(
            f"features: no maps in {network.name!r}; take a Sequential or functional convolutional network"
        )
    outputs = keras.tree.flatten(keras.Model(network.inputs, maps)([x], training=False))
    return tf.concat([_pool(tf.cast(output, tf.float32), side) for output in outputs], -1)


def _pool(x, side: int) -> tf.Tensor:
    """Returns the maxima of `side` x `side` windows that cover a map, `(batch, side * side * channels)`."""
    rows = [tf.reduce_max(x[:, start:stop], 1) for start, stop in _windows(x.shape[1], side)]
    cells = [tf.reduce_max(row[:, start:stop], 1) for row in rows for start, stop in _windows(x.shape[2], side)]
    return tf.concat(cells, -1)


def _windows(size: int, count: int) -> list[tuple[int, int]]:
    """Returns start and stop of `count` windows of equal size that cover 0..size."""
    return [(index * size // count, -(-(index + 1) * size // count)) for index in range(count)]
