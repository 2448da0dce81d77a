"""Products over the last axis against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers.products import times

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
MATRIX = RNG.normal(size=(5, 6)).astype(np.float32)


@pytest.mark.parametrize("known", [(2, 3, 4), (None, 3, 4), (2, 3, None), (2, None, None), (None, None, None)])
def test_it_is_the_product_whatever_sizes_are_known(known):
    function = tf.function(times).get_concrete_function(tf.TensorSpec((*known, 5)), tf.TensorSpec((5, 6)))
    np.testing.assert_allclose(function(tf.constant(X), tf.constant(MATRIX)), X @ MATRIX, rtol=1e-5, atol=1e-6)
    assert function.structured_outputs.shape.as_list() == [*known, 6]


def test_no_shape_is_worked_out_where_one_size_is_unknown():
    function = tf.function(times).get_concrete_function(tf.TensorSpec((8, None, 5)), tf.TensorSpec((5, 6)))
    kinds = [operation.type for operation in function.graph.get_operations()]
    assert {"Reshape", "MatMul"} <= {*kinds} <= {"Placeholder", "Const", "Reshape", "MatMul", "Identity", "Pack"}


def test_there_may_be_no_examples():
    assert times(tf.zeros((8, 0, 5)), tf.constant(MATRIX)).shape == (8, 0, 6)
