"""DiagonalBiLSTM: skewing, the paper's formula, what it sees, as a whole and cell by cell."""

import numpy as np
import pytest
import tensorflow as tf

from tests.layers.causal_layer_proofs import cell_by_cell, own_colours, randomized, seen
from tfgen.errors import InputError
from tfgen.layers import DiagonalBiLSTM
from tfgen.layers.diagonal_lstm import skew, unskew

SIZES = [(3, 5), (5, 3), (4, 4), (1, 3), (3, 1)]


def diagonal_lstm(groups=1):
    return randomized(DiagonalBiLSTM(2 * groups, groups=groups, dtype="float64"), 2 * groups, 0.5)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_skewing_puts_each_pixel_in_the_column_of_its_diagonal(height, width):
    x = np.random.default_rng(0).normal(size=(height, width, 2, 3))
    expected = np.zeros((height, width + height - 1, 2, 3))
    for row, column in np.ndindex(height, width):
        expected[row, column + row] = x[row, column]
    np.testing.assert_array_equal(skew(tf.constant(x)), expected)
    np.testing.assert_array_equal(unskew(tf.constant(expected)), x)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_it_is_the_papers_recurrence_written_out_pixel_by_pixel(height, width, groups):
    units = channels = 2 * groups
    layer = diagonal_lstm(groups)
    x = np.random.default_rng(1).normal(size=(height, width, channels))

    def walk(inputs, kernel_in, bias, kernel):
        hidden, memory = np.zeros((height + 1, width + 1, units)), np.zeros((height + 1, width + 1, units))
        for y, column in np.ndindex(height, width):
            beside, above = hidden[y + 1, column], hidden[y, column + 1]
            gates = inputs[y, column] @ kernel_in + np.concatenate([beside, above]) @ kernel + bias
            o, f, i, g = np.moveaxis(gates.reshape(groups, 4, units // groups), 1, 0).reshape(4, units)
            o, f, i = (1.0 / (1.0 + np.exp(-gate)) for gate in (o, f, i))
            memory[y + 1, column + 1] = f * memory[y + 1, column] + i * np.tanh(g)
            hidden[y + 1, column + 1] = o * np.tanh(memory[y + 1, column + 1])
        return hidden[1:, 1:]

    masked = layer.left.kernel.numpy()[0, 0] * own_colours(channels, 4 * units, groups)
    kernels = layer.state_to_state.numpy()
    left = walk(x, masked, layer.left.bias.numpy(), kernels[0])
    right = walk(x[:, ::-1], layer.right.kernel.numpy(), layer.right.bias.numpy(), kernels[1])[:, ::-1]
    expected = left + np.concatenate([np.zeros((1, width, units)), right[:-1]])
    np.testing.assert_allclose(layer(tf.constant(x[None]))[0], expected, atol=1e-13)


@pytest.mark.parametrize("groups", [1, 3])
def test_it_sees_all_rows_above_and_its_row_to_the_left(groups):
    units = channels = 2 * groups
    found = seen(diagonal_lstm(groups), 3, 4, channels)
    own = own_colours(channels, units, groups)
    for y, x, f, v, u, c in np.ndindex(found.shape):
        itself = (v, u) == (y, x) and own[c, f]
        assert found[y, x, f, v, u, c] == (v < y or (v == y and u < x) or itself)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_cell_by_cell_it_computes_the_whole(height, width, groups):
    layer = diagonal_lstm(groups)
    x = np.random.default_rng(2).normal(size=(3, height, width, 2 * groups))
    np.testing.assert_allclose(cell_by_cell(layer, x), layer(tf.constant(x)), atol=1e-13)


def test_units_that_do_not_split_into_the_colours_are_named():
    with pytest.raises(InputError, match="do not split into 3 colours"):
        DiagonalBiLSTM(4, groups=3)
