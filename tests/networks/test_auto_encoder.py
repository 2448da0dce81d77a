import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.networks import AutoEncoder, dcgan_auto_encoder, mlp_auto_encoder


def noisy() -> AutoEncoder:
    """Returns an auto-encoder with dropout in both parts."""
    parts = [
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), keras.layers.Dropout(0.5, seed=1)], name=name)
        for name in ("first", "second")
    ]
    return AutoEncoder(*parts)


def normal(*shape):
    return tf.random.stateless_normal(shape, (0, 1))


def test_it_is_the_decoder_of_the_encoder():
    network = mlp_auto_encoder((4, 3), 2, hidden=(5,))
    x = normal(6, 4, 3)
    np.testing.assert_array_equal(network(x), network.decoder(network.encoder(x)))


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_both_parts_know_whether_they_are_trained(part):
    network, x = noisy(), normal(50, 4)
    other = network.decoder if part == "encoder" else network.encoder
    other.layers[-1].rate = 0.0
    dropped = np.abs(network(x, training=True) - network(x, training=False)).max()
    assert dropped > 0.1
    np.testing.assert_array_equal(network(x), network(x, training=False))


def test_it_trains_the_weights_of_both_parts():
    network = mlp_auto_encoder((4,), 2, hidden=(5,))
    assert [w.path for w in network.trainable_weights] == [
        w.path for part in (network.encoder, network.decoder) for w in part.trainable_weights
    ]


def test_it_comes_back_from_its_configuration_and_from_a_file(tmp_path):
    network, x = dcgan_auto_encoder((8, 8, 1), 3, width=2), normal(2, 8, 8, 1)
    network(x)
    again = AutoEncoder.from_config(network.get_config())
    again(x)
    again.set_weights(network.get_weights())
    np.testing.assert_array_equal(again(x), network(x))
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert isinstance(loaded, AutoEncoder) and loaded.name == network.name
    np.testing.assert_array_equal(loaded(x), network(x))


def test_a_perceptrons_decoder_mirrors_its_encoder():
    network = mlp_auto_encoder((4, 3), 2, hidden=(7, 5), activation="elu")
    units = lambda part: [layer.units for layer in part.layers if hasattr(layer, "units")]
    assert units(network.encoder) == [7, 5, 2]
    assert units(network.decoder) == [5, 7, 12]
    assert [layer.activation.__name__ for layer in network.encoder.layers if hasattr(layer, "units")] == [
        "elu", "elu", "linear",
    ]  # fmt: skip


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3)])
def test_dcgans_goes_from_picture_to_code_to_picture(shape):
    network = dcgan_auto_encoder(shape, 6, width=4)
    assert network.encoder(normal(2, *shape)).shape == (2, 6)
    restored = network(100.0 * normal(2, *shape))
    assert restored.shape == (2, *shape)
    assert np.abs(restored).max() <= 1.0
    with pytest.raises(InputError, match="30x30"):
        dcgan_auto_encoder((30, 30, 1), 6)


def test_precision_is_that_of_the_caller():
    assert mlp_auto_encoder((3,), 2, hidden=(4,), dtype="mixed_bfloat16")(normal(1, 3)).dtype == tf.bfloat16
    network = dcgan_auto_encoder((8, 8, 1), 2, width=2, dtype="mixed_bfloat16")
    assert network(normal(1, 8, 8, 1)).dtype == tf.bfloat16
