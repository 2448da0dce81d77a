import numpy as np
import pytest

from tfgen.networks import conv_decoder, conv_encoder
from tfgen.networks.convolutional import halvings


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (64, 64, 3), (7, 13, 2), (3, 4, 1)])
def test_pictures_of_any_size_come_back_at_that_size(shape):
    assert conv_encoder(shape, 5, width=8).output_shape == (None, 5)
    decoder = conv_decoder(5, shape, width=8)
    assert decoder.output_shape == (None, *shape)
    codes = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    pictures = decoder(codes).numpy()
    assert np.abs(pictures[0] - pictures[1]).min() > 0.0  # no pixel is left out


def test_sides_are_halved_until_they_are_4():
    assert halvings((28, 28, 1)) == [(28, 28), (14, 14), (7, 7), (4, 4)]
    assert halvings((7, 13, 2)) == [(7, 13), (4, 7), (2, 4)]
    assert halvings((64, 64, 3), levels=2) == [(64, 64), (32, 32), (16, 16)]
    assert halvings((3, 4, 1)) == [(3, 4)]


def test_features_double_twice():
    filters = [layer.filters for layer in conv_encoder((64, 64, 3), 5, width=8).layers if hasattr(layer, "filters")]
    assert filters == [8, 16, 32, 32]
    back = [layer.filters for layer in conv_decoder(5, (64, 64, 3), width=8).layers if hasattr(layer, "filters")]
    assert back == [32, 16, 8, 3]
