import keras
import numpy as np
import pytest
import scipy.signal

from tfgen.networks import residual_decoder, residual_encoder
from tfgen.networks.residual import ResidualBlock


@pytest.mark.parametrize(
    ("shape", "levels", "map"),
    [((28, 28, 1), 2, (7, 7)), ((32, 32, 3), 3, (4, 4)), ((7, 13, 2), 2, (2, 4)), ((3, 4, 1), 1, (2, 2))],
)
def test_pictures_of_any_size_become_maps_and_come_back_at_that_size(shape, levels, map):
    assert residual_encoder(shape, 5, width=8, levels=levels).output_shape == (None, *map, 5)
    decoder = residual_decoder(5, shape, width=8, levels=levels)
    assert decoder.input_shape == (None, *map, 5)
    assert decoder.output_shape == (None, *shape)
    pictures = decoder(np.random.default_rng(0).normal(size=(2, *map, 5)).astype(np.float32)).numpy()
    assert np.abs(pictures[0] - pictures[1]).min() > 0.0  # no pixel is left out


def test_a_block_adds_what_its_convolutions_give():
    x = np.random.default_rng(0).normal(size=(1, 5, 6, 2))
    block = ResidualBlock(2, dtype="float64")
    block.build((None, 5, 6, 2))
    wide, bias, narrow = (np.random.default_rng(i).normal(size=w.shape) for i, w in enumerate(block.weights))
    block.set_weights([wide, bias, narrow])
    before = np.maximum(x[0], 0.0)
    # A network's convolution is a correlation.
    hidden = [
        sum(scipy.signal.correlate2d(before[..., i], wide[..., i, o], "same") for i in range(2)) + bias[o]
        for o in range(2)
    ]
    expected = x[0] + np.maximum(np.stack(hidden, -1), 0.0) @ narrow[0, 0]
    np.testing.assert_allclose(block(x)[0], expected, rtol=1e-10)


def test_a_network_of_blocks_is_saved(tmp_path):
    network, x = residual_encoder((4, 4, 1), 3, width=4), np.ones((1, 4, 4, 1), np.float32)
    network.save(tmp_path / "network.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "network.keras")(x), network(x))
