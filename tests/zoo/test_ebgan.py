"""Proofs of ebgan."""

import keras
import numpy as np
import pytest
import sklearn.datasets
import sklearn.linear_model
import tensorflow as tf

import tfgen
from tests.zoo.adversarial_proofs import digit_generator, discriminate, integral, measured, p, q
from tfgen.errors import InputError
from tfgen.networks import AutoEncoder, mlp, mlp_auto_encoder
from tfgen.specs import Images, Points


@keras.saving.register_keras_serializable("tests")
class BesideItself(keras.layers.Layer):
    """Joins x and the root of softplus(f(x)), so that their sum differs from x by a free energy's root."""

    def __init__(self, free: keras.Model):
        super().__init__()
        self.free = free

    def call(self, x):
        return tf.concat([x, tf.sqrt(tf.nn.softplus(self.free(x)))], -1)


def free_energy() -> AutoEncoder:
    """Returns an auto-encoder of numbers whose squared error is softplus(f(x)) for a network f."""
    keras.utils.set_random_seed(0)
    free = mlp((1,), (1,), hidden=(64, 64), activation="tanh", name="free")
    encoder = keras.Sequential([keras.Input((1,)), BesideItself(free)])
    total = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", trainable=False)
    return AutoEncoder(encoder, keras.Sequential([keras.Input((2,)), total]))


@pytest.mark.slow
@pytest.mark.parametrize(("mean", "deviation", "within"), [(1.0, 1.2, 0.015), (0.0, 1.0, 0.01)])
def test_the_least_value_of_the_game_tells_the_total_variation(mean, deviation, within):
    model = discriminate(
        "ebgan", mean=mean, deviation=deviation, discriminator=free_energy(), margin=1.0, pulling_away=0.0
    )
    # Zero where the generator is right.
    variation = 0.5 * integral(lambda x: np.abs(p(x) - q(x))) if mean else 0.0
    assert measured(model)["discriminator_loss"] == pytest.approx(1.0 - variation, abs=within)


@pytest.mark.slow
def test_all_digits_are_drawn_and_energies_are_ordered():
    digits = sklearn.datasets.load_digits()
    x = digits.images.astype(np.uint8)[..., None]
    judge = sklearn.linear_model.LogisticRegression(max_iter=300).fit(x.reshape(-1, 64) / 16.0, digits.target)
    keras.utils.set_random_seed(0)
    networks = {
        "generator": digit_generator(32),
        "discriminator": mlp_auto_encoder(x.shape[1:], 16, hidden=(128,), activation="leaky_relu"),
    }
    model = tfgen.create("ebgan", example=Images(x.shape[1:], 17), latent_size=32, seed=0, **networks)
    model.compile(keras.optimizers.Adam(5e-4, beta_1=0.5), steps_per_execution=25)
    rows = np.random.default_rng(0).integers(len(x), size=64 * 3000)
    model.fit(x[rows], batch_size=64, verbose=0)
    samples = model.sample(3000, seed=1).numpy()
    shares = np.bincount(judge.predict(samples.reshape(-1, 64) / 16.0), minlength=10) / 3000
    assert (shares > 0.04).all() and (shares < 0.2).all()
    assert model.discriminate(x).numpy().mean() < model.discriminate(samples).numpy().mean() < model.margin


def linear(matrix, name: str) -> keras.Model:
    matrix = np.array(matrix)
    network = keras.Sequential(
        [keras.Input(matrix.shape[:1]), keras.layers.Dense(matrix.shape[1], use_bias=False)], name=name
    )
    network.set_weights([matrix])
    return network


ENCODE, DECODE = np.array([[1.0, 0.5], [0.0, 2.0], [1.0, -1.0]]), np.array([[0.3, 0.0, 0.4], [0.1, 0.2, 0.0]])


