import numpy as np
import pytest
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.layers import ShiftedConv2D, ShiftedConv2DTranspose

# (kernel_size, centred): of the stream above, and of the stream above and to the left.
FIELDS = [((2, 3), True), ((2, 2), False), ((1, 3), True), ((2, 1), False), ((1, 1), True)]


def built(kind, channels, filters, size, centred, *, seed=0, dtype="float64", **options):
    layer = kind(filters, size, centred=centred, dtype=dtype, **options)
    layer.build((None, None, None, channels))
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def pictures(*shape, seed=1):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def seen(layer, height, width, channels=1):
    """Which inputs each output depends on, by the Jacobian: bool (rows, columns, height, width)."""
    x = pictures(1, height, width, channels)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    jacobian = tape.jacobian(y, x).numpy()[0, :, :, :, 0]
    return np.abs(jacobian).max((2, 5)) > 0


def rows_of(x):
    """Rows of pictures as the steps want them: (width, batch, channels)."""
    return [tf.transpose(row, (1, 0, 2)) for row in tf.unstack(x, axis=1)]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("size", "centred"), FIELDS)
def test_a_field_ends_at_the_pixels_row_and_unless_centred_at_its_column(size, centred, stride):
    height, width = 6, 8
    found = seen(built(ShiftedConv2D, 1, 2, size, centred, stride=stride), height, width)
    right = size[1] // 2 if centred else 0
    expected = np.zeros_like(found)
    for y, x in np.ndindex(found.shape[:2]):
        bottom, end = stride * y + 1, stride * x + 1 + right
        expected[y, x, max(0, bottom - size[0]) : bottom, max(0, end - size[1]) : end] = True
    assert found.shape[:2] == (height // stride, width // stride)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("size", "centred"), [((2, 3), True), ((2, 2), False)])
def test_a_transposed_field_gives_to_its_own_two_rows_and_if_centred_to_the_column_on_its_left(size, centred):
    found = seen(built(ShiftedConv2DTranspose, 1, 2, size, centred), 3, 4)
    expected = np.zeros_like(found)
    for y, x in np.ndindex(3, 4):
        expected[2 * y : 2 * y + 2, max(0, 2 * x - centred) : 2 * x + 2, y, x] = True
    assert found.shape[:2] == (6, 8)
    np.testing.assert_array_equal(found, expected)


def test_up_after_down_sees_nothing_below_or_at_the_right_of_a_pixel():
    size, centred = (2, 2), False
    down, up = (built(kind, 1, 1, size, centred, **options) for kind, options in (
        (ShiftedConv2D, {"stride": 2}), (ShiftedConv2DTranspose, {})))  # fmt: skip
    found = seen(lambda x: up(down(x)), 6, 6)
    for y, x in np.ndindex(6, 6):
        assert not found[y, x, y + 1 :].any()
        assert not found[y, x, :, x + 1 :].any()
        assert found[y, x, y // 2 * 2, x // 2 * 2]


@pytest.mark.parametrize("kind", [ShiftedConv2D, ShiftedConv2DTranspose])
def test_the_length_of_each_filters_weights_is_g(kind):
    layer = built(kind, 3, 4, (2, 3), True)
    kernel = layer.weights_now().kernel.numpy()
    np.testing.assert_allclose(np.sqrt((kernel**2).sum((0, 1, 2))), np.abs(layer.g.numpy()))
    x = pictures(2, 4, 4, 3)
    before = layer(x)
    layer.v.assign(layer.v * [2.0, 3.0, 0.1, 7.0])
    np.testing.assert_allclose(layer(x), before, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "options"), [(ShiftedConv2D, {}), (ShiftedConv2D, {"stride": 2}), (ShiftedConv2DTranspose, {})]
)
@pytest.mark.parametrize(("size", "centred"), [((2, 3), True), ((2, 2), False)])
@pytest.mark.parametrize("init_scale", [1.0, 0.1])
def test_the_first_batch_gives_outputs_of_mean_zero_and_the_wanted_deviation(kind, options, size, centred, init_scale):
    layer = built(kind, 3, 4, size, centred, init_scale=init_scale, **options)
    x = 5.0 + 3.0 * pictures(8, 6, 6, 3)
    initialized = layer(x, initialize=True).numpy()
    np.testing.assert_allclose(initialized.mean((0, 1, 2)), 0.0, atol=1e-12)
    np.testing.assert_allclose(initialized.std((0, 1, 2)), init_scale, rtol=1e-6)
    np.testing.assert_allclose(layer(x), initialized, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("size", "centred"), FIELDS)
def test_a_row_from_rows_equals_the_whole_picture(size, centred, stride):
    layer = built(ShiftedConv2D, 3, 4, size, centred, stride=stride)
    x = pictures(2, 4, 6, 3)
    expected, weights = rows_of(layer(x)), layer.weights_now()
    padded = [tf.zeros_like(rows_of(x)[0])] * (size[0] - 1) + rows_of(x)
    for y, row in enumerate(expected):
        given = padded[stride * y : stride * y + size[0]]
        np.testing.assert_allclose(layer.row(weights, given), row, atol=1e-12)


@pytest.mark.parametrize(("size", "centred"), [((2, 3), True), ((2, 2), False)])
def test_transposed_rows_equal_the_whole_picture(size, centred):
    layer = built(ShiftedConv2DTranspose, 3, 4, size, centred)
    x = pictures(2, 3, 5, 3)
    expected, weights = rows_of(layer(x)), layer.weights_now()
    for y, row in enumerate(rows_of(x)):
        for which in (0, 1):
            np.testing.assert_allclose(layer.row(weights, row, which), expected[2 * y + which], atol=1e-12)


def test_the_transposed_layer_is_tensorflows_transposed_convolution():
    layer = built(ShiftedConv2DTranspose, 3, 4, (2, 2), False)
    x = pictures(2, 3, 5, 3)
    kernel, bias = layer.weights_now()
    # As a sum over cells, each of which paints a block of two by two.
    expected = np.einsum("byxc,ijcf->byixjf", x, kernel).reshape(2, 6, 10, 4) + bias
    np.testing.assert_allclose(layer(x), expected, atol=1e-12)


def test_norms_are_taken_in_full_precision_under_half_precision():
    layer = built(ShiftedConv2D, 3, 4, (2, 3), True, dtype="mixed_bfloat16")
    v, g = layer.v.numpy().astype(np.float64), layer.g.numpy()
    kernel = layer.weights_now().kernel
    exact = g * v / np.sqrt((v**2).sum((0, 1, 2)))
    np.testing.assert_array_equal(kernel, tf.cast(exact, tf.bfloat16))
    assert layer(tf.zeros((1, 2, 2, 3))).dtype == tf.bfloat16


def test_a_centred_field_has_an_odd_width():
    with pytest.raises(InputError, match="odd"):
        ShiftedConv2D(4, (2, 2), centred=True)
