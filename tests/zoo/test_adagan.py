"""Proofs of adagan."""

import keras
import numpy as np
import pytest
import scipy.spatial
import tensorflow as tf

import tfgen
from tests.zoo.adversarial_proofs import RING, line, weak_networks
from tfgen.specs import Points


def covered(model, x, components: int) -> float:
    """Returns the share of data within 0.2 of a sample of the first components."""
    z = np.random.default_rng(5).normal(size=(3000, model.latent_size - 1)).astype(np.float32)
    samples = np.concatenate([network(z) for network in model.generator.components[:components]])
    return float(np.mean(scipy.spatial.cKDTree(samples).query(x)[0] < 0.2))


@pytest.mark.slow
def test_weak_components_together_cover_the_ring():
    keras.utils.set_random_seed(0)
    model = tfgen.create(
        "adagan", example=Points(2), latent_size=1, components=8, seed=0,
        **weak_networks(),
    )  # fmt: skip
    model.compile(keras.optimizers.Adam(3e-3, beta_1=0.5, beta_2=0.9), steps_per_execution=50)
    # 8 components of 800 steps, and 7 classifiers of 267.
    x = RING.sample(256 * 267, (0,))[0]
    model.fit(x, batch_size=256, epochs=31, verbose=0)
    shares = [covered(model, x[:2000], components) for components in range(1, 9)]
    assert shares[0] < 0.6
    assert shares[-1] >= 0.95
    np.testing.assert_allclose(model.generator.shares, 1 / 8, rtol=1e-6)


def known_ratio(slope: float, bias: float) -> keras.Model:
    """Returns a classifier whose log odds are linear, so that h(x) = exp(-slope * x - bias)."""
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    network.set_weights([np.full((1, 1), slope), np.full(1, bias)])
    return network


def test_the_second_component_is_drawn_for_what_the_first_misses():
    # Data in two modes, -1 and 1; the mixture covers the first alone: h = 2 and (nearly) 0.
    model = tfgen.create(
        "adagan", example=Points(1), latent_size=1, components=2, seed=0, generator=line(-1.0, 0.1),
        discriminator=known_ratio(0.0, 0.0), classifier=known_ratio(10.0, 10.0 - np.log(2.0)),
    )  # fmt: skip
    x = np.concatenate([np.full((50, 1), -1.0), np.full((50, 1), 1.0)]).astype(np.float32)
    model.begin_component(1, [{"point": tf.constant(x[:60])}, {"point": tf.constant(x[60:])}])
    assert model.thresholds.numpy()[1] == pytest.approx(1.0)
    np.testing.assert_allclose(model.generator.shares, 0.5)
    np.testing.assert_allclose(model.weigh(x), np.repeat([0.0, 2.0], 50), atol=1e-6)
    with model._step_of(1):
        drawn = model.reweighted(1, {"point": tf.constant(x)})
        assert np.all(drawn.numpy() == 1.0)
        # The first component and the classifier see the data as they are.
        np.testing.assert_array_equal(model.reweighted(0, {"point": tf.constant(x)}), x)
        # A batch without weight is drawn from all the same.
        drawn = model.reweighted(1, {"point": tf.constant(x[:50])})
        assert np.all(drawn.numpy() == -1.0)


def test_examples_are_drawn_in_proportion_to_their_weights():
    model = tfgen.create(
        "adagan", example=Points(1), latent_size=1, components=2, generator=line(0.0, 1.0),
        discriminator=known_ratio(0.0, 0.0), classifier=known_ratio(-np.log(4.0), 0.0),
    )  # fmt: skip
    # h = 4^x: 1.6 and 0.4 weigh 0.2 and 0.8 of beta = 1/2.
    x = np.repeat([np.log(1.6) / np.log(4.0), np.log(0.4) / np.log(4.0)], 5000)[:, None].astype(np.float32)
    model.begin_component(1, [{"point": tf.constant(x)}])
    with model._step_of(1):
        drawn = model.reweighted(1, {"point": tf.constant(x)}).numpy()
    assert np.mean(drawn > 0.0) == pytest.approx(0.2, abs=4 * np.sqrt(0.16 / 10_000))


@pytest.mark.slow
def test_the_classifier_learns_how_densely_the_mixture_covers():
    # Data N(0, 1), mixture N(0.5, 1): log h = 0.5 x - 0.125.
    model = tfgen.create(
        "adagan", example=Points(1), latent_size=1, components=2, generator=line(0.5, 1.0),
        discriminator=known_ratio(0.0, 0.0), classifier=known_ratio(0.0, 0.0),
    )  # fmt: skip
    optimizers = {player.name: keras.optimizers.SGD(0.0) for player in model.players()}
    model.compile(optimizers | {"classifier_2": keras.optimizers.Adam(3e-3)}, steps_per_execution=50)
    x = np.random.default_rng(0).normal(size=(256 * 1000, 1)).astype(np.float32)
    model.fit(x, batch_size=256, epochs=3, verbose=0)
    at = np.array([[-1.0], [0.0], [1.0], [2.0]], np.float32)
    np.testing.assert_allclose(np.log(model.relative_density(1, at)), 0.5 * at[:, 0] - 0.125, atol=0.08)


@pytest.mark.slow
@pytest.mark.parametrize(("beta", "shares"), [(None, [1 / 3] * 3), (0.5, [0.25, 0.25, 0.5])])
def test_a_new_component_takes_its_share_from_all_others(beta, shares):
    model = tfgen.create("adagan", example=Points(1), latent_size=1, components=3, width=4, beta=beta)
    model.fit(np.zeros((8, 1), np.float32), epochs=5, verbose=0)
    np.testing.assert_allclose(model.generator.shares, shares, rtol=1e-6)
    assert model.stage == 4


def test_a_mixture_of_one_has_no_classifier():
    model = tfgen.create("adagan", example=Points(1), latent_size=1, components=1, width=4)
    assert [player.name for player in model.players()] == ["discriminator_1", "generator_1"]
    assert "weigh" not in model.endpoints()
    model.fit(np.zeros((8, 1), np.float32), verbose=0)
