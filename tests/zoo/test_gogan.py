"""Proofs of gogan."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import tfgen
from tests.zoo.adversarial_proofs import RING, coverage, line
from tfgen.specs import Points


def gap(margin: float, steps: int = 1500) -> tuple[float, float]:
    """Returns the loss of a critic that met N(0, 1) and N(5, 1), and its gap between them."""
    x = np.random.default_rng(0).normal(size=(steps * 256, 1)).astype(np.float32)
    model = tfgen.create(
        "gogan",
        example=Points(1),
        latent_size=1,
        generations=1,
        margin=margin,
        clip=1e9,
        discriminator_steps=1,
        generator=line(5.0, 1.0),
    )
    optimizers = {"discriminator": keras.optimizers.Adam(1e-3), "generator": keras.optimizers.SGD(0.0)}
    model.compile(optimizers, steps_per_execution=50)
    model.fit(x, batch_size=256, verbose=0)
    scores = [tf.reduce_mean(model.discriminate(x[:10_000] + shift)) for shift in (0.0, 5.0)]
    loss = model.evaluate(x[:10_000], batch_size=1000, verbose=0, return_dict=True)["discriminator_margin"]
    return loss, float(scores[0] - scores[1])


def test_a_pair_beyond_the_margin_does_not_move_the_critic():
    plane = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    plane.set_weights([np.ones((1, 1)), np.zeros(1)])
    model = tfgen.create(
        "gogan", example=Points(1), latent_size=1, generator=line(0.0, 0.0), discriminator=plane, margin=1.0
    )
    # Scores of generated points are 0. Of these gaps the second is short by 0.75, and alone gives a gradient.
    x = tf.constant([[1.5], [0.25], [3.0], [1.01]])
    variables = [v.value for v in plane.trainable_variables]
    with tf.GradientTape() as tape, model._step_of(1):
        tape.watch(variables)
        loss = model.discriminator_terms({"point": x})["margin"]
    assert float(loss) == pytest.approx(0.75 / 4)
    np.testing.assert_allclose([float(tf.squeeze(g)) for g in tape.gradient(loss, variables)], [-0.25 / 4, 0.0])


@pytest.mark.slow
def test_the_margin_bounds_the_gap():
    loss, found = gap(1.0)
    assert loss < 0.01
    assert 1.0 < found < 50.0
    # A margin that is never reached is WGAN's critic, which without clipping has no bound.
    _, found = gap(1e9)
    assert found > 1e4


def sliced_wasserstein(x, y, directions: int = 64) -> float:
    rng = np.random.default_rng(0)
    angles = rng.uniform(0.0, np.pi, directions)
    lines = np.stack([np.cos(angles), np.sin(angles)])
    return np.mean([scipy.stats.wasserstein_distance(a, b) for a, b in zip((x @ lines).T, (y @ lines).T, strict=True)])


@pytest.fixture(scope="module")
def two_generations():
    keras.utils.set_random_seed(0)
    model = tfgen.create("gogan", example=Points(2), latent_size=2, seed=0, generations=2, clip=0.1, same_critic=True)
    model.compile(keras.optimizers.RMSprop(5e-4, rho=0.99), steps_per_execution=50)
    x = RING.sample(256 * 6000, (0,))[0]
    model.fit(x, batch_size=256, epochs=2, verbose=0)
    return model


@pytest.mark.slow
def test_the_second_generation_finds_all_modes_and_is_not_worse_than_the_first(two_generations):
    z = np.random.default_rng(1).normal(size=(5000, 2)).astype(np.float32)
    first, second = np.moveaxis(two_generations.all_generations(z).numpy(), 1, 0)
    real = np.array(RING.sample(5000, (7,))[0])
    assert coverage(second).covered == 8
    assert sliced_wasserstein(second, real) < sliced_wasserstein(first, real)
    np.testing.assert_array_equal(second, two_generations.generate(z))


@pytest.mark.slow
def test_real_points_outrank_samples_and_these_the_former_ones(two_generations):
    z = np.random.default_rng(1).normal(size=(5000, 2)).astype(np.float32)
    first, second = np.moveaxis(two_generations.all_generations(z).numpy(), 1, 0)
    real, new, old = (
        float(tf.reduce_mean(two_generations.discriminate(x))) for x in (RING.sample(5000, (7,))[0], second, first)
    )
    assert real > new > old


def scored(value: float) -> keras.Model:
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    network.set_weights([np.zeros((1, 1)), np.full(1, value)])
    return network


@pytest.mark.parametrize(("same_critic", "ranking"), [(False, 0.5 * (7.0 + 2.0 * 0.25 - 3.0)), (True, 0.5 * 0.5)])
def test_the_second_generation_begins_with_the_first_and_ranks_against_it(same_critic, ranking):
    model = tfgen.create(
        "gogan", example=Points(1), latent_size=1, generations=2, margin=0.25, clip=np.inf, same_critic=same_critic,
        generator=line(1.0, 1.0), discriminator=scored(7.0),
    )  # fmt: skip
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(np.ones((4, 1), np.float32), epochs=2, verbose=0)
    for former, present in (
        (model.former_generators[0], model.generator),
        (model.former_discriminators[0], model.discriminator),
    ):
        for one, other in zip(former.get_weights(), present.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    # The former critic gives 7 to everything, the present one now 3.
    model.discriminator.set_weights(scored(3.0).get_weights())
    with model._step_of(1):
        terms = model.discriminator_terms({"point": tf.ones((4, 1))})
    assert float(terms["margin"]) == pytest.approx(0.25)
    assert float(terms["ranking"]) == pytest.approx(ranking)
