import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.networks import dcgan_discriminator, feature_maps, mlp, pooled_features


def identity_network(shape):
    return keras.Sequential([keras.Input(shape), keras.layers.Activation("linear")])


@pytest.mark.parametrize("shape", [(8, 8, 3), (14, 14, 2), (7, 7, 1), (4, 4, 1), (8, 14, 2), (2, 2, 1)])
def test_each_cell_is_the_maximum_of_its_window(shape):
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    height, width, channels = shape
    expected = np.empty((3, 4, 4, channels), np.float32)
    for row in range(4):
        for column in range(4):
            top, bottom = int(np.floor(row * height / 4)), int(np.ceil((row + 1) * height / 4))
            left, right = int(np.floor(column * width / 4)), int(np.ceil((column + 1) * width / 4))
            expected[:, row, column] = x[:, top:bottom, left:right].max((1, 2))
    np.testing.assert_array_equal(pooled_features(identity_network(shape), x), expected.reshape(3, -1))


def test_where_the_grid_divides_the_map_it_is_ordinary_max_pooling():
    x = tf.random.stateless_normal((2, 16, 8, 3), (0, 1))
    expected = keras.layers.MaxPool2D((4, 2))(x)
    np.testing.assert_array_equal(pooled_features(identity_network((16, 8, 3)), x), tf.reshape(expected, (2, -1)))


def test_maps_are_those_that_the_next_layer_sees():
    network = dcgan_discriminator((32, 32, 3), width=4)
    assert [tuple(m.shape[1:]) for m in feature_maps(network)] == [(16, 16, 4), (8, 8, 8), (4, 4, 16)]
    x = tf.random.stateless_normal((5, 32, 32, 3), (0, 1))
    features = pooled_features(network, x)
    assert features.shape == (5, 16 * (4 + 8 + 16))
    # The last map is 4x4 already: what is left of the network makes the logit of it.
    np.testing.assert_allclose(network.layers[-1](features[:, -16 * 16 :]), network(x), atol=1e-6)


def test_features_do_not_depend_on_the_rest_of_the_batch():
    network = dcgan_discriminator((16, 16, 1), width=4)
    x = tf.random.stateless_normal((6, 16, 16, 1), (0, 1))
    np.testing.assert_allclose(pooled_features(network, x)[:2], pooled_features(network, x[:2]), atol=1e-6)


def test_a_network_without_maps_has_no_features():
    network = mlp((8, 8, 1), (1,), hidden=(4,), name="critic")
    assert feature_maps(network) == []
    with pytest.raises(InputError, match="no maps in 'critic'"):
        pooled_features(network, tf.zeros((1, 8, 8, 1)))
