import keras
import numpy as np
import tensorflow as tf

from tfgen.networks import conditional_mlp, mlp


def test_it_goes_from_any_shape_to_any_shape():
    network = mlp((4, 3, 2), (5, 1), hidden=(7, 6), name="net")
    assert network(tf.zeros((2, 4, 3, 2))).shape == (2, 5, 1)
    assert network.count_params() == 24 * 7 + 7 + 7 * 6 + 6 + 6 * 5 + 5
    assert network.name == "net"


def test_it_computes_tanh_layers_and_a_linear_one():
    network = mlp((3,), (2,), hidden=(4,), name="net")
    w0, b0, w1, b1 = [np.random.default_rng(i).normal(size=w.shape) for i, w in enumerate(network.weights)]
    network.set_weights([w0, b0, w1, b1])
    x = np.random.default_rng(9).normal(size=(5, 3))
    np.testing.assert_allclose(network(x), np.tanh(x @ w0 + b0) @ w1 + b1, atol=1e-5)


def test_without_hidden_layers_it_is_one_linear_map():
    network = mlp((3,), (2,), hidden=(), name="net")
    kernel = np.arange(6.0).reshape(3, 2)
    network.set_weights([kernel, np.array([1.0, -1.0])])
    np.testing.assert_allclose(network(np.eye(3)), kernel + [1.0, -1.0])


def test_precision_is_that_of_the_caller():
    network = mlp((3,), (2,), hidden=(4,), name="net", dtype="mixed_bfloat16")
    assert network(tf.zeros((1, 3))).dtype == tf.bfloat16


def test_a_normalised_layer_has_its_activation_behind_the_norm_and_no_bias():
    network = mlp((3,), (2,), hidden=(4,), activation="relu", norm=keras.layers.BatchNormalization, name="net")
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["Flatten", "Dense", "BatchNormalization", "Activation", "Dense", "Reshape"]
    assert not network.layers[1].use_bias and network.layers[4].use_bias


def test_noise_is_on_inputs_and_behind_hidden_layers_in_training_alone():
    network = mlp((3,), (2,), hidden=(4, 4), noise=0.1, hidden_noise=0.2, name="net")
    assert [layer.stddev for layer in network.layers if hasattr(layer, "stddev")] == [0.1, 0.2, 0.2]
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["Flatten", "GaussianNoise", *(["Dense", "GaussianNoise"] * 2), "Dense", "Reshape"]
    x = np.ones((2, 3))
    assert not np.array_equal(network(x, training=True), network(x, training=True))
    np.testing.assert_array_equal(network(x), network(x))


def test_further_layers_stand_before_the_last_whose_activation_can_be_chosen():
    network = mlp((3,), (2,), hidden=(4,), last=[keras.layers.Dropout(0.5)], output_activation="tanh", name="net")
    assert isinstance(network.layers[2], keras.layers.Dropout)
    assert np.abs(network(1e3 * np.ones((1, 3)))).max() <= 1.0


def test_first_layers_see_inputs_alone():
    first = [keras.layers.Rescaling(0.5, 0.5)]
    plain = mlp((2, 1), (3,), hidden=(), first=first, name="net")
    told = conditional_mlp((2, 1), (3,), 4, hidden=(), first=first, name="net")
    x, c = np.array([[[-1.0], [3.0]]], np.float32), np.array([[9.0, 8.0, 7.0, 6.0]], np.float32)
    kernel = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    plain.set_weights([kernel[:2], np.zeros(3)])
    told.set_weights([kernel, np.zeros(3)])
    np.testing.assert_allclose(plain(x), [[0.0, 2.0]] @ kernel[:2], rtol=1e-5)
    np.testing.assert_allclose(told([x, c]), [[0.0, 2.0, 9.0, 8.0, 7.0, 6.0]] @ kernel, rtol=1e-5)
