"""Proofs of geometric_gan."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.zoo.adversarial_proofs import discriminate, integral, line, measured, on_the_ring, p, q
from tfgen.errors import InputError
from tfgen.specs import Points


@pytest.mark.slow
def test_the_least_hinge_loss_tells_the_total_variation():
    terms = measured(discriminate("geometric_gan", generator_steps=1))
    variation = 0.5 * integral(lambda x: np.abs(p(x) - q(x)))
    assert terms["discriminator_real"] + terms["discriminator_fake"] == pytest.approx(2.0 * (1.0 - variation), abs=0.02)


@pytest.mark.slow
def test_where_both_are_equal_it_is_two():
    terms = measured(discriminate("geometric_gan", generator_steps=1, mean=0.0, deviation=1.0, steps=1000))
    assert terms["discriminator_real"] + terms["discriminator_fake"] == pytest.approx(2.0, abs=0.02)


def plane(weight: float, bias: float) -> keras.Model:
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    network.set_weights([np.full((1, 1), weight), np.full(1, bias)])
    return network


def test_examples_beyond_the_margin_do_not_move_the_discriminator():
    # t(x) = 2x: real ones beyond 1/2 and generated ones below -1/2 are no support vectors.
    model = tfgen.create(
        "geometric_gan", example=Points(1), latent_size=1, generator=line(-3.0, 0.1), discriminator=plane(2.0, 0.0)
    )
    variables = [variable.value for variable in model.discriminator.trainable_variables]
    for x, moves in ((0.6, False), (0.4, True)):
        with tf.GradientTape() as tape, model._step_of(1):
            tape.watch(variables)
            terms = model.discriminator_terms({"point": tf.fill((5, 1), x)})
            loss = terms["real"] + terms["fake"]
        gradients = [float(tf.squeeze(g)) for g in tape.gradient(loss, variables)]
        np.testing.assert_allclose(gradients, [-x, -1.0] if moves else [0.0, 0.0], rtol=1e-6)


def test_the_margin_is_of_the_last_layers_weight_alone():
    discriminator = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    last = discriminator.layers[-1]
    last.set_weights([np.array([[1.0], [2.0], [-2.0]]), np.array([7.0])])
    model = tfgen.create("geometric_gan", example=Points(1), latent_size=1, discriminator=discriminator, softness=10.0)
    with model._step_of(1):
        terms = model.discriminator_terms({"point": tf.zeros((4, 1))})
    assert float(terms["margin"]) == pytest.approx(9.0 / (2.0 * 10.0 * 4.0), rel=1e-6)


def test_a_discriminator_without_a_plane_is_refused():
    network = keras.Sequential([keras.Input((1,)), keras.layers.Activation("tanh")])
    with pytest.raises(InputError, match="no layer with a kernel"):
        tfgen.create("geometric_gan", example=Points(1), latent_size=1, discriminator=network)


@pytest.mark.slow
def test_all_modes_of_the_ring_are_found():
    _, found = on_the_ring("geometric_gan", steps=3000, generator_steps=1)
    assert found.covered == 8
    assert found.high_quality > 0.85
