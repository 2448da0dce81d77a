"""LSTMs that walk over a picture line by line, each cell fed by its neighbours in the line before."""

from collections.abc import Sequence

import tensorflow as tf

from tfgen.layers.products import times


def lstm(gates, memory, groups: int = 1) -> tuple[tf.Tensor, tf.Tensor]:
    r"""Returns the next hidden state and memory of cells (van den Oord et al. 2016, eq. 3).

    .. math:: [o, f, i] = \sigma(\cdot), \quad g = \tanh(\cdot), \quad c' = f c + i g, \quad h = o \tanh(c')

    Arguments:
        gates: before their non-linearities, `(..., 4 * units)`; each of the `groups` has its own o, f, i and g.
        memory: c, `(..., units)`.
        groups: number of colours.
    """
    o, f, i, g = tf.split(_split_last(gates, groups), 4, -1)
    memory = tf.sigmoid(f) * _split_last(memory, groups) + tf.sigmoid(i) * tf.tanh(g)
    hidden = tf.sigmoid(o) * tf.tanh(memory)
    return _merge_last(hidden, groups), _merge_last(memory, groups)


def _split_last(x, groups: int) -> tf.Tensor:
    if groups == 1:
        return x
    return tf.reshape(x, tf.concat([tf.shape(x)[:-1], [groups, x.shape[-1] // groups]], 0))


def _merge_last(x, groups: int) -> tf.Tensor:
    if groups == 1:
        return x
    return tf.reshape(x, tf.concat([tf.shape(x)[:-2], [groups * x.shape[-1]]], 0))


def neighbours(hidden, offsets: Sequence[int]) -> tf.Tensor:
    """Returns the states of each cell's neighbours side by side, zero beyond the ends of the line.

    Arguments:
        hidden: `(cells, batch, units)`.
        offsets: of the neighbours; -1 is the cell before.

    Returns:
        `(cells, batch, len(offsets) * units)`.
    """
    cells, before, behind = hidden.shape[0], max(0, -min(offsets)), max(0, *offsets)
    padded = tf.pad(hidden, [[before, behind], [0, 0], [0, 0]])
    return tf.concat([padded[before + offset : before + offset + cells] for offset in offsets], -1)


def lstm_lines(gates, kernel, offsets: Sequence[int], groups: int = 1) -> tf.Tensor:
    """Returns the hidden states of all lines, the first one fed by zeros.

    Arguments:
        gates: what the inputs contribute to the gates, `(lines, cells, batch, 4 * units)`, laid out as in `lstm`.
        kernel: what the neighbours in the line before contribute, `(len(offsets) * units, 4 * units)`.
        offsets: of the neighbours, see `neighbours`; the memory comes from the cell itself.
        groups: number of colours.

    Returns:
        `(lines, cells, batch, units)`.
    """

    def next_line(state, gates):
        hidden, memory = state
        return lstm(gates + times(neighbours(hidden, offsets), kernel), memory, groups)

    zeros = tf.zeros_like(gates[0, ..., : kernel.shape[1] // 4])
    hidden, _ = tf.scan(next_line, gates, (zeros, zeros))
    return hidden