def known(**arguments):
    """Returns a model of three coordinates, all of whose networks are linear."""
    arguments = {"generator": linear([[1.0, 2.0, -1.0]], "generator")} | arguments
    auto_encoder = AutoEncoder(linear(ENCODE, "encoder"), linear(DECODE, "decoder"))
    return tfgen.create("ebgan", example=Points(3), latent_size=1, discriminator=auto_encoder, **arguments)


def test_the_energy_is_the_sum_of_squares_of_what_is_not_restored():
    x = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    energy = np.sum((x @ ENCODE @ DECODE - x) ** 2, -1)
    np.testing.assert_allclose(known().discriminate(x), energy, rtol=1e-4)


def test_the_discriminator_is_moved_by_samples_within_the_margin_alone():
    x = tf.constant([[0.0, 0.0, 0.0]] * 6)
    model = known()
    with model._step_of(1):
        energies = model.score(model.fake({"point": x})).numpy()
    middle = float(np.median(energies))
    for margin in (middle, 0.0, 1000.0):
        model = known(margin=margin)
        with model._step_of(1):
            terms = model.discriminator_terms({"point": x})
        assert float(terms["real"]) == 0.0
        # The same codes as above.
        assert float(terms["fake"]) == pytest.approx(np.mean(np.maximum(margin - energies, 0.0)), rel=1e-5)


def test_the_generator_descends_the_energy_through_both_places_that_its_example_has_in_it():
    model = known(pulling_away=0.0)
    kernel = model.generator.trainable_variables[0].value
    with tf.GradientTape() as tape, model._step_of(1):
        tape.watch(kernel)
        loss = model.generator_terms({"point": tf.zeros((50, 3))})["energy"]
    gradient = tape.gradient(loss, kernel).numpy()
    model._random_count.assign([0, 0])
    with model._step_of(1):
        x = model.fake({"point": tf.zeros((50, 3))}).numpy().astype(np.float64)
    rest = ENCODE @ DECODE - np.eye(3)
    z = x[:, :1]
    np.testing.assert_allclose(gradient, z.T @ (2.0 * x @ rest @ rest.T) / 50, rtol=1e-4)


def test_codes_of_samples_on_one_line_are_pushed_apart_with_the_weight_that_is_asked_for():
    model = known(pulling_away=0.3)
    with model._step_of(1):
        terms = model.generator_terms({"point": tf.zeros((5, 3))})
        assert "pulling_away" not in model.discriminator_terms({"point": tf.zeros((5, 3))})
    # Both this generator and this encoder are linear, so that all codes are parallel.
    assert float(terms["pulling_away"]) == pytest.approx(0.3, rel=1e-4)


def test_examples_are_encoded_and_restored_by_the_discriminator():
    model, x = known(), np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_allclose(model.encode(x), x @ ENCODE, atol=1e-5)
    np.testing.assert_allclose(model.reconstruct(x), x @ ENCODE @ DECODE, atol=1e-5)


def test_the_code_of_points_is_narrower_than_they_are():
    assert tfgen.create("ebgan", example=Points(6), latent_size=2).encode(np.zeros((1, 6))).shape == (1, 3)
    assert tfgen.create("ebgan", example=Points(2), latent_size=2, code_size=4).encode(np.zeros((1, 2))).shape == (1, 4)


def test_a_discriminator_that_is_no_auto_encoder_is_refused():
    with pytest.raises(InputError, match="pass tfgen.networks.AutoEncoder"):
        tfgen.create("ebgan", example=Points(3), latent_size=1, discriminator=linear(ENCODE @ DECODE, "d"))


def test_half_precision_stays_in_the_networks():
    model = tfgen.create("ebgan", image_shape=(8, 8, 1), latent_size=4, width=4, dtype="mixed_bfloat16")
    assert model.generator.layers[0].compute_dtype == model.discriminator.encoder.layers[0].compute_dtype == "bfloat16"
    x = np.zeros((4, 8, 8, 1), np.uint8)
    assert model.discriminate(x).dtype == model.encode(x).dtype == tf.float32
    assert np.isfinite(model.fit(x, batch_size=4, verbose=0).history["loss"]).all()
