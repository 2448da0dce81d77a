"""Proofs of bayesian_gan; those of its sampler are in tests/test_optimizers.py."""

import keras
import numpy as np
import pytest
import scipy.spatial
import tensorflow as tf

import tfgen
from tests.zoo.adversarial_proofs import RING, line, weak_networks
from tfgen.specs import Points


def fit_weak(generator_draws: int, epochs: int = 157, seed: int = 0):
    """Returns a model of weak generators, 4000 points of the ring, and the share of these near each one's samples."""
    keras.utils.set_random_seed(seed)
    model = tfgen.create(
        "bayesian_gan", example=Points(2), latent_size=1, generator_draws=generator_draws, chains=1, seed=seed,
        **weak_networks(),
        data_size=4000, warm_up=800 / 2500,
    )  # fmt: skip
    adam = {
        f"warm_{name}": keras.optimizers.Adam(3e-3, beta_1=0.5, beta_2=0.9) for name in ("discriminator", "generator")
    }
    model.compile(model.default_optimizers() | adam)
    x = RING.sample(4000, (seed,))[0]
    model.fit(x, batch_size=256, epochs=epochs, verbose=0)
    return model, x


def near(samples, x) -> float:
    return float(np.mean(scipy.spatial.cKDTree(samples).query(x)[0] < 0.2))


@pytest.mark.slow
def test_the_posterior_covers_what_no_single_generator_does():
    model, x = fit_weak(6)
    z = np.random.default_rng(5).normal(size=(3000, 1)).astype(np.float32)
    samples = [generator(z).numpy() for generator in model.generator.components]
    assert max(near(one, x) for one in samples) < 0.6
    assert near(np.concatenate(samples), x) >= 0.95
    assert near(model.sample(18_000, seed=1), x) >= 0.95


def plane(weight: float, bias: float) -> keras.Model:
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    network.set_weights([np.full((1, 1), weight), np.full(1, bias)])
    return network


def test_potentials_are_of_all_data_with_the_prior_of_each_weight_once():
    # Both generators make 2, whatever the code; D scores 0.5 x - 1: 0 for those, -0.5 for the data.
    model = tfgen.create(
        "bayesian_gan", example=Points(1), latent_size=1, generator_draws=2, discriminator_draws=1, chains=1,
        generator=line(2.0, 0.0), discriminator=plane(0.5, -1.0), data_size=1000, prior_deviation=2.0,
    )  # fmt: skip
    model.generator.components[1].set_weights(line(2.0, 0.0).get_weights())
    with model._step_of(1):
        batch = {"point": tf.ones((4, 1))}
        d, g = model.discriminator_terms(batch), model.generator_terms(batch)
    softplus = lambda t: np.log1p(np.exp(t))
    assert float(d["real"]) == pytest.approx(1000 * softplus(0.5), rel=1e-5)
    assert float(d["fake"]) == pytest.approx(1000 * softplus(0.0), rel=1e-5)
    assert float(d["prior"]) == pytest.approx((0.25 + 1.0) / 8.0)
    # The sum over two generators of their potentials.
    assert float(g["fooling"]) == pytest.approx(2 * 1000 * softplus(0.0), rel=1e-5)
    assert float(g["prior"]) == pytest.approx(2 * 4.0 / 8.0)


def test_each_generator_feels_its_own_potential_alone():
    model = tfgen.create(
        "bayesian_gan", example=Points(1), latent_size=1, generator_draws=3, chains=1, generator=line(2.0, 0.0),
        discriminator=plane(1.0, 0.0), data_size=10, prior_deviation=1e9,
    )  # fmt: skip
    offsets = (0.0, 1.0, 2.0)
    for generator, offset in zip(model.generator.components, offsets, strict=True):
        generator.set_weights(line(offset, 0.0).get_weights())
    biases = [generator.trainable_variables[1].value for generator in model.generator.components]
    with tf.GradientTape() as tape, model._step_of(1):
        tape.watch(biases)
        loss = tf.add_n(list(model.generator_terms({"point": tf.ones((4, 1))}).values()))
    # d/db N softplus(-(b)) = -N sigmoid(-b), whatever the other generators do.
    found = [float(g[0]) for g in tape.gradient(loss, biases)]
    np.testing.assert_allclose(found, [-10.0 / (1.0 + np.exp(offset)) for offset in offsets], rtol=1e-5)


def test_the_score_is_that_of_the_mean_probability():
    model = tfgen.create(
        "bayesian_gan", example=Points(1), latent_size=1, generator_draws=1, discriminator_draws=2, chains=1,
        generator=line(0.0, 1.0), discriminator=plane(1.0, 0.0),
    )  # fmt: skip
    model.discriminators[1].set_weights(plane(-2.0, 1.0).get_weights())
    x = np.array([[-1.0], [0.0], [3.0]], np.float32)
    both = 1.0 / (1.0 + np.exp([-x[:, 0], 2.0 * x[:, 0] - 1.0]))
    mean = both.mean(0)
    np.testing.assert_allclose(model.discriminate(x), np.log(mean / (1.0 - mean)), rtol=1e-5)
    np.testing.assert_allclose(model.disagreement(x), both.std(0), rtol=1e-5)


def test_draws_and_chains_multiply():
    model = tfgen.create(
        "bayesian_gan", example=Points(1), latent_size=1, generator_draws=3, discriminator_draws=2, chains=2, width=4
    )
    assert (len(model.generator.components), len(model.discriminators)) == (6, 4)
    assert model.sample(5, seed=0).shape == (5, 1)
