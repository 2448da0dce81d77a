import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.networks import dcgan_discriminator, feature_maps, mlp, pooled_features, with_hidden


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


@pytest.mark.parametrize(
    "network", [dcgan_discriminator((8, 8, 1), width=4), mlp((8, 8, 1), (3,), hidden=(5, 4), name="d")]
)
def test_hidden_features_are_what_the_last_layer_makes_the_output_of(network):
    x = tf.random.stateless_normal((5, 8, 8, 1), (0, 1))
    hidden, output = with_hidden(network)(x)
    np.testing.assert_allclose(output, network(x), atol=1e-6)
    last = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)][-1]
    np.testing.assert_allclose(last(hidden), output, atol=1e-6)
    # The same weights, not copies.
    last.bias.assign_add(tf.ones_like(last.bias))
    np.testing.assert_allclose(with_hidden(network)(x)[1], network(x), atol=1e-6)


def test_hidden_features_may_be_asked_for_before_a_kind_of_layer():
    network = mlp((6,), (3,), hidden=(5,), last=[keras.layers.LayerNormalization()], name="d")
    x = tf.random.stateless_normal((4, 6), (0, 1))
    before, _ = with_hidden(network, before=keras.layers.LayerNormalization)(x)
    np.testing.assert_allclose(before, network.layers[1](x), atol=1e-6)
    np.testing.assert_allclose(
        with_hidden(network, before=keras.layers.GRU)(x)[0], network.layers[2](before), atol=1e-6
    )


def test_a_network_without_a_dense_end_has_no_hidden_features():
    for network in (keras.layers.Dense(1), keras.Sequential([keras.Input((3,)), keras.layers.ReLU()], name="d")):
        with pytest.raises(InputError, match="features: .* shows none; take a Sequential or functional network"):
            with_hidden(network)
