import numpy as np
import pytest
import tensorflow as tf

from tests.layers.causal_layer_proofs import randomized, seen
from tfgen.errors import InputError
from tfgen.layers import NormalizedConv2D, NormalizedConv2DTranspose, OrderedConv2D


def pictures(*shape, seed=1):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def norms(layer):
    return np.sqrt((layer.weights_now().kernel.numpy() ** 2).sum((0, 1, 2)))


def correlated(x, kernel, bias, stride):
    """The convolution by its definition, for sides that the stride divides."""
    size, (batch, height, width, _) = kernel.shape[0], x.shape
    before = (size - stride) // 2
    padded = np.pad(x, [(0, 0), (before, size), (before, size), (0, 0)])
    y = np.empty((batch, height // stride, width // stride, kernel.shape[-1]))
    for row, column in np.ndindex(y.shape[1:3]):
        field = padded[:, stride * row : stride * row + size, stride * column : stride * column + size]
        y[:, row, column] = np.einsum("bijc,ijcf->bf", field, kernel) + bias
    return y


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_it_is_a_convolution_with_weights_of_length_g(size, stride):
    if size < stride:
        return
    layer = randomized(NormalizedConv2D(4, size, stride=stride, dtype="float64"), 3)
    np.testing.assert_allclose(norms(layer), np.abs(layer.g.numpy()))
    x = pictures(2, 4, 6, 3)
    np.testing.assert_allclose(layer(x), correlated(x, *map(np.asarray, layer.weights_now()), stride), atol=1e-12)


@pytest.mark.parametrize("size", [3, 5])
def test_the_transposed_layer_is_the_gradient_of_a_convolution_of_stride_two(size):
    layer = randomized(NormalizedConv2DTranspose(4, size, dtype="float64"), 3)
    x, cotangent = pictures(2, 3, 5, 3), pictures(2, 6, 10, 4, seed=2)
    kernel, bias = (np.asarray(weight) for weight in layer.weights_now())
    y = layer(x) - bias
    # <T x, c> = <x, C c> for the convolution C that it is the transpose of.
    answer = correlated(cotangent.numpy(), kernel.transpose(0, 1, 3, 2), 0.0, 2)
    np.testing.assert_allclose(np.sum(y * cotangent), np.sum(x * answer), rtol=1e-10)


DEGREES_IN, DEGREES_OUT = (1, 2, 3), (0, 1, 2, 0, 3)


@pytest.mark.parametrize("strict", [False, True])
def test_an_ordered_filter_sees_pixels_before_and_of_its_own_the_lower_degrees(strict):
    layer = randomized(OrderedConv2D(DEGREES_IN, DEGREES_OUT, 3, strict=strict, dtype="float64"), 3)
    found = seen(layer, 4, 5, 3)
    expected = np.zeros_like(found)
    for y, x, f in np.ndindex(found.shape[:3]):
        expected[y, x, f, max(0, y - 1) : y, max(0, x - 1) : x + 2] = True
        expected[y, x, f, y, max(0, x - 1) : x] = True
        for channel, degree in enumerate(DEGREES_IN):
            expected[y, x, f, y, x, channel] = degree < DEGREES_OUT[f] or (degree == DEGREES_OUT[f] and not strict)
    np.testing.assert_array_equal(found, expected)


def test_the_length_of_an_ordered_filter_is_that_of_the_weights_that_count():
    layer = randomized(OrderedConv2D(DEGREES_IN, DEGREES_OUT, 5, dtype="float64"), 3)
    np.testing.assert_allclose(norms(layer), np.abs(layer.g.numpy()))


LAYERS = {
    "conv": lambda **options: NormalizedConv2D(5, **options),
    "stride": lambda **options: NormalizedConv2D(5, 5, stride=2, **options),
    "transpose": lambda **options: NormalizedConv2DTranspose(5, **options),
    "ordered": lambda **options: OrderedConv2D(DEGREES_IN, DEGREES_OUT, strict=True, **options),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("init_scale", [1.0, 0.1])
def test_the_first_batch_gives_outputs_of_mean_zero_and_the_wanted_deviation(kind, init_scale):
    layer = randomized(LAYERS[kind](init_scale=init_scale, dtype="float64"), 3)
    x = 5.0 + 3.0 * pictures(8, 6, 6, 3)
    initialized = layer(x, initialize=True).numpy()
    np.testing.assert_allclose(initialized.mean((0, 1, 2)), 0.0, atol=1e-12)
    np.testing.assert_allclose(initialized.std((0, 1, 2)), init_scale, rtol=1e-6)
    np.testing.assert_allclose(layer(x), initialized, atol=1e-12)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_comes_back_from_its_configuration(kind):
    layer = randomized(LAYERS[kind](init_scale=0.3, dtype="float64"), 3)
    again = type(layer).from_config(layer.get_config())
    again.build((None, None, None, 3))
    again.set_weights(layer.get_weights())
    x = pictures(2, 4, 4, 3)
    np.testing.assert_array_equal(again(x), layer(x))
    assert again.init_scale == 0.3


def test_fields_without_a_middle_and_maps_without_a_degree_are_named():
    for kind in (NormalizedConv2D, NormalizedConv2DTranspose):
        with pytest.raises(InputError, match="odd"):
            kind(4, 2)
    with pytest.raises(InputError, match="odd"):
        OrderedConv2D((1,), (1,), 2)
    with pytest.raises(InputError, match="4 maps, but 3 degrees"):
        OrderedConv2D(DEGREES_IN, DEGREES_OUT).build((None, None, None, 4))
