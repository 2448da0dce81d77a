import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import GatedResnet
from tfgen.layers.gated_resnet import RowCache, both_signs, both_signs_of_cells


def built(centred, *, filters=3, auxiliary=0, label_count=0, seed=0):
    layer = GatedResnet(filters, centred=centred, auxiliary=auxiliary, label_count=label_count, dtype="float64")
    layer.build()
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def pictures(*shape, seed=1):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def rows_of(x):
    return [tf.transpose(row, (1, 0, 2)) for row in tf.unstack(x, axis=1)]


def elu_of_both(x):
    return np.concatenate([np.where(a > 0, a, np.expm1(np.minimum(a, 0))) for a in (x, -x)], -1)


def convolved(x, conv, centred):
    """A sum over taps in place of a convolution, with kernels normalised here."""
    v, g, b = conv.v.numpy(), conv.g.numpy(), conv.bias.numpy()
    kernel = g * v / np.sqrt((v**2).sum((0, 1, 2), keepdims=True))
    height, width, *_ = kernel.shape
    left = width // 2 if centred else width - 1
    padded = np.pad(x, [(0, 0), (height - 1, 0), (left, width - 1 - left), (0, 0)])
    taps = np.ndindex(height, width)
    return b + sum(padded[:, i : i + x.shape[1], j : j + x.shape[2]] @ kernel[i, j] for i, j in taps)


@pytest.mark.parametrize("centred", [True, False])
def test_the_whole_layer_is_the_papers_formula(centred):
    layer = built(centred, auxiliary=2, label_count=4)
    x, a, b = (pictures(2, 4, 5, 3, seed=seed).numpy() for seed in (1, 2, 3))
    label = np.array([3, 1])
    c = convolved(elu_of_both(x), layer.conv_in, centred)
    c += convolved(np.concatenate([elu_of_both(a), elu_of_both(b)], -1), layer.link, centred)
    gates = convolved(elu_of_both(c), layer.conv_out, centred) + layer.of_label.numpy()[label][:, None, None]
    expected = x + gates[..., :3] / (1 + np.exp(-gates[..., 3:]))
    actual = layer(tf.constant(x), auxiliary=[tf.constant(a), tf.constant(b)], label=tf.constant(label))
    np.testing.assert_allclose(actual, expected, atol=1e-12)


@pytest.mark.parametrize("centred", [True, False])
def test_a_pixel_depends_on_nothing_below_it_nor_on_its_right_unless_centred(centred):
    layer, x = built(centred), pictures(1, 4, 6, 3)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    found = np.abs(tape.jacobian(y, x).numpy()[0, :, :, :, 0]).max((2, 5)) > 0
    # Two convolutions of two rows: three rows, and with three columns each five.
    reach_left, reach_right = 2, 2 if centred else 0
    expected = np.zeros_like(found)
    for y, x in np.ndindex(4, 6):
        expected[y, x, max(0, y - 2) : y + 1, max(0, x - reach_left) : x + reach_right + 1] = True
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("centred", [True, False])
def test_without_its_second_convolution_the_layer_is_the_identity(centred):
    layer, x = built(centred), pictures(2, 4, 5, 3)
    layer.conv_out.g.assign(tf.zeros_like(layer.conv_out.g))
    layer.conv_out.bias.assign(tf.zeros_like(layer.conv_out.bias))
    np.testing.assert_array_equal(layer(x), x)


@pytest.mark.parametrize("auxiliary", [0, 1])
def test_a_centred_layer_row_by_row_equals_the_whole_picture(auxiliary):
    layer = built(True, auxiliary=auxiliary, label_count=4)
    x, others = pictures(2, 4, 5, 3), [pictures(2, 4, 5, 3, seed=2)] * auxiliary
    label = tf.constant([2, 0])
    expected, weights = rows_of(layer(x, auxiliary=others, label=label)), layer.weights_now(label)
    above = RowCache(*(tf.zeros((5, 2, 6), tf.float64),) * 2)
    for y, row in enumerate(rows_of(x)):
        out, above = layer.row(row, [rows_of(other)[y] for other in others], weights, above)
        np.testing.assert_allclose(out, expected[y], atol=1e-12)


@pytest.mark.parametrize("auxiliary", [1, 2])
def test_a_layer_pixel_by_pixel_equals_the_whole_picture(auxiliary):
    layer = built(False, auxiliary=auxiliary, label_count=4)
    x, others = pictures(2, 4, 5, 3), [pictures(2, 4, 5, 3, seed=seed) for seed in (2, 3)][:auxiliary]
    label = tf.constant([2, 0])
    expected, weights = layer(x, auxiliary=others, label=label).numpy(), layer.weights_now(label)
    matrices = layer.pixel_matrices(weights)
    above = (tf.zeros((5, 2, 3), tf.float64),) * 2
    for y in range(4):
        before = layer.begin_row(rows_of(others[0])[y], weights, *above)
        left, to_below = (tf.zeros((2, 3), tf.float64), tf.zeros((2, 6), tf.float64)), []
        for column in range(5):
            shortcuts = [other[:, y, column] for other in others[1:]]
            out, left, below = layer.pixel(x[:, y, column], shortcuts, matrices, [b[column] for b in before], left)
            to_below.append(below)
            np.testing.assert_allclose(out, expected[:, y, column], atol=1e-12)
        above = [tf.stack(row) for row in zip(*to_below, strict=True)]


def test_dropout_follows_its_seed_and_keeps_the_mean():
    layer, x = built(True), pictures(1, 4, 5, 3)
    first, again, other = (layer(x, dropout=0.5, seed=(0, s)).numpy() for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    # With gates that are always half open the output is linear in what is dropped, so that means are equal.
    layer.conv_out.g.assign(layer.conv_out.g * np.repeat([1.0, 0.0], 3))
    layer.conv_out.bias.assign(layer.conv_out.bias * np.repeat([1.0, 0.0], 3))
    many = layer(tf.repeat(x, 4000, 0), dropout=0.5, seed=(1, 0)).numpy()
    error = (many.mean(0) - layer(x)[0]) / (many.std(0) / np.sqrt(4000))
    assert np.abs(error).max() < 4.5


def test_the_first_batch_scales_both_convolutions():
    layer, x, u = built(False, auxiliary=1), pictures(8, 6, 6, 3), pictures(8, 6, 6, 3, seed=2)
    layer(x, auxiliary=[u], initialize=True)
    for conv, inputs in ((layer.conv_in, elu_of_both(x.numpy())), (layer.link, elu_of_both(u.numpy()))):
        y = conv(tf.constant(inputs)).numpy()
        np.testing.assert_allclose(y.mean((0, 1, 2)), 0.0, atol=1e-12)
        np.testing.assert_allclose(y.std((0, 1, 2)), 1.0, rtol=1e-6)
    c = layer.conv_in(tf.constant(elu_of_both(x.numpy()))) + layer.link(tf.constant(elu_of_both(u.numpy())))
    y = layer.conv_out(tf.constant(elu_of_both(c.numpy()))).numpy()
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0.0, atol=1e-12)
    np.testing.assert_allclose(y.std((0, 1, 2)), 0.1, rtol=1e-5)


def test_a_cell_has_the_same_nonlinearity_as_a_picture():
    x = tf.constant(np.linspace(-40.0, 40.0, 2001)[:, None])
    np.testing.assert_allclose(both_signs_of_cells(x), both_signs(x), atol=1e-15)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = both_signs_of_cells(x)
    assert np.isfinite(tape.gradient(y, x)).all()
