"""A mixture of networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.networks import Mixture, copies, default_generator, mlp
from tfgen.specs import Images


def constant(value: float) -> keras.Model:
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    network.set_weights([np.zeros((2, 3)), np.full(3, value)])
    return network


def test_components_come_in_their_shares():
    mixture = Mixture([constant(value) for value in (0.0, 1.0, 2.0)], [0.2, 0.0, 0.8])
    z = tf.random.stateless_normal((20_000, 3), (0, 1))
    x = mixture(z).numpy()
    assert np.all(x == x[:, :1])
    shares = [np.mean(x[:, 0] == value) for value in (0.0, 1.0, 2.0)]
    np.testing.assert_allclose(shares, [0.2, 0.0, 0.8], atol=4 * np.sqrt(0.16 / 20_000))


def test_a_code_gets_the_answer_of_its_component_in_its_place():
    networks = copies(mlp((2,), (3,), hidden=(4,), name="generator"), 4)
    mixture = Mixture(networks, [0.25] * 4)
    z = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    # The quartiles of the normal distribution.
    number = np.digitize(z[:, 2], [-0.67449, 0.0, 0.67449])
    expected = [networks[n](code[None, :2])[0] for n, code in zip(number, z, strict=True)]
    np.testing.assert_allclose(mixture(z), expected, atol=1e-6)


def test_components_without_an_example_and_new_shares_are_fine_in_a_graph():
    example = Images((8, 8, 1))
    mixture = Mixture(copies(default_generator(example, 3, width=4), 3), [0.0, 1.0, 0.0])
    run = tf.function(mixture, input_signature=[tf.TensorSpec((None, 4))])
    z = tf.random.stateless_normal((5, 4), (0, 1))
    for number in (1, 0, 2):
        mixture.set_shares(np.eye(3)[number])
        np.testing.assert_allclose(run(z), mixture.components[number](z[:, :-1]), atol=1e-6)
    assert run(z[:0]).shape == (0, 8, 8, 1)


def test_copies_have_weights_of_their_own():
    first, second = copies(default_generator(Images((8, 8, 1)), 3, width=4), 2)
    assert [w.shape for w in first.weights] == [w.shape for w in second.weights]
    assert not {w.path for w in first.weights} & {w.path for w in second.weights}
    assert not np.allclose(first.weights[0], second.weights[0])
    assert first.get_config()["layers"][1]["config"]["units"] == second.get_config()["layers"][1]["config"]["units"]


def test_a_mixture_is_saved_with_its_shares():
    mixture = Mixture([constant(1.0), constant(2.0)], [0.5, 0.5])
    mixture.set_shares([0.1, 0.9])
    again = Mixture.from_config(mixture.get_config())
    assert again.shares == pytest.approx([0.1, 0.9])
    again.set_weights(mixture.get_weights())
    z = tf.random.stateless_normal((50, 3), (0, 1))
    np.testing.assert_array_equal(again(z), mixture(z))
