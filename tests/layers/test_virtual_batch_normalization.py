import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import VirtualBatch, VirtualBatchNormalization

NORMAL = keras.initializers.RandomNormal(0.0, 1.0, seed=1)


def network(shape=(4, 4, 2), reference_size=6, **options):
    """Returns a small generator of which both normalisations see the same reference batch."""
    options |= {"epsilon": 0.0}
    inner = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(32, use_bias=False),
            VirtualBatchNormalization(reference_size, **options),
            keras.layers.Reshape((4, 4, 2)),
            keras.layers.Conv2D(5, 3, padding="same", use_bias=False),
            VirtualBatchNormalization(reference_size, **options),
            keras.layers.Activation("tanh"),
        ]
    )
    return VirtualBatch(inner, reference_size, NORMAL)


def codes(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


@pytest.mark.parametrize("shape", [(5,), (3, 4, 5)])
def test_an_example_is_normalised_with_the_reference_batch_and_itself(shape):
    n, layer = 4, VirtualBatchNormalization(4, epsilon=1e-3)
    x = 2.0 + np.random.default_rng(0).normal(size=(7, *shape))
    layer.build(x.shape)
    gamma, beta = np.random.default_rng(1).normal(size=(2, 5))
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    y, space = layer(tf.constant(x, tf.float32)).numpy(), tuple(range(1, x.ndim - 1))
    reference = x[:n].reshape(-1, 5)
    for i in range(7):
        own = x[i].reshape(-1, 5)
        mean, square = reference.mean(0), (reference**2).mean(0)
        if i >= n:
            mean, square = (n * mean + own.mean(0)) / (n + 1), (n * square + (own**2).mean(0)) / (n + 1)
        expected = gamma * (x[i] - mean) / np.sqrt(square - mean**2 + 1e-3) + beta
        np.testing.assert_allclose(y[i], expected, rtol=2e-4, atol=2e-4, err_msg=f"example {i} of {space}")


def test_an_example_does_not_depend_on_its_neighbours():
    layer, z = network(), codes(5)
    together = layer(z).numpy()
    assert together.shape == (5, 4, 4, 5)
    for at in range(5):
        np.testing.assert_allclose(layer(z[at : at + 1])[0], together[at], atol=1e-5)
    np.testing.assert_allclose(layer(np.concatenate([z[:1], codes(9, seed=3)]))[0], together[0], atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 0.1


def test_training_and_inference_are_the_same():
    layer, z = network(), codes(5)
    np.testing.assert_array_equal(layer(z, training=True), layer(z, training=False))


def test_the_reference_batch_runs_through_the_present_weights():
    layer, z = network(), codes(5)
    before = layer(z).numpy()
    dense, conv = layer.network.layers[0], layer.network.layers[3]
    dense.kernel.assign(10.0 * dense.kernel.value)
    conv.kernel.assign(0.1 * conv.kernel.value)
    # What the weights are multiplied by is divided out again, unless statistics are of former weights.
    np.testing.assert_allclose(layer(z), before, atol=1e-4)


def test_the_reference_batch_is_fixed_and_saved_with_the_weights(tmp_path):
    layer, z = network(), codes(5)
    model = keras.Sequential([keras.Input((3,)), layer])
    assert layer.reference.shape == (6, 3)
    assert all(weight is not layer.reference for weight in model.trainable_weights)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.layers[0].reference.numpy(), layer.reference.numpy())
    np.testing.assert_array_equal(loaded(z), model(z))
    assert [w.shape for w in loaded.trainable_weights] == [w.shape for w in model.trainable_weights]


def test_statistics_are_computed_in_full_precision():
    layer = VirtualBatchNormalization(50, dtype="mixed_float16")
    x = 1000.0 + 100.0 * np.random.default_rng(0).normal(size=(60, 3))  # whose squares half precision does not have
    layer.build(x.shape)
    y = layer(tf.constant(x, tf.float16))
    assert y.dtype == tf.float16
    np.testing.assert_allclose(y[:50].numpy().astype(np.float32), (x[:50] - x[:50].mean(0)) / x[:50].std(0), atol=0.02)
