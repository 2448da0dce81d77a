import keras
import pytest
import tensorflow as tf

from tfgen.networks import default_discriminator, default_generator
from tfgen.specs import Images, Points

PICTURES = Images((8, 8, 1), 17)


def kinds(network):
    return [type(layer).__name__ for layer in network.layers]


@pytest.mark.parametrize("example", [PICTURES, Points(3)], ids=str)
@pytest.mark.parametrize("hidden", [None, (5, 4)])
def test_networks_go_from_codes_to_examples_to_scores(example, hidden):
    generator = default_generator(example, 6, width=4, hidden=hidden)
    discriminator = default_discriminator(example, 7, width=4, hidden=hidden, noise=0.1)
    examples = generator(tf.zeros((2, 6)))
    assert examples.shape == (2, *example.shape)
    assert discriminator(examples).shape == (2, 7)
    assert discriminator.layers[-1].output.dtype == "float32"
    widths = [layer.units for layer in generator.layers if isinstance(layer, keras.layers.Dense)]
    assert hidden is None or widths[:2] == [5, 4]


def test_pictures_of_a_perceptron_are_normalised_and_in_range_and_points_neither():
    pictures = default_generator(PICTURES, 6, hidden=(5, 4))
    assert kinds(pictures).count("BatchNormalization") == 2
    assert tf.reduce_max(tf.abs(pictures(1e4 * tf.ones((1, 6))))) <= 1.0
    points = default_generator(Points(3), 6, hidden=(5, 4))
    assert "BatchNormalization" not in kinds(points)
    assert points.layers[-2].activation is keras.activations.linear


def test_a_norm_stands_in_for_batch_normalisation_in_all_generators():
    for example, hidden in ((PICTURES, None), (PICTURES, (5, 4)), (Points(3), None)):
        network = default_generator(example, 6, width=4, hidden=hidden, norm=keras.layers.LayerNormalization)
        assert "BatchNormalization" not in kinds(network)
        assert "LayerNormalization" in kinds(network)
