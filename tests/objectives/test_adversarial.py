import math

import numpy as np
import pytest
import tensorflow as tf

from tfgen.objectives import discriminator_cross_entropy, hinge, least_squares, minimax, non_saturating

LOGITS = tf.constant([-30.0, -2.0, -0.1, 0.0, 0.7, 5.0, 30.0], tf.float64)


def gradient(loss, logits=LOGITS):
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(logits)
    return tape.gradient(value, logits).numpy() * logits.shape[0]


def sigmoid(logits):
    return 1.0 / (1.0 + np.exp(-np.asarray(logits)))


def test_the_discriminator_is_pulled_by_what_it_gets_wrong():
    real = gradient(lambda logits: discriminator_cross_entropy(logits, LOGITS)[0])
    fake = gradient(lambda logits: discriminator_cross_entropy(LOGITS, logits)[1])
    np.testing.assert_allclose(real, -sigmoid(-LOGITS), rtol=1e-12)
    np.testing.assert_allclose(fake, sigmoid(LOGITS), rtol=1e-12)


def test_the_minimax_generator_has_gradient_minus_sigmoid_and_the_non_saturating_one_sigmoid_minus_one():
    np.testing.assert_allclose(gradient(minimax), -sigmoid(LOGITS), rtol=1e-12)
    # The minimax generator maximises the discriminator's loss on fakes.
    assert minimax(LOGITS).numpy() == -discriminator_cross_entropy(LOGITS, LOGITS)[1].numpy()
    np.testing.assert_allclose(gradient(non_saturating), -sigmoid(-LOGITS), rtol=1e-12)


def test_values_are_cross_entropies_of_the_probability():
    real, fake = tf.constant([0.3, -1.2], tf.float64), tf.constant([0.5, 2.0, -0.4], tf.float64)
    on_real, on_fake = discriminator_cross_entropy(real, fake)
    assert on_real.numpy() == pytest.approx(-np.log(sigmoid(real)).mean())
    assert on_fake.numpy() == pytest.approx(-np.log(1.0 - sigmoid(fake)).mean())
    assert non_saturating(fake).numpy() == pytest.approx(-np.log(sigmoid(fake)).mean())


def test_the_optimal_discriminators_loss_is_the_jensen_shannon_divergence():
    # Two states; p = (3/4, 1/4) and q = (1/4, 3/4), written as samples; the optimal logit is log p/q.
    p, q = np.array([0.75, 0.25]), np.array([0.25, 0.75])
    middle = (p + q) / 2
    js = 0.5 * np.sum(p * np.log(p / middle)) + 0.5 * np.sum(q * np.log(q / middle))
    optimal = np.log(p / q)
    at = lambda shift: sum(
        part.numpy()
        for part in discriminator_cross_entropy(tf.constant(optimal[[0, 0, 0, 1]] + shift),
                                                tf.constant(optimal[[0, 1, 1, 1]] + shift))
    )  # fmt: skip
    assert at(0.0) == pytest.approx(2 * math.log(2.0) - 2 * js, abs=1e-12)
    assert at(0.1) > at(0.0) < at(-0.1)


def test_certain_logits_keep_finite_losses_and_gradients():
    logits = tf.constant([-1e4, 1e4])
    for loss in (
        non_saturating,
        lambda logits: discriminator_cross_entropy(logits, logits)[0],
        lambda logits: discriminator_cross_entropy(logits, logits)[1],
    ):
        assert np.isfinite(loss(logits).numpy())
        assert np.isfinite(gradient(loss, logits)).all()


def test_least_squares_pull_every_score_to_the_target():
    np.testing.assert_allclose(gradient(lambda score: least_squares(score, 0.7)), LOGITS.numpy() - 0.7, rtol=1e-12)
    assert least_squares(tf.constant([1.0, -2.0]), 0.5).numpy() == pytest.approx(0.5 * (0.25 + 6.25) / 2)


def test_the_hinge_moves_only_scores_within_the_margin():
    score = tf.constant([-3.0, -0.5, 0.5, 3.0], tf.float64)
    np.testing.assert_array_equal(gradient(lambda score: hinge(score, 1.0), score), [-1.0, -1.0, -1.0, 0.0])
    np.testing.assert_array_equal(gradient(lambda score: hinge(score, -1.0), score), [0.0, 1.0, 1.0, 1.0])
    assert hinge(score, 1.0).numpy() == pytest.approx((4.0 + 1.5 + 0.5) / 4)
