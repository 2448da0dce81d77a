import numpy as np
import tensorflow as tf

from tfgen.layers.shifts import shift_down, shift_right


def test_what_is_shifted_in_is_zero():
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 3, 4, 5)))
    down, right = shift_down(x).numpy(), shift_right(x).numpy()
    assert not down[:, 0].any()
    assert not right[:, :, 0].any()
    np.testing.assert_array_equal(down[:, 1:], x[:, :-1])
    np.testing.assert_array_equal(right[:, :, 1:], x[:, :, :-1])
