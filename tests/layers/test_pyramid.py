"""Proofs of halving, doubling and the pyramid."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.layers.pyramid import double, halve, pyramid, pyramid_shapes


def picture(seed=0, shape=(2, 8, 12, 3)):
    """Multiples of 1/8, whose means of four and of sixteen are exact."""
    return tf.constant(np.random.default_rng(seed).integers(-8, 9, shape) / 8.0, tf.float32)


def test_halving_is_the_mean_of_cells_and_doubling_repeats_pixels():
    x = picture().numpy()
    np.testing.assert_array_equal(halve(picture()), x.reshape(2, 4, 2, 6, 2, 3).mean((2, 4)))
    np.testing.assert_array_equal(double(picture()), x.repeat(2, 1).repeat(2, 2))


def test_halving_undoes_doubling():
    np.testing.assert_array_equal(halve(double(picture())), picture())


def test_details_have_no_coarse_part():
    h = picture() - double(halve(picture()))
    assert np.abs(h).max() > 0.5
    np.testing.assert_array_equal(halve(h), 0.0)


def test_a_picture_is_the_sum_of_its_levels():
    x = tf.constant(np.random.default_rng(1).uniform(-1, 1, (2, 16, 8, 3)), tf.float32)
    coarse, middle, fine = pyramid(x, 2)
    assert [level.shape for level in (coarse, middle, fine)] == [(2, 4, 2, 3), (2, 8, 4, 3), (2, 16, 8, 3)]
    details = [middle - double(coarse), fine - double(middle)]
    np.testing.assert_allclose(double(double(coarse) + details[0]) + details[1], x, atol=1e-6)
    np.testing.assert_allclose(coarse, x.numpy().reshape(2, 4, 4, 2, 4, 3).mean((2, 4)), atol=1e-6)


def test_the_gradient_of_doubling_sums_cells():
    x, weights = picture(), picture(2, (2, 16, 24, 3))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(weights * double(x))
    expected = weights.numpy().reshape(2, 8, 2, 12, 2, 3).sum((2, 4))
    np.testing.assert_array_equal(tape.gradient(total, x), expected)


def test_shapes_are_those_of_the_pyramid():
    shapes = pyramid_shapes((28, 12, 3), 2, "x")
    assert shapes == [(7, 3, 3), (14, 6, 3), (28, 12, 3)]
    assert shapes == [tuple(level.shape[1:]) for level in pyramid(tf.zeros((1, 28, 12, 3)), 2)]


@pytest.mark.parametrize(
    ("shape", "halvings", "message"),
    [
        ((28, 28, 1), 3, "28x28 pixels cannot be halved 3 times.*multiples of 8"),
        ((8, 6, 1), 2, "8x6 pixels cannot be halved 2 times"),
        ((8, 8, 1), 0, "0 upscalings, expected at least 1"),
    ],
)
def test_sides_that_cannot_be_halved_are_refused(shape, halvings, message):
    with pytest.raises(InputError, match=f"^model: {message}"):
        pyramid_shapes(shape, halvings, "model")
