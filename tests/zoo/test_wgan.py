"""Proofs of wgan."""

import keras
import numpy as np
import pytest

import tfgen
from tests.zoo.adversarial_proofs import line, on_the_ring
from tfgen.networks import mlp
from tfgen.specs import Images, Points


def test_every_weight_of_the_critic_is_clipped_after_every_step_and_none_of_the_generator():
    model = tfgen.create("wgan", example=Points(2), latent_size=2, clip=0.02, discriminator_steps=1)
    model.compile(keras.optimizers.RMSprop(0.5), run_eagerly=True)
    seen = []

    class AfterEachStep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(max(np.abs(weight.numpy()).max() for weight in self.model.discriminator.weights))

    points = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    model.fit(points, batch_size=4, verbose=0, callbacks=[AfterEachStep()])
    np.testing.assert_allclose(seen, [0.02] * 3, rtol=1e-6)
    assert max(np.abs(weight.numpy()).max() for weight in model.generator.weights) > 0.4


def test_the_critic_of_pictures_has_no_batch_normalisation():
    model = tfgen.create("wgan", example=Images((8, 8, 1)), latent_size=4, width=4)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.discriminator.layers)
    assert any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.generator.layers)


@pytest.mark.slow
def test_the_gap_grows_with_the_distance_and_does_not_saturate():
    gaps = []
    for distance in (1.0, 2.0, 4.0):
        keras.utils.set_random_seed(0)
        critic = mlp((1,), (1,), hidden=(64, 64), activation="leaky_relu", name="discriminator")
        model = tfgen.create(
            "wgan", example=Points(1), latent_size=1, clip=0.05, generator=line(distance, 1.0), discriminator=critic
        )
        optimizers = {"discriminator": keras.optimizers.RMSprop(5e-4), "generator": keras.optimizers.SGD(0.0)}
        model.compile(optimizers, steps_per_execution=50)
        x = np.random.default_rng(0).normal(size=(1500 * 256, 1)).astype(np.float32)
        model.fit(x, batch_size=256, verbose=0)
        gaps.append(-model.evaluate(x[:100_000], batch_size=20_000, verbose=0, return_dict=True)["discriminator_loss"])
    assert 0.0 < gaps[0] < gaps[1] < gaps[2]
    assert 2.5 < gaps[2] / gaps[0] < 4.5


@pytest.mark.slow
def test_all_modes_of_the_ring_are_found():
    optimizer = keras.optimizers.RMSprop(1e-3)
    _, found = on_the_ring("wgan", steps=12_500, clip=0.1, optimizer=optimizer)
    assert found.covered == 8
    assert found.high_quality > 0.6
