"""RowLSTM: the paper's formula, what it sees, as a whole and cell by cell."""

import numpy as np
import pytest
import tensorflow as tf

from tests.layers.causal_layer_proofs import cell_by_cell, own_colours, randomized, seen
from tfgen.errors import InputError
from tfgen.layers import RowLSTM
from tfgen.layers.lstm import lstm


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def row_lstm(groups=1, **arguments):
    arguments = {"units": 2 * groups, "groups": groups} | arguments
    return randomized(RowLSTM(dtype="float64", **arguments), 2 * groups, 0.5)


def test_three_gates_are_sigmoids_and_the_candidate_is_a_tangent():
    gates, memory = np.array([[0.3, -0.7, 1.1, -2.0]]), np.array([[0.4]])
    hidden, new = lstm(tf.constant(gates), tf.constant(memory))
    expected = sigmoid(-0.7) * 0.4 + sigmoid(1.1) * np.tanh(-2.0)
    np.testing.assert_allclose(new, [[expected]], rtol=1e-14)
    np.testing.assert_allclose(hidden, [[sigmoid(0.3) * np.tanh(expected)]], rtol=1e-14)


def test_every_colour_has_its_own_four_gates():
    rng = np.random.default_rng(0)
    gates, memory = tf.constant(rng.normal(size=(5, 24))), tf.constant(rng.normal(size=(5, 6)))
    together = lstm(gates, memory, groups=3)
    one_by_one = [lstm(gates[:, 8 * i : 8 * i + 8], memory[:, 2 * i : 2 * i + 2]) for i in range(3)]
    for whole, parts in zip(together, zip(*one_by_one, strict=True), strict=True):
        np.testing.assert_allclose(whole, tf.concat(parts, -1), rtol=1e-12)


@pytest.mark.parametrize("groups", [1, 3])
def test_it_is_the_papers_recurrence_written_out_in_loops(groups):
    height, width, units, channels = 4, 5, 2 * groups, 2 * groups
    layer = row_lstm(groups)
    x = np.random.default_rng(1).normal(size=(height, width, channels))
    (left, own, _), bias = layer.input_to_state.kernel.numpy()[0], layer.input_to_state.bias.numpy()
    own = own * own_colours(channels, 4 * units, groups)
    above = layer.state_to_state.numpy().reshape(3, units, 4 * units)
    hidden, memory = np.zeros((height + 1, width + 2, units)), np.zeros((height + 1, width, units))
    for y in range(height):
        for column in range(width):
            gates = bias + x[y, column] @ own
            if column:
                gates = gates + x[y, column - 1] @ left
            for tap in range(3):
                gates = gates + hidden[y, column + tap] @ above[tap]
            o, f, i, g = np.moveaxis(gates.reshape(groups, 4, units // groups), 1, 0).reshape(4, units)
            c = sigmoid(f) * memory[y, column] + sigmoid(i) * np.tanh(g)
            memory[y + 1, column] = c
            hidden[y + 1, column + 1] = sigmoid(o) * np.tanh(c)
    np.testing.assert_allclose(layer(tf.constant(x[None]))[0], hidden[1:, 1:-1], atol=1e-13)


@pytest.mark.parametrize("groups", [1, 3])
def test_it_sees_its_row_to_the_left_and_a_triangle_above(groups):
    height, width, units, channels = 3, 6, 2 * groups, 2 * groups
    found = seen(row_lstm(groups), height, width, channels)
    own = own_colours(channels, units, groups)
    for y, x, f, v, u, c in np.ndindex(found.shape):
        # Each row up opens the triangle by one, and on the left the input's kernel reaches one further.
        triangle = v < y and x - (y - v) - 1 <= u <= x + (y - v)
        at_left = v == y and u == x - 1
        itself = (v, u) == (y, x) and own[c, f]
        assert found[y, x, f, v, u, c] == (triangle or at_left or itself)


@pytest.mark.parametrize(("groups", "kernel_size"), [(1, 3), (3, 3), (1, 5), (3, 1)])
@pytest.mark.parametrize("map_features", [0, 2])
def test_cell_by_cell_it_computes_the_whole(groups, kernel_size, map_features):
    layer = row_lstm(groups, kernel_size=kernel_size, map_features=map_features)
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3, 4, 5, 2 * groups))
    condition = {"map": tf.constant(rng.normal(size=(3, 4, 5, 2)))} if map_features else {}
    np.testing.assert_allclose(cell_by_cell(layer, x, **condition), layer(tf.constant(x), **condition), atol=1e-13)


def test_a_map_reaches_its_own_pixel_and_what_comes_after_it():
    layer = row_lstm(map_features=2)
    x, map = np.zeros((1, 3, 4, 2)), np.zeros((1, 3, 4, 2))
    map[0, 1, 2] = 1.0
    moved = layer(tf.constant(x), tf.constant(map)) != layer(tf.constant(x), tf.zeros_like(map))
    expected = np.zeros((3, 4), bool)
    expected[1, 2], expected[2, 1:] = True, True
    np.testing.assert_array_equal(moved.numpy()[0].any(-1), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"units": 4, "groups": 3}, "do not split into 3 colours"), ({"units": 4, "kernel_size": 2}, "odd number")],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        RowLSTM(**arguments)
