import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.networks import dcgan_discriminator, dcgan_generator


def trainable(network):
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


def kinds(network):
    return [type(layer).__name__ for layer in network.layers]


@pytest.mark.parametrize(
    ("shape", "generator", "discriminator"),
    [((32, 32, 3), 1_076_611, 663_361), ((28, 28, 1), 771_969, 138_689)],
)
def test_parameters_are_those_of_the_published_tables(shape, generator, discriminator):
    assert trainable(dcgan_generator(100, shape, width=64)) == generator
    assert trainable(dcgan_discriminator(shape, width=64)) == discriminator


def test_at_64_pixels_and_width_128_the_generator_starts_from_1024_maps_of_4x4():
    network = dcgan_generator(100, (64, 64, 3), width=128)
    maps = [layer.output.shape[1:] for layer in network.layers if len(layer.output.shape) == 4]
    sizes = list(dict.fromkeys(maps))
    assert sizes == [(4, 4, 1024), (8, 8, 512), (16, 16, 256), (32, 32, 128), (64, 64, 3)]


@pytest.mark.parametrize("shape", [(8, 8, 1), (16, 16, 2), (28, 28, 1), (32, 32, 3), (64, 64, 3), (16, 8, 1)])
def test_every_size_goes_from_code_to_picture_to_logit(shape):
    pictures = dcgan_generator(6, shape, width=4)(100.0 * tf.random.stateless_normal((3, 6), (0, 1)))
    assert pictures.shape == (3, *shape)
    assert tf.reduce_max(tf.abs(pictures)) <= 1.0
    assert dcgan_discriminator(shape, width=4)(pictures).shape == (3, 1)
    assert dcgan_discriminator(shape, width=4, outputs=5)(pictures).shape == (3, 5)


@pytest.mark.parametrize("shape", [(30, 30, 1), (6, 6, 1), (8, 32, 1), (7, 7, 3)])
def test_a_size_that_cannot_be_halved_is_refused(shape):
    with pytest.raises(InputError, match=f"{shape[0]}x{shape[1]} pixels cannot be halved"):
        dcgan_generator(6, shape)
    with pytest.raises(InputError, match="pass image_size to the data source"):
        dcgan_discriminator(shape)


def test_the_generator_has_batch_normalisation_and_relu_everywhere_but_in_its_output():
    assert kinds(dcgan_generator(8, (32, 32, 3), width=4)) == [
        "Dense", "BatchNormalization", "ReLU", "Reshape",
        "Conv2DTranspose", "BatchNormalization", "ReLU",
        "Conv2DTranspose", "BatchNormalization", "ReLU",
        "Conv2DTranspose", "Activation",
    ]  # fmt: skip


def test_the_discriminator_has_batch_normalisation_everywhere_but_in_its_first_layer():
    assert kinds(dcgan_discriminator((32, 32, 3), width=4)) == [
        "Conv2D", "LeakyReLU",
        "Conv2D", "BatchNormalization", "LeakyReLU",
        "Conv2D", "BatchNormalization", "LeakyReLU",
        "Flatten", "Dense",
    ]  # fmt: skip
    assert "BatchNormalization" not in kinds(dcgan_discriminator((32, 32, 3), width=4, normalize=False))


@pytest.mark.parametrize("network", [dcgan_generator(8, (32, 32, 3)), dcgan_discriminator((32, 32, 3))])
def test_only_layers_without_batch_normalisation_have_a_bias(network):
    followers = [*network.layers[1:], None]
    for layer, follower in zip(network.layers, followers, strict=True):
        if hasattr(layer, "use_bias"):
            assert layer.use_bias == (not isinstance(follower, keras.layers.BatchNormalization))
        if hasattr(layer, "kernel_size"):
            # Divisible by the stride: each pixel is painted equally often, so no checkerboard.
            assert (layer.kernel_size, layer.strides) == ((4, 4), (2, 2))


@pytest.mark.parametrize("network", [dcgan_generator(100, (64, 64, 3)), dcgan_discriminator((64, 64, 3))])
def test_weights_start_from_normals_with_the_papers_deviation(network):
    for layer in network.layers:
        if hasattr(layer, "kernel"):
            kernel = keras.ops.convert_to_numpy(layer.kernel)
            assert kernel.std() == pytest.approx(0.02, rel=0.1)
            assert abs(kernel.mean()) < 5 * 0.02 / np.sqrt(kernel.size)
        if isinstance(layer, keras.layers.BatchNormalization):
            assert np.std(layer.gamma) == pytest.approx(0.02, rel=0.3)
            assert np.mean(layer.gamma) == pytest.approx(1.0, abs=0.02)
            assert layer.momentum == 0.9
        if isinstance(layer, keras.layers.LeakyReLU):
            assert layer.negative_slope == pytest.approx(0.2)


def test_precision_is_that_of_the_caller():
    for network in (
        dcgan_generator(8, (16, 16, 1), width=4, dtype="mixed_bfloat16"),
        dcgan_discriminator((16, 16, 1), width=4, dtype="mixed_bfloat16"),
    ):
        assert network(tf.zeros((2, *network.input_shape[1:]))).dtype == tf.bfloat16
        assert {weight.dtype for weight in network.weights} == {"float32"}


def test_noise_is_on_pictures_and_behind_convolutions():
    network = dcgan_discriminator((16, 16, 1), width=4, noise=0.1, hidden_noise=0.2)
    assert kinds(network) == [
        "GaussianNoise", "Conv2D", "LeakyReLU", "GaussianNoise",
        "Conv2D", "BatchNormalization", "LeakyReLU", "GaussianNoise", "Flatten", "Dense",
    ]  # fmt: skip
    assert [layer.stddev for layer in network.layers if hasattr(layer, "stddev")] == [0.1, 0.2, 0.2]


def test_another_norm_and_further_layers_take_their_place():
    generator = dcgan_generator(3, (16, 16, 1), width=4, norm=keras.layers.LayerNormalization)
    assert kinds(generator).count("LayerNormalization") == 2
    assert "BatchNormalization" not in kinds(generator)
    discriminator = dcgan_discriminator((16, 16, 1), width=4, last=[keras.layers.Dropout(0.5)])
    assert kinds(discriminator)[-3:] == ["Flatten", "Dropout", "Dense"]


def test_without_normalisation_every_layer_of_the_generator_has_a_bias():
    network = dcgan_generator(8, (32, 32, 3), width=4, normalize=False, output_activation=None)
    assert kinds(network) == [
        "Dense", "ReLU", "Reshape", "Conv2DTranspose", "ReLU", "Conv2DTranspose", "ReLU", "Conv2DTranspose",
    ]  # fmt: skip
    assert all(layer.use_bias for layer in network.layers if hasattr(layer, "use_bias"))
    # Any numbers: there is no last activation.
    network.layers[-1].bias.assign(np.full(3, 7.0))
    assert tf.reduce_min(network(tf.zeros((1, 8)))) > 6.0
