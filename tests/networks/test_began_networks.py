import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.networks import began_decoder, began_encoder


def maps(network):
    """Returns the shapes of the maps from input to output, equal neighbours once."""
    shapes = [layer.output.shape[1:] for layer in network.layers if len(layer.output.shape) == 4]
    return [shape for shape, before in zip(shapes, [None, *shapes], strict=False) if shape != before]


def test_at_64_pixels_there_are_four_scales_whose_features_grow_in_the_encoder_alone():
    n = 8
    assert maps(began_encoder((64, 64, 3), 5, width=n)) == [
        (64, 64, n), (32, 32, 2 * n), (16, 16, 3 * n), (8, 8, 4 * n),
    ]  # fmt: skip
    assert maps(began_decoder(5, (64, 64, 3), width=n)) == [
        (8, 8, n), (16, 16, n), (32, 32, n), (64, 64, n), (64, 64, 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "scales"), [((64, 64, 3), 4), ((32, 32, 3), 3), ((28, 28, 1), 3), ((16, 8, 2), 1), ((8, 8, 1), 1)]
)
def test_two_convolutions_follow_each_other_at_each_scale(shape, scales):
    encoder, decoder = began_encoder(shape, 6, width=4), began_decoder(6, shape, width=4)
    convolutions = lambda network: [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    # One from the picture, and one between scales.
    assert [layer.strides[0] for layer in convolutions(encoder)] == [1, 1, 1] + [2, 1, 1] * (scales - 1)
    # And one to the picture.
    assert len(convolutions(decoder)) == 2 * scales + 1
    assert [layer.interpolation for layer in decoder.layers if hasattr(layer, "interpolation")] == ["nearest"] * (
        scales - 1
    )
    for layer in convolutions(encoder) + convolutions(decoder)[:-1]:
        assert (layer.kernel_size, layer.activation) == ((3, 3), keras.activations.elu)
    assert convolutions(decoder)[-1].activation is keras.activations.linear
    kinds = {type(layer).__name__ for layer in encoder.layers + decoder.layers}
    assert kinds <= {"InputLayer", "Conv2D", "Flatten", "Dense", "Reshape", "UpSampling2D"}


@pytest.mark.parametrize("shape", [(64, 64, 3), (28, 28, 1), (30, 30, 1), (16, 32, 2), (8, 8, 1), (5, 7, 1)])
def test_every_size_goes_from_picture_to_code_to_picture(shape):
    code = began_encoder(shape, 6, width=3)(tf.random.stateless_normal((2, *shape), (0, 1)))
    assert code.shape == (2, 6)
    restored = began_decoder(6, shape, width=3)(100.0 * code)
    assert restored.shape == (2, *shape)
    # The output is linear.
    assert np.abs(restored).max() > 1.0


@pytest.mark.parametrize("shape", [(50, 50, 1), (100, 100, 3), (8, 32, 1)])
def test_a_size_that_cannot_be_halved_is_refused(shape):
    with pytest.raises(InputError, match=f"{shape[0]}x{shape[1]} pixels cannot be halved"):
        began_encoder(shape, 6)
    with pytest.raises(InputError, match="pass image_size to the data source"):
        began_decoder(6, shape)


def test_precision_is_that_of_the_caller():
    common = {"width": 2, "dtype": "mixed_bfloat16"}
    for network in (began_encoder((8, 8, 1), 4, **common), began_decoder(4, (8, 8, 1), **common)):
        assert network(tf.zeros((2, *network.input_shape[1:]))).dtype == tf.bfloat16
