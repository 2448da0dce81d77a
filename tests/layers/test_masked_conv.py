"""MaskedConv2D: what it sees, as a whole and cell by cell."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.layers import MaskedConv2D


def built(channels, *args, **kwargs):
    layer = MaskedConv2D(*args, dtype="float64", **kwargs)
    layer.build((None, None, None, channels))
    rng = np.random.default_rng(0)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def jacobian(layer, height, width, channels):
    """Returns which outputs depend on which inputs, bool `(height, width, filters, height, width, channels)`."""
    x = tf.constant(np.random.default_rng(1).normal(size=(1, height, width, channels)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    return (tape.jacobian(y, x)[0, :, :, :, 0] != 0).numpy()


@pytest.mark.parametrize("mask", ["A", "B"])
@pytest.mark.parametrize("groups", [1, 3])
def test_it_sees_exactly_the_masked_field(mask, groups):
    height, width, channels, filters, reach = 5, 6, 2 * groups, 3 * groups, 1
    seen = jacobian(built(channels, filters, 3, mask=mask, groups=groups), height, width, channels)
    for y, x, f, v, u, c in np.ndindex(seen.shape):
        above = y - reach <= v < y and abs(u - x) <= reach
        left = v == y and x - reach <= u < x
        colour_in, colour_out = c * groups // channels, f * groups // filters
        own = (v, u) == (y, x) and (colour_in < colour_out or (mask == "B" and colour_in == colour_out))
        assert seen[y, x, f, v, u, c] == (above or left or own)


@pytest.mark.parametrize("rows", [None, 0])
@pytest.mark.parametrize(("mask", "groups", "kernel_size"), [("A", 1, 5), ("B", 1, 3), ("A", 3, 3), ("B", 3, 1)])
def test_cell_by_cell_it_computes_the_whole(mask, groups, kernel_size, rows):
    height, width, channels = 4, 5, 2 * groups
    layer = built(channels, 4 * groups, kernel_size, mask=mask, groups=groups, rows=rows)
    x = np.random.default_rng(2).normal(size=(3, height, width, channels))
    parts = np.split(x, groups, -1)
    cells = np.zeros((3, height, width, 4 * groups))
    cache = layer.init_cache(3, width)
    for row_index in range(height):
        row, carry = layer.begin_row(cache)
        emitted = []
        for column in range(width):
            state = layer.begin_pixel(column, row, carry)
            inputs = [part[:, row_index, column] for part in parts]
            if mask == "A":
                inputs, last = [None, *inputs[:-1]], inputs[-1]
            else:
                last = None
            outputs = []
            for group, value in enumerate(inputs):
                output, state = layer.step(group, value, state)
                outputs.append(np.broadcast_to(output, (3, 4)))
            cells[:, row_index, column] = np.concatenate(outputs, -1)
            carry, out = layer.end_pixel(last, state)
            emitted.append(out)
        assert [part.shape[-1] for part in out] == layer.emits
        cache = layer.end_row(carry, [tf.stack(parts) for parts in zip(*emitted, strict=True)], cache)
    np.testing.assert_allclose(cells, layer(tf.constant(x)), atol=1e-12)


def test_it_is_the_convolution_of_keras_whose_unseen_weights_are_zero():
    layer = built(1, 2, 3, mask="A")
    reference = keras.layers.Conv2D(2, 3, padding="same", dtype="float64")
    reference.build((None, None, None, 1))
    kernel = np.zeros((3, 3, 1, 2))
    kernel[:2] = layer.kernel.numpy()
    kernel[1, 1:] = 0.0
    reference.set_weights([kernel, layer.bias.numpy()])
    x = tf.constant(np.random.default_rng(3).normal(size=(2, 5, 4, 1)))
    np.testing.assert_allclose(layer(x), reference(x), atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 4, "kernel_size": 3, "mask": "C"}, "expected 'A' or 'B'"),
        ({"filters": 4, "kernel_size": 4, "mask": "A"}, "odd number"),
        ({"filters": 4, "kernel_size": 3, "mask": "A", "groups": 3}, "do not split into 3 colours"),
        ({"filters": 4, "kernel_size": 1, "mask": "A"}, "sees nothing"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        MaskedConv2D(**arguments)
