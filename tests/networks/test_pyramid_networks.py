"""The default networks of a pyramid's levels."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.networks.pyramid import (
    coarse_discriminator,
    coarse_generator,
    detail_discriminator,
    detail_generator,
)


def noise(seed, *shape):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def test_networks_have_the_papers_sizes():
    assert [weight.shape for weight in coarse_generator(100, (8, 8, 3)).weights[::2]] == [
        (100, 1200), (1200, 1200), (1200, 192),
    ]  # fmt: skip
    assert [weight.shape for weight in coarse_discriminator((8, 8, 3)).weights[::2]] == [
        (192, 600), (600, 600), (600, 1),
    ]  # fmt: skip
    assert [weight.shape for weight in detail_generator((32, 32, 3)).weights[::2]] == [
        (7, 7, 4, 64), (7, 7, 64, 64), (5, 5, 64, 3),
    ]  # fmt: skip
    assert [weight.shape for weight in detail_discriminator((32, 32, 3)).weights[::2]] == [
        (5, 5, 6, 64), (5, 5, 64, 64), (16 * 16 * 64, 1),
    ]  # fmt: skip


def test_coarse_pictures_are_within_bounds_and_details_are_not():
    coarse, details = coarse_generator(3, (4, 6, 2), width=8), detail_generator((4, 6, 2), width=8)
    for network in (coarse, details):
        network.layers[-1 if network is details else -2].bias.assign([5.0] * (2 if network is details else 48))
    np.testing.assert_allclose(coarse(noise(0, 5, 3)), np.ones((5, 4, 6, 2)), atol=1e-2)
    assert np.mean(details(noise(0, 5, 4, 6, 3))) > 4.0


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda **how: coarse_generator(3, (4, 6, 2), width=8, **how), (3,)),
        (lambda **how: coarse_discriminator((4, 6, 2), width=8, **how), (4, 6, 2)),
        (lambda **how: detail_generator((4, 6, 2), width=8, **how), (4, 6, 3)),
        (lambda **how: detail_discriminator((4, 6, 2), width=8, **how), (4, 6, 4)),
    ],
)
def test_answers_depend_on_the_class_where_there_is_one(make, shape):
    x = tf.repeat(noise(1, 1, *shape), 3, 0)
    assert make()(x).shape[0] == 3
    network = make(classes=3)
    answer = network([x, tf.eye(3)]).numpy()
    assert np.abs(answer[0] - answer[1]).max() > 1e-4
    assert np.abs(answer[1] - answer[2]).max() > 1e-4
    assert make(dtype="mixed_bfloat16")(x).dtype == tf.bfloat16
    half = make(classes=3, dtype="mixed_bfloat16")
    assert half([x, tf.eye(3)]).dtype == tf.bfloat16
    assert {layer.dtype_policy.name for layer in half.layers if layer.weights} == {"mixed_bfloat16"}


def test_discriminators_drop_features_in_training_only():
    for network, shape in (
        (coarse_discriminator((4, 4, 1), width=16), (1, 4, 4, 1)),
        (detail_discriminator((4, 4, 1), width=16), (1, 4, 4, 2)),
    ):
        x = noise(2, *shape)
        np.testing.assert_array_equal(network(x), network(x))
        assert np.abs(network(x, training=True) - network(x, training=True)).max() > 0.0
