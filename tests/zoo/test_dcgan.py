import keras
import numpy as np
import pytest
import sklearn.datasets
import sklearn.linear_model
import sklearn.neural_network
import sklearn.pipeline
import sklearn.preprocessing
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.networks import mlp
from tfgen.specs import Images
from tfgen.zoo.adversarial.dcgan import DCGAN


def small(**arguments):
    return DCGAN(**{"example": Images((16, 16, 1), 256), "latent_size": 6, "width": 4} | arguments)


def pictures(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 1)).astype(np.uint8)


def trainable(network):
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


@pytest.mark.parametrize(
    ("shape", "generator", "discriminator"),
    [((32, 32, 3), 1_076_611, 663_361), ((28, 28, 1), 771_969, 138_689)],
)
def test_default_networks_have_the_published_number_of_parameters(shape, generator, discriminator):
    model = DCGAN(example=Images(shape))
    assert (trainable(model.generator), trainable(model.discriminator)) == (generator, discriminator)


def test_codes_are_uniform_in_a_cube():
    z = small().latent_prior().sample(10_000, seed=(0, 1)).numpy()
    assert z.shape == (10_000, 6)
    assert -1.0 <= z.min() < -0.99 and 0.99 < z.max() <= 1.0
    assert np.abs(z.mean(0)).max() < 4 * np.sqrt(1 / 3 / 10_000)


def test_optimizers_are_the_papers():
    for optimizer in small().default_optimizers().values():
        assert isinstance(optimizer, keras.optimizers.Adam)
        assert float(optimizer.learning_rate) == pytest.approx(2e-4) and optimizer.beta_1 == 0.5


def test_real_and_fake_batches_are_normalised_apart():
    model, x = small(), pictures(16)
    model.discriminator.set_weights([3.0 * weight for weight in model.discriminator.get_weights()])
    with model._step_of(0):
        term = model.discriminator_terms({"image": tf.constant(x)})["real"]
    alone = model.discriminator(model.example.to_network(x), training=True)
    np.testing.assert_allclose(term, np.log1p(np.exp(-alone.numpy().astype(np.float64))).mean(), rtol=1e-5)
    # The proof has no force unless statistics of a mixed batch give another number.
    mixed = tf.concat([model.example.to_network(x), model.generator(tf.zeros((16, 6)), training=True)], 0)
    together = model.discriminator(mixed, training=True)[:16]
    assert abs(np.log1p(np.exp(-together.numpy())).mean() - term) > 1e-3


def test_sampling_uses_moving_statistics():
    model = small()
    z = np.random.default_rng(0).uniform(-1, 1, (8, 6)).astype(np.float32)
    model.fit(pictures(64), epochs=1, verbose=0)
    np.testing.assert_array_equal(model.generate(z)[:2], model.generate(z[:2]))


def test_an_interpolation_begins_and_ends_with_the_pictures_of_its_codes():
    model = small()
    start, stop = np.random.default_rng(0).uniform(-1, 1, (2, 4, 6)).astype(np.float32)
    line = model.interpolate(start, stop, steps=9)
    assert line.shape == (4, 9, 16, 16, 1) and line.dtype == tf.uint8
    np.testing.assert_array_equal(line[:, 0], model.generate(start))
    np.testing.assert_array_equal(line[:, -1], model.generate(stop))
    np.testing.assert_array_equal(line[:, 4], model.generate((start + stop) / 2))


def test_features_are_the_discriminators_maps_pooled_to_4x4():
    model, x = small(), pictures(3)
    features = model.features(x)
    assert features.shape == (3, 16 * (4 + 8)) and features.dtype == tf.float32
    conv, activation = model.discriminator.layers[:2]
    first = keras.layers.MaxPool2D(2)(activation(conv(x.astype(np.float32) / 127.5 - 1.0)))
    np.testing.assert_allclose(features[:, :64], tf.reshape(first, (3, -1)), atol=1e-6)


def test_features_are_offered_only_by_a_discriminator_with_maps():
    assert "features" in small().endpoints()
    model = small(discriminator=mlp((16, 16, 1), (1,), hidden=(8,), name="critic"))
    assert "features" not in model.endpoints()
    with pytest.raises(InputError, match="no maps"):
        model.features(pictures(2))


