"""Proofs of wgan_gp."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.zoo.adversarial_proofs import RING, discriminate, on_the_ring
from tfgen.objectives import between, gradient_norms
from tfgen.specs import Points


class Slopes(keras.layers.Layer):
    """A linear critic whose gradient has a known length."""

    def __init__(self, length):
        super().__init__()
        self.length = length

    def build(self, input_shape):
        slope = self.length * np.array([[0.6], [-0.8]])
        self.slope = self.add_weight(shape=(2, 1), initializer=keras.initializers.Constant(slope))

    def call(self, x):
        return tf.matmul(x, tf.convert_to_tensor(self.slope))


@pytest.mark.parametrize(
    ("length", "one_sided", "expected"), [(5.0, False, 160.0), (5.0, True, 160.0), (0.5, False, 2.5), (0.5, True, 0.0)]
)
def test_gradient_penalty_of_a_linear_critic_is_known(length, one_sided, expected):
    critic = keras.Sequential([keras.Input((2,)), Slopes(length)])
    model = tfgen.create("wgan_gp", example=Points(2), latent_size=2, discriminator=critic, one_sided=one_sided)
    with model._step_of(1):
        terms = model.discriminator_terms({"point": tf.random.stateless_normal((6, 2), (0, 1))})
    assert float(terms["penalty"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("distance", [1.0, 2.0])
def test_a_shift_tilts_the_best_critic_by_the_distance_over_twice_the_penalty(distance):
    model = discriminate("wgan_gp", mean=distance, deviation=1.0, penalty=1.0)
    rng = np.random.default_rng(3)
    x, fake = rng.normal(size=(50_000, 1)), distance + rng.normal(size=(50_000, 1))
    x, fake = tf.constant(x, tf.float32), tf.constant(fake, tf.float32)
    norms = gradient_norms(model.score, between(x, fake, (0, 1)))
    assert np.mean(norms) == pytest.approx(1.0 + distance / 2.0, rel=0.05)
    gap = tf.reduce_mean(model.score(x)) - tf.reduce_mean(model.score(fake))
    assert float(gap) > 0.97 * (distance + distance**2 / 2.0)


@pytest.mark.slow
def test_all_modes_of_the_ring_are_found_and_gradients_have_length_one():
    adam = keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.9)
    model, found = on_the_ring("wgan_gp", steps=10_000, penalty=1.0, optimizer=adam)
    assert found.covered == 8
    assert found.high_quality > 0.6
    real, _ = RING.sample(2000, (5,))
    points = between(tf.constant(real), tf.constant(model.sample(2000, seed=2)), (0, 1))
    assert 0.8 < np.mean(gradient_norms(model.score, points)) < 1.2
