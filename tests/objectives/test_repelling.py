"""The repelling term where it is known."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.objectives import pulling_away


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([[1.0, 2.0]] * 5, 1.0),
        ([[1.0, 2.0], [-3.0, -6.0]], 1.0),  # the direction counts, not its sign nor the length
        ([[1.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, -2.0]], 0.0),
        ([[1.0, 0.0], [1.0, 1.0]], 0.5),
        ([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], 2.0 / 6.0),
        ([[1.0, 2.0]], 0.0),
        ([[0.0, 0.0], [1.0, 1.0]], 0.0),
    ],
)
def test_it_is_the_mean_squared_cosine_of_pairs(codes, expected):
    assert float(pulling_away(tf.constant(codes))) == pytest.approx(expected, abs=1e-6)


def test_all_axes_of_a_code_count():
    codes = np.random.default_rng(0).normal(size=(6, 2, 3, 2)).astype(np.float32)
    flat = codes.reshape(6, -1) / np.linalg.norm(codes.reshape(6, -1), axis=1, keepdims=True)
    cosines = [flat[i] @ flat[j] for i in range(6) for j in range(6) if i != j]
    assert float(pulling_away(tf.constant(codes))) == pytest.approx(np.mean(np.square(cosines)), rel=1e-5)


def test_its_gradient_is_finite_and_across_the_codes():
    codes = tf.constant([[1.0, 0.0], [2.0, 2.0], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(codes)
        value = pulling_away(codes)
    gradient = tape.gradient(value, codes).numpy()
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(np.sum(gradient * codes, -1), 0.0, atol=1e-6)
    # Down the gradient the second code turns away from the first.
    assert gradient[1] @ [-1.0, 1.0] < 0.0
