"""Proofs that layers which compute whole pictures and single cells share (see `CausalLayer`)."""

import numpy as np
import tensorflow as tf


def randomized(layer, channels: int, scale: float = 1.0):
    """Builds a layer for pictures of `channels`, with weights that are not small."""
    layer.build((None, None, None, channels))
    rng = np.random.default_rng(0)
    for weight in layer.weights:
        weight.assign(rng.normal(0.0, scale, weight.shape))
    return layer


def seen(layer, height: int, width: int, channels: int) -> np.ndarray:
    """Returns which outputs depend on which inputs, bool `(height, width, features, height, width, channels)`."""
    x = tf.constant(np.random.default_rng(1).normal(size=(1, height, width, channels)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = tf.function(layer, autograph=False)(x)
    return (tape.jacobian(y, x, experimental_use_pfor=False)[0, :, :, :, 0] != 0).numpy()


def cell_by_cell(layer, x, **condition) -> np.ndarray:
    """Computes a whole picture `(batch, height, width, channels)` by the layer's steps, colour by colour."""
    batch, height, width, _ = x.shape
    parts = np.split(x, layer.groups, -1)
    cache, image = layer.init_cache(batch, width, **condition), []
    for y in range(height):
        row, carry = layer.begin_row(cache)
        emitted, cells = [], []
        for column in range(width):
            state = layer.begin_pixel(column, row, carry)
            outputs = []
            for group, part in enumerate(parts):
                output, state = layer.step(group, part[:, y, column], state)
                outputs.append(output)
            cells.append(tf.concat(outputs, -1))
            carry, emits = layer.end_pixel(None, state)
            assert [part.shape[-1] for part in emits] == layer.emits
            emitted.append(emits)
        image.append(tf.stack(cells, 1))
        cache = layer.end_row(carry, [tf.stack(parts) for parts in zip(*emitted, strict=True)], cache)
    return tf.stack(image, 1).numpy()


def own_colours(inputs: int, outputs: int, groups: int) -> np.ndarray:
    """Returns which inputs of its own pixel an output sees under mask B, `(inputs, outputs)`, outputs by colour."""
    colour_in, colour_out = np.repeat(range(groups), inputs // groups), np.repeat(range(groups), outputs // groups)
    return colour_in[:, None] <= colour_out
