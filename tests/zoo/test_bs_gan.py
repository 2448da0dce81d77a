"""Proofs of bs_gan."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.zoo.adversarial_proofs import discriminate, line
from tfgen.errors import InputError
from tfgen.networks import mlp
from tfgen.specs import Images, Points


@pytest.mark.slow
def test_the_best_discriminators_odds_weigh_samples_to_data():
    model = discriminate("bs_gan")
    x = (1.0 + 1.2 * np.random.default_rng(4).normal(size=(400_000, 1))).astype(np.float32)
    ratio = model.ratio(x).numpy().astype(np.float64)
    assert ratio.mean() == pytest.approx(1.0, abs=0.02)
    assert ratio @ x[:, 0] / ratio.sum() == pytest.approx(0.0, abs=0.03)


STATES = np.array(list(itertools.product([0, 1], repeat=6)))
PATTERNS, SHARES = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]), np.array([0.35, 0.65])


def two_patterns() -> np.ndarray:
    """Returns the probability of each state of six bits: one of two patterns, each bit of which may be flipped."""
    flips = (STATES[:, None] != PATTERNS).sum(-1)
    return (SHARES * 0.05**flips * 0.95 ** (6 - flips)).sum(-1)


def learned(seed: int = 0, **arguments) -> np.ndarray:
    """Returns the probability of each state after 1500 steps of training."""
    keras.utils.set_random_seed(seed)
    shape = (1, 6, 1)
    networks = {
        "generator": mlp((8,), shape, hidden=(64, 64), activation="relu", name="generator"),
        "discriminator": mlp(shape, (1,), hidden=(64, 64), activation="leaky_relu", name="discriminator"),
    }
    model = tfgen.create("bs_gan", example=Images(shape, 2), latent_size=8, seed=seed, **networks, **arguments)
    model.compile(keras.optimizers.Adam(1e-3, beta_1=0.5), steps_per_execution=25)
    rows = np.random.default_rng(seed).choice(64, size=64 * 1500, p=two_patterns())
    model.fit(STATES[rows].reshape(-1, *shape).astype(np.uint8), batch_size=64, verbose=0)
    z = model.latent_prior().sample(20_000, seed=(0, 1))
    on = tf.sigmoid(tf.reshape(model.generator(z), (-1, 6))).numpy().astype(np.float64)
    return np.array([np.prod(np.where(state, on, 1.0 - on), -1).mean() for state in STATES])


@pytest.mark.slow
def test_a_distribution_of_six_bits_is_learned():
    q = learned()
    assert q.sum() == pytest.approx(1.0)
    assert 0.5 * np.abs(q - two_patterns()).sum() <= 0.15
    nearest = (STATES[:, None] != PATTERNS).sum(-1).argmin(-1)
    assert q[nearest == 0].sum() >= 0.2 and q[nearest == 1].sum() >= 0.2


def linear(inputs: tuple, outputs: tuple, kernel, bias) -> keras.Model:
    network = mlp(inputs, outputs, hidden=(), name="linear")
    network.set_weights([np.reshape(kernel, network.weights[0].shape), np.reshape(bias, network.weights[1].shape)])
    return network


def known(levels: int = 2, slope=(0.7, -0.4), **arguments):
    """Returns a model of two pixels, both of whose networks are linear."""
    shape, numbers = (1, 2, 1), 1 if levels == 2 else levels
    rng = np.random.default_rng(levels)
    networks = {
        "generator": linear((1,), (1, 2, numbers), 1.5 * rng.normal(size=2 * numbers), rng.normal(size=2 * numbers)),
        "discriminator": linear(shape, (1,), slope, 0.3),
    }
    return tfgen.create("bs_gan", example=Images(shape, levels), latent_size=1, discrete=True, **networks, **arguments)


def probabilities(model, codes) -> np.ndarray:
    """Returns P(level) of each pixel given each code, `(codes, pixels, levels)`."""
    kernel, bias = (weight.numpy().astype(np.float64) for weight in model.generator.weights)
    logits = (codes @ kernel + bias).reshape(len(codes), 2, -1)
    logits = np.concatenate([np.zeros_like(logits), logits], -1) if model.example.levels == 2 else logits
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


@pytest.mark.parametrize("reinforce", [False, True])
@pytest.mark.parametrize("levels", [2, 3])
def test_the_generator_descends_the_divergence_from_its_weighted_draws_or_climbs_the_score(levels, reinforce):
    slope = np.array([1.4, -0.8])
    model = known(levels, slope, draws=20_000, reinforce=reinforce)
    batch = {"image": tf.zeros((2, 1, 2, 1), tf.uint8)}
    bias = model.generator.trainable_variables[1].value
    with tf.GradientTape() as tape, model._step_of(1):
        tape.watch(bias)
        (loss,) = model.generator_terms(batch).values()
    gradient = tape.gradient(loss, bias).numpy().reshape(2, -1)
    model._random_count.assign([0, 0])
    with model._step_of(1):
        p = probabilities(model, model.codes(batch).numpy())
    # All pictures, with their probability given each code and their score.
    x = np.array(list(itertools.product(range(levels), repeat=2)))
    g = p[:, 0, x[:, 0]] * p[:, 1, x[:, 1]]
    score = (x * (2.0 / (levels - 1)) - 1.0) @ slope + 0.3
    hot = np.eye(levels)[x] - p[:, None]  # of log g with respect to the logits of all levels
    tilted = g * np.exp(score) / (g @ np.exp(score))[:, None]
    weights = g * (score - (g @ score)[:, None]) if reinforce else tilted
    expected = -np.einsum("ns,nspl->pl", weights, hot) / 2
    expected = expected[:, 1:] if levels == 2 else expected
    np.testing.assert_allclose(gradient, expected, atol=0.012)
    assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize("reinforce", [False, True])
def test_where_the_discriminator_cannot_tell_nothing_pulls_at_the_generator(reinforce):
    model = known(slope=(0.0, 0.0), draws=5000, reinforce=reinforce)
    batch = {"image": tf.zeros((4, 1, 2, 1), tf.uint8)}
    variables = [variable.value for variable in model.generator.trainable_variables]
    with tf.GradientTape() as tape, model._step_of(1):
        tape.watch(variables)
        (loss,) = model.generator_terms(batch).values()
    # Each of 20000 draws has a gradient of the size of a code, 1/2 at most times that.
    for gradient in tape.gradient(loss, variables):
        assert np.abs(gradient).max() < 4 * 0.5 * 2.0 / np.sqrt(20_000)
    figures = model.evaluate(np.zeros((4, 1, 2, 1), np.uint8), verbose=0, return_dict=True)
    assert figures["effective_sample_size"] == pytest.approx(5000.0, rel=1e-3)


def test_the_effective_sample_size_is_that_of_the_draws_of_a_code():
    # The score is 1000 times higher where the first pixel is on, so that only such draws count.
    model = known(slope=(500.0, 0.0), draws=4000)
    images = np.zeros((3, 1, 2, 1), np.uint8)
    with model._step_of(1):
        sizes = model.figures({"image": tf.constant(images)})["effective_sample_size"].numpy()
    model._random_count.assign([0, 0])
    with model._step_of(1):
        p = probabilities(model, model.codes({"image": images}).numpy())
    assert sizes.shape == (3,)
    np.testing.assert_allclose(sizes / 4000, p[:, 0, 1], atol=0.04)


@pytest.mark.parametrize("levels", [2, 3])
def test_samples_are_drawn_pixel_by_pixel_and_generated_ones_are_the_most_likely(levels):
    model = known(levels)
    z = np.array([[-1.0], [0.2], [2.0]], np.float32)
    np.testing.assert_array_equal(model.generate(z)[:, 0, :, 0], probabilities(model, z).argmax(-1))
    samples = model.sample(20_000, seed=3).numpy()
    assert samples.dtype == np.uint8 and samples.shape == (20_000, 1, 2, 1)
    codes = np.random.default_rng(0).normal(size=(200_000, 1))
    shares = np.stack([(samples[:, 0, :, 0] == level).mean(0) for level in range(levels)], -1)
    np.testing.assert_allclose(shares, probabilities(model, codes).mean(0), atol=0.015)
    # The pixels of one code differ from draw to draw.
    model.generator.set_weights([0.0 * weight for weight in model.generator.get_weights()])
    assert model.sample(100, seed=3).numpy().std() > 0.3


def test_levels_of_several_channels_stand_together():
    model = tfgen.create("bs_gan", image_shape=(8, 8, 2), levels=3, latent_size=2, width=4, discrete=True)
    z = np.random.default_rng(0).normal(size=(2, 2)).astype(np.float32)
    logits = 100.0 * model.generator(z).numpy()
    assert logits.shape == (2, 8, 8, 6)
    expected = np.stack([logits[..., :3].argmax(-1), logits[..., 3:].argmax(-1)], -1)
    np.testing.assert_array_equal(model.generate(z), expected)
    assert len(np.unique(expected)) == 3


def test_continuous_samples_are_drawn_to_where_the_score_is_the_running_log_of_its_odds():
    discriminator = linear((1,), (1,), 2.0, 1.0)
    model = tfgen.create(
        "bs_gan", example=Points(1), latent_size=1, generator=line(1.0, 1.2), discriminator=discriminator, decay=0.9
    )
    batch, z = {"point": tf.zeros((6, 1))}, 1.0
    for step in range(3):
        model._random_count.assign([step, step])
        with model._step_of(0):
            (term,) = model.generator_terms(batch).values()
        model._random_count.assign([step, step])
        with model._step_of(0):
            score = model.score(model.fake(batch)).numpy().astype(np.float64)
        z = 0.9 * z + 0.1 * np.exp(score).mean()
        assert float(model.log_z.numpy()) == pytest.approx(np.log(z), rel=1e-5)
        assert float(term) == pytest.approx(0.5 * np.mean((score - np.log(z)) ** 2), rel=1e-4)
    model.evaluate(np.zeros((6, 1), np.float32), verbose=0)
    assert float(model.log_z.numpy()) == pytest.approx(np.log(z), rel=1e-5)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_the_running_log_does_not_overflow(decay):
    model = tfgen.create("bs_gan", example=Points(1), latent_size=1, decay=decay)
    with model._step_of(0):
        log_z = float(model.running_log_z(tf.constant([500.0, 400.0])))
    # Half of the mean of e^500 and e^400, and half of 1.
    expected = {0.0: 500.0 - np.log(2.0), 0.5: 500.0 - 2.0 * np.log(2.0), 1.0: 0.0}[decay]
    assert log_z == pytest.approx(expected, rel=1e-6)


def test_the_ratio_weighs_candidates_into_samples_of_the_data():
    # q = N(1, 1), p = N(0, 1): log p/q = 1/2 - x.
    model = tfgen.create(
        "bs_gan",
        example=Points(1),
        latent_size=1,
        generator=line(1.0, 1.0),
        discriminator=linear((1,), (1,), -1.0, 0.5),
    )
    x = np.array([[-1.0], [0.0], [2.0]], np.float32)
    np.testing.assert_allclose(model.ratio(x), np.exp(0.5 - x[:, 0]), rtol=1e-5)
    assert model.sample(20_000, seed=1).numpy().mean() == pytest.approx(1.0, abs=0.03)
    drawn = model.resample(5000, 100, seed=1).numpy()
    assert drawn.shape == (5000, 1)
    assert drawn.mean() == pytest.approx(0.0, abs=0.08)
    assert drawn.std() == pytest.approx(1.0, abs=0.05)


def test_binary_pictures_are_discrete_unless_it_is_said_otherwise():
    sizes = {"image_shape": (8, 8, 1), "latent_size": 3, "width": 4}
    for levels, discrete, outputs in [(2, None, 1), (2, False, 1), (5, None, 1), (5, True, 5)]:
        model = tfgen.create("bs_gan", levels=levels, discrete=discrete, **sizes)
        assert model.discrete is (levels == 2 if discrete is None else discrete)
        assert model.generator.output_shape == (None, 8, 8, outputs)
        kinds = {type(layer).__name__ for layer in model.generator.layers + model.discriminator.layers}
        assert ("BatchNormalization" in kinds) is not model.discrete
        assert ("Activation" in kinds) is not model.discrete  # tanh


@pytest.mark.slow
def test_discrete_models_train_repeat_and_come_back(tmp_path):
    x = np.random.default_rng(0).integers(0, 2, (8, 16, 16, 1)).astype(np.uint8)
    model = tfgen.create("bs_gan", image_shape=(16, 16, 1), levels=2, latent_size=3, width=4, draws=3, seed=5)
    history = model.fit(x, batch_size=4, verbose=0).history
    assert set(history) == {
        "loss", "discriminator_loss", "discriminator_real", "discriminator_fake", "generator_loss",
        "generator_likelihood",
    }  # fmt: skip
    assert np.isfinite(list(history.values())).all()
    figures = model.evaluate(x, verbose=0, return_dict=True)
    assert model.evaluate(x, verbose=0, return_dict=True) == pytest.approx(figures, rel=1e-5, abs=1e-6)
    assert 1.0 <= figures["effective_sample_size"] <= 3.0
    model.save(tmp_path / "model.keras")
    loaded = tfgen.load_model(tmp_path / "model.keras")
    for seed in (1, 2):
        np.testing.assert_array_equal(loaded.sample(4, seed=seed), model.sample(4, seed=seed))
        np.testing.assert_array_equal(loaded.resample(2, 3, seed=seed), model.resample(2, 3, seed=seed))
    assert not np.array_equal(model.sample(4, seed=1), model.sample(4, seed=2))


@pytest.mark.parametrize(
    "arguments", [{"example": Points(2), "discrete": True}, {"draws": 1}, {"decay": 1.5}, {"decay": -0.1}]
)
def test_mistakes_are_named(arguments):
    with pytest.raises(InputError, match="bs_gan: "):
        tfgen.create("bs_gan", **arguments)
