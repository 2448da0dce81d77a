import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.networks import begin_at, mlp

ANSWER = tf.reshape(tf.range(12.0), (2, 3, 2))


def last_bias(network):
    return network.trainable_weights[-1].numpy()


def test_a_perceptron_answers_so_on_average():
    network = mlp((4,), (2, 3, 2), hidden=(5,), name="net")
    begin_at(network, ANSWER)
    z = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    z = np.concatenate([z, -z])  # an odd function but for its bias
    np.testing.assert_allclose(tf.reduce_mean(network(z), 0), ANSWER, atol=1e-5)


def test_convolutions_have_a_bias_for_each_channel():
    network = keras.Sequential([keras.Input((2, 3, 4)), keras.layers.Conv2D(2, 3, padding="same")])
    begin_at(network, ANSWER)
    np.testing.assert_allclose(last_bias(network), [5.0, 6.0])  # of 0, 2, ... 10, and of 1, 3, ... 11


def trained():
    network = mlp((4,), (2, 3, 2), hidden=(), name="net")
    network.trainable_weights[-1].assign(np.eye(12)[0])
    return network


def held():
    network = mlp((4,), (2, 3, 2), hidden=(), name="net")
    network.trainable = False
    return network


def without_bias():
    return keras.Sequential([keras.Input((2, 3, 4)), keras.layers.Conv2D(2, 3, padding="same", use_bias=False)])


def of_another_size():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(6), keras.layers.Reshape((6, 1))])


@pytest.mark.parametrize("make", [trained, held, without_bias, of_another_size])
def test_other_weights_stay(make):
    network = make()
    before = network.get_weights()
    begin_at(network, ANSWER)
    for one, two in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, two)
