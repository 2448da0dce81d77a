"""Proofs of spectral normalisation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.errors import InputError
from tfgen.layers.spectral_norm import SpectralNorm, spectrally_normalized
from tfgen.networks import dcgan_discriminator, mlp
from tfgen.specs import Points

# A layer, the shape of its input, and the axes of its kernel: the outputs, then what each is a sum over.
KINDS = {
    "dense": (lambda **how: keras.layers.Dense(5, **how), (7,), (1, 0)),
    "one_output": (lambda **how: keras.layers.Dense(1, **how), (7,), (1, 0)),
    "conv": (lambda **how: keras.layers.Conv2D(6, (3, 2), 2, "same", **how), (8, 8, 4), (3, 0, 1, 2)),
    "transpose": (lambda **how: keras.layers.Conv2DTranspose(5, (4, 3), 2, "same", **how), (4, 4, 7), (2, 0, 1, 3)),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def wrapped(kind, seed=0, **how):
    """Returns a wrapped layer with a kernel whose singular values lie apart, and an input of four examples."""
    make, shape, axes = KINDS[kind]
    layer = SpectralNorm(make(**how))
    x = np.random.default_rng(seed).normal(size=(4, *shape))
    layer.build((None, *shape))
    matrix = np.random.default_rng(seed + 1).normal(size=[layer.kernel.shape[axis] for axis in axes])
    matrix[0] *= 3.0
    layer.kernel.assign(matrix.transpose(np.argsort(axes)))
    return layer, tf.constant(x, "float64" if how.get("dtype") == "float64" else "float32")


def matrix_of(layer, kind):
    """Returns W with a row for each output, float64."""
    axes = KINDS[kind][2]
    kernel = layer.kernel.numpy().astype(np.float64).transpose(axes)
    return kernel.reshape(kernel.shape[0], -1)


def converge(layer, x, steps=40):
    for _ in range(steps):
        layer(x, training=True)


@each_kind
def test_the_estimate_becomes_the_largest_singular_value(kind):
    layer, x = wrapped(kind)
    converge(layer, x)
    expected = np.linalg.svd(matrix_of(layer, kind), compute_uv=False)[0]
    assert float(layer.sigma()) == pytest.approx(expected, rel=1e-5)


@each_kind
def test_it_is_the_layer_with_a_kernel_divided_by_that_value(kind):
    layer, x = wrapped(kind, activation="tanh", bias_initializer="normal")
    converge(layer, x)
    plain = KINDS[kind][0](activation="tanh")
    plain.build((None, *x.shape[1:]))
    sigma = np.linalg.svd(matrix_of(layer, kind), compute_uv=False)[0]
    plain.set_weights([layer.kernel.numpy() / sigma, layer.layer.bias.numpy()])
    np.testing.assert_allclose(layer(x), plain(x), atol=1e-5)


def test_a_call_makes_one_step_of_the_power_iteration():
    layer, x = wrapped("dense", dtype="float64")
    w, u = matrix_of(layer, "dense"), layer.u.numpy()
    for _ in range(3):
        v = w.T @ u / np.linalg.norm(w.T @ u)
        u = w @ v / np.linalg.norm(w @ v)
        sigma = u @ w @ v
        np.testing.assert_allclose(layer(x, training=True), x.numpy() @ w.T / sigma, rtol=1e-12)
        np.testing.assert_allclose(layer.u.numpy(), u, rtol=1e-12)


def gradient_of(function, variable):
    with tf.GradientTape() as tape:
        tape.watch(variable)
        loss = function(variable)
    return tape.gradient(loss, variable).numpy()


@each_kind
def test_the_gradient_is_that_of_the_kernel_over_its_largest_singular_value(kind):
    layer, x = wrapped(kind, dtype="float64", use_bias=False)
    converge(layer, x)
    axes = KINDS[kind][2]
    plain = KINDS[kind][0](dtype="float64", use_bias=False)
    plain.build((None, *x.shape[1:]))
    weights = tf.constant(np.random.default_rng(5).normal(size=plain(x).shape))

    def by_singular_values(kernel):
        # TensorFlow differentiates its decomposition itself.
        rows = tf.reshape(tf.transpose(kernel, axes), (kernel.shape[axes[0]], -1))
        sigma = tf.reduce_max(tf.linalg.svd(rows, compute_uv=False))
        with keras.StatelessScope([(plain.kernel, kernel / sigma)]):
            return tf.reduce_sum(weights * plain(x))

    expected = gradient_of(by_singular_values, tf.constant(layer.kernel.numpy()))
    actual = gradient_of(lambda _: tf.reduce_sum(weights * layer(x, training=True)), layer.kernel.value)
    np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-10)
    # The layer does not change when its kernel is scaled.
    lengths = np.linalg.norm(actual) * np.linalg.norm(layer.kernel.numpy())
    assert abs(np.sum(actual * layer.kernel.numpy())) < 1e-10 * lengths
    assert lengths > 1.0


def test_the_gradient_does_not_flow_through_the_singular_vectors():
    layer, x = wrapped("dense", dtype="float64", use_bias=False)
    w, u = matrix_of(layer, "dense"), layer.u.numpy()
    v = w.T @ u / np.linalg.norm(w.T @ u)
    u = w @ v / np.linalg.norm(w @ v)
    sigma = u @ w @ v
    # Of sum(R * W / sigma) with fixed u and v: (R - <R, W / sigma> u v^T) / sigma; here they are far from converged.
    weights = np.random.default_rng(5).normal(size=(4, 5))
    r = weights.T @ x.numpy()
    expected = (r - np.sum(r * w) / sigma * np.outer(u, v)) / sigma
    actual = gradient_of(lambda _: tf.reduce_sum(weights * layer(x, training=True)), layer.kernel.value)
    np.testing.assert_allclose(actual.T, expected, rtol=1e-10)


@each_kind
def test_only_training_moves_u_and_nothing_moves_the_kernel(kind):
    layer, x = wrapped(kind)
    before, u = layer.kernel.numpy(), layer.u.numpy()
    first = layer(x)
    np.testing.assert_array_equal(layer(x, training=False), first)
    np.testing.assert_array_equal(layer.u, u)
    layer(x, training=True)
    assert kind == "one_output" or np.abs(layer.u - u).max() > 1e-4
    np.testing.assert_array_equal(layer.kernel, before)
    assert [weight is layer.u for weight in layer.non_trainable_weights] == [True]


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_the_value_is_taken_in_full_precision(dtype):
    layer, x = wrapped("conv", dtype=dtype)
    network = keras.Sequential([keras.Input((8, 8, 4)), keras.layers.Activation("linear", dtype=dtype), layer])
    for _ in range(40):
        answer = network(x, training=True)
    expected = np.linalg.svd(matrix_of(layer, "conv"), compute_uv=False)[0]
    assert answer.dtype == network.outputs[0].dtype == dtype.removeprefix("mixed_")
    assert layer.u.dtype == "float32"
    assert float(layer.sigma()) == pytest.approx(expected, rel=1e-5)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.cast(network(x, training=True), tf.float32))
    assert tape.gradient(loss, layer.kernel.value).dtype == tf.float32


def test_a_kernel_of_zeros_gives_zeros():
    layer, x = wrapped("dense")
    layer.kernel.assign(tf.zeros((7, 5)))
    for _ in range(2):
        np.testing.assert_array_equal(layer(x, training=True), np.zeros((4, 5)))


def test_it_comes_back_from_a_file_with_its_vector(tmp_path):
    network = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            SpectralNorm(keras.layers.Conv2D(6, 3, activation="relu")),
            keras.layers.Flatten(),
            SpectralNorm(keras.layers.Dense(2), output_axis=1, name="last"),
        ]
    )
    x = tf.random.stateless_normal((3, 8, 8, 4), (0, 1))
    network(x, training=True)
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    assert again.layers[-1].name == "last"
    assert again.layers[-1].output_axis == 1
    for _ in range(2):
        np.testing.assert_array_equal(again(x, training=True), network(x, training=True))


def test_a_layer_without_a_kernel_is_refused():
    with pytest.raises(InputError, match="Activation 'squash' has no kernel"):
        SpectralNorm(keras.layers.Activation("relu", name="squash")).build((None, 3))


def test_a_network_is_copied_with_its_weights():
    network = dcgan_discriminator((16, 16, 1), width=4)
    network.layers[2].set_weights([weight + 0.5 for weight in network.layers[2].get_weights()])
    normal = spectrally_normalized(network)
    kinds = [type(layer).__name__ for layer in normal.layers]
    assert kinds == [
        *("SpectralNorm", "LeakyReLU", "SpectralNorm", "BatchNormalization", "LeakyReLU", "Flatten", "SpectralNorm")
    ]
    for old, new in zip(network.layers, normal.layers, strict=True):
        assert old is not new
        for one, other in zip(old.weights, getattr(new, "layer", new).weights, strict=True):
            assert one is not other
            np.testing.assert_array_equal(one, other)
    # A copy of a copy is not normalised twice.
    assert [type(layer).__name__ for layer in spectrally_normalized(normal).layers] == kinds


def test_a_functional_network_is_copied_too():
    a, b = keras.Input((3,)), keras.Input((2,))
    together = keras.layers.Concatenate()([keras.layers.Dense(4)(a), b])
    normal = spectrally_normalized(keras.Model([a, b], keras.layers.Dense(1)(together)))
    assert sum(isinstance(layer, SpectralNorm) for layer in normal.layers) == 2
    assert normal([tf.zeros((5, 3)), tf.zeros((5, 2))]).shape == (5, 1)


def test_a_network_without_kernels_is_refused():
    with pytest.raises(InputError, match="no layer of 'plain' has a kernel"):
        spectrally_normalized(keras.Sequential([keras.Input((3,)), keras.layers.ReLU()], name="plain"))


@pytest.mark.parametrize("id", ["wgan_gp", "geometric_gan"])
def test_a_normalised_discriminator_is_trained(id):
    discriminator = spectrally_normalized(mlp((2,), (1,), hidden=(8, 8), activation="relu", name="discriminator"))
    model = tfgen.create(id, example=Points(2), latent_size=2, width=8, discriminator=discriminator)
    layers = [layer for layer in model.discriminator.layers if isinstance(layer, SpectralNorm)]
    before = [(layer.kernel.numpy(), layer.u.numpy()) for layer in layers]
    x = np.random.default_rng(0).normal(size=(640, 2)).astype(np.float32)
    history = model.fit(x, batch_size=16, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    for layer, (kernel, u) in zip(layers, before, strict=True):
        assert np.abs(layer.kernel - kernel).max() > 1e-5
        assert layer.u.shape[0] == 1 or np.abs(layer.u - u).max() > 1e-5
        largest = np.linalg.svd(layer.kernel.numpy(), compute_uv=False)[0]
        assert float(layer.sigma()) == pytest.approx(largest, rel=0.02)
    # Each layer shrinks distances or keeps them, and so does the whole.
    slopes = np.diff(model.discriminate(x[:2]).numpy()) / np.linalg.norm(x[1] - x[0])
    assert np.abs(slopes).max() < 1.05