def test_a_linear_classifier_of_features_reads_digits():
    data = sklearn.datasets.load_digits()
    x = data.images.astype(np.uint8)[..., None]
    model = DCGAN(example=Images((8, 8, 1), 17), latent_size=16, width=32)
    model.fit(x[:1200], batch_size=100, epochs=2, verbose=0)
    features = model.features(x).numpy()
    classifier = sklearn.pipeline.make_pipeline(
        sklearn.preprocessing.StandardScaler(), sklearn.linear_model.LogisticRegression(max_iter=500)
    )
    classifier.fit(features[:1200], data.target[:1200])
    assert classifier.score(features[1200:], data.target[1200:]) > 0.85  # chance: 0.1


def test_precision_reaches_the_networks():
    model = small(dtype="mixed_bfloat16")
    assert model.generator.layers[0].compute_dtype == model.discriminator.layers[0].compute_dtype == "bfloat16"
    assert model.features(pictures(2)).dtype == model.discriminate(pictures(2)).dtype == tf.float32


def bars(count, seed=0):
    """Returns 16x16 pictures with a bar in the upper half or not and one in the lower half or not, and which."""
    rng = np.random.default_rng(seed)
    attributes = rng.integers(0, 2, (count, 2))
    x = np.zeros((count, 16, 16))
    for picture, present in zip(x, attributes, strict=True):
        for half in np.flatnonzero(present):
            row, column = 8 * half + 3 + rng.integers(-1, 2), 5 + rng.integers(-1, 2)
            picture[row : row + 2, column : column + 6] = rng.uniform(0.6, 1.0)
    x = np.clip(x + rng.normal(0, 0.05, x.shape), 0, 1)
    return np.round(x * 255).astype(np.uint8)[..., None], attributes


def widen(network, seed):
    """Starts a network from uniform weights of width 1 / sqrt(inputs).

    A thousand steps at the rates below would rewrite weights as small as the paper's and leave attributes that lie bent
    in the space of codes; the paper's own runs are longer and slower.
    """
    rng = np.random.default_rng(seed)
    for layer in network.layers:
        if hasattr(layer, "kernel"):
            bound = np.prod(layer.kernel.shape[:-1]) ** -0.5
            layer.set_weights([rng.uniform(-bound, bound, weight.shape) for weight in layer.get_weights()])


@pytest.mark.slow
def test_arithmetic_on_codes_adds_and_removes_attributes():
    x, attributes = bars(6400)
    judge = sklearn.neural_network.MLPClassifier((32,), max_iter=200, tol=1e-3, random_state=0)
    flat = lambda images: np.reshape(images, (len(images), -1)) / 255.0
    judge.fit(flat(x[:2000]), attributes[:2000])
    assert judge.score(flat(x[2000:3000]), attributes[2000:3000]) > 0.99

    model = DCGAN(example=Images((16, 16, 1)), latent_size=16, width=32)
    widen(model.generator, 0)
    widen(model.discriminator, 1)
    model.compile({"generator": keras.optimizers.Adam(4e-4, 0.5), "discriminator": keras.optimizers.Adam(2e-4, 0.5)})
    model.fit(x, batch_size=64, epochs=10, verbose=0)

    rng = np.random.default_rng(1)
    z = rng.uniform(-1, 1, (4000, 16)).astype(np.float32)
    probability = judge.predict_proba(flat(model.generate(z).numpy()))
    found = probability > 0.5
    confident = (np.abs(probability - 0.5) > 0.4).all(1)
    exemplars = {}
    for combination in ((0, 0), (0, 1), (1, 0), (1, 1)):
        matches = (found == combination).all(1)
        assert 0.15 < matches.mean() < 0.35, combination
        exemplars[combination] = z[matches & confident]

    # a - b + c, for each of the four corners that is reached from the other three.
    for target in exemplars:
        flip = lambda first, second, target=target: (target[0] ^ first, target[1] ^ second)
        a, b, c = (exemplars[flip(*how)] for how in ((0, 1), (1, 1), (1, 0)))
        code = a.mean(0) - b.mean(0) + c.mean(0)
        np.testing.assert_array_equal(model.arithmetic(a, b, c), model.generate(code[None]))
        jittered = code + rng.uniform(-0.25, 0.25, (500, 16)).astype(np.float32)
        answers = judge.predict(flat(model.generate(jittered).numpy()))
        assert (answers == target).all(1).mean() >= 0.8, target

    start, stop = rng.uniform(-1, 1, (2, 100, 16)).astype(np.float32)
    line = model.interpolate(start, stop, steps=11).numpy().astype(np.float64).reshape(100, 11, -1)
    steps = np.linalg.norm(np.diff(line, axis=1), axis=-1).max(1)
    assert np.median(steps / np.linalg.norm(line[:, -1] - line[:, 0], axis=-1)) < 0.8
