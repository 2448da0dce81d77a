"""GatedConv2D and its gate."""

import numpy as np
import tensorflow as tf

from tfgen.layers.gated_conv import gate


def test_the_gate_takes_two_halves_of_every_colour():
    x = np.random.default_rng(0).normal(size=(2, 12))
    # Colours of four numbers each: two to squash, two to gate them.
    expected = [np.tanh(x[:, [s, s + 1]]) / (1.0 + np.exp(-x[:, [s + 2, s + 3]])) for s in (0, 4, 8)]
    np.testing.assert_allclose(gate(tf.constant(x), groups=3), np.concatenate(expected, 1), atol=1e-12)
