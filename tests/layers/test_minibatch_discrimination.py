import keras
import numpy as np
import tensorflow as tf

from tfgen.layers import MinibatchDiscrimination


def made(kernels=3, size=2, features=4, dtype=None):
    layer = MinibatchDiscrimination(kernels, size, dtype=dtype)
    layer.build((None, features))
    layer.kernel.assign(np.random.default_rng(0).normal(size=layer.kernel.shape))
    return layer


def closeness(layer, x):
    """Returns o without its bias."""
    return layer(tf.constant(x, tf.float32)).numpy()[:, x.shape[1] :] - layer.bias.numpy()


def test_it_is_the_papers_formula():
    layer, x = made(), 0.3 * np.random.default_rng(1).normal(size=(5, 4))
    m = (x @ layer.kernel.numpy()).reshape(5, 3, 2)
    expected = np.zeros((5, 3))
    for i in range(5):
        for j in range(5):
            for b in range(3):
                expected[i, b] += (i != j) * np.exp(-np.abs(m[i, b] - m[j, b]).sum())
    np.testing.assert_allclose(closeness(layer, x), expected, rtol=1e-5)


def test_examples_that_are_alike_count_all_others_and_examples_far_apart_none():
    layer = made()
    np.testing.assert_allclose(closeness(layer, np.ones((7, 4))), 6.0, rtol=1e-6)
    np.testing.assert_allclose(closeness(layer, 1000.0 * np.random.default_rng(1).normal(size=(7, 4))), 0.0, atol=1e-6)
    np.testing.assert_allclose(closeness(layer, np.ones((1, 4))), 0.0, atol=1e-6)


def test_features_stay_in_front_and_the_bias_begins_at_minus_one():
    layer, x = made(), np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    assert layer(x).shape == (5, 7)
    np.testing.assert_array_equal(layer(x)[:, :4], x)
    np.testing.assert_array_equal(layer.bias.numpy(), -1.0)


def test_equal_examples_have_finite_gradients():
    layer, x = made(), tf.ones((4, 4))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x) ** 2)
    assert np.isfinite(tape.gradient(total, x)).all()


def test_it_is_saved_with_its_sizes_and_weights(tmp_path):
    network = keras.Sequential([keras.Input((4,)), made(), keras.layers.Dense(1)])
    network.save(tmp_path / "network.keras")
    loaded, x = keras.models.load_model(tmp_path / "network.keras"), np.random.default_rng(1).normal(size=(5, 4))
    assert (loaded.layers[0].kernels, loaded.layers[0].size) == (3, 2)
    np.testing.assert_array_equal(loaded(x), network(x))


def test_distances_are_computed_in_full_precision():
    # 300 neighbours that are alike: half precision has no 299 + 0.5.
    half, x = made(dtype="mixed_bfloat16"), np.ones((301, 4))
    assert half(x).dtype == tf.bfloat16
    with_fraction = np.concatenate([x, x[:1] + 0.1])
    layer = made()
    layer.kernel.assign(tf.cast(tf.cast(layer.kernel.value, tf.bfloat16), tf.float32))
    rounded = tf.cast(layer(tf.cast(tf.cast(with_fraction, tf.bfloat16), tf.float32)), tf.bfloat16)
    np.testing.assert_array_equal(half(with_fraction), rounded)
