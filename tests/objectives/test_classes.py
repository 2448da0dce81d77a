"""Losses of discriminators that know classes, in closed form."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfgen.objectives import (
    activation_maximization,
    class_cross_entropy,
    entropy,
    feature_matching,
    label_gan,
    marginal_entropy,
    real_logit,
)

LOGITS = tf.constant(np.random.default_rng(0).normal(scale=2.0, size=(6, 5)))


def softmax(logits):
    exponentials = np.exp(np.asarray(logits))
    return exponentials / exponentials.sum(-1, keepdims=True)


def gradient(loss, logits=LOGITS):
    """Returns the gradient for each example of what is a mean over them."""
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(logits)
    return tape.gradient(value, logits).numpy() * logits.shape[0]


def test_entropy_is_log_k_where_all_classes_are_as_likely_and_0_where_one_is_certain():
    sure = tf.constant([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0], [7.0, 7.0, 7.0]])
    np.testing.assert_allclose(entropy(sure), [0.0, math.log(3.0), math.log(3.0)], atol=1e-6)
    assert np.isfinite(gradient(lambda logits: tf.reduce_mean(entropy(logits)), sure)).all()
    p = softmax(LOGITS)
    np.testing.assert_allclose(entropy(LOGITS), -(p * np.log(p)).sum(-1), rtol=1e-10)


def test_marginal_entropy_is_that_of_the_mean_not_the_mean_of_entropies():
    mean = softmax(LOGITS).mean(0)
    assert float(marginal_entropy(LOGITS)) == pytest.approx(-(mean * np.log(mean)).sum(), rel=1e-10)
    # Sure of each example, and of another class each time.
    sure = 1e4 * tf.eye(4)
    assert float(marginal_entropy(sure)) == pytest.approx(math.log(4.0), rel=1e-6)
    np.testing.assert_allclose(entropy(sure), 0.0, atol=1e-6)
    assert np.isfinite(gradient(marginal_entropy, sure)).all()


def test_examples_without_a_class_do_not_count():
    label = np.array([2, -1, 0, -1, 4, -1])
    known = label >= 0
    expected = -np.log(softmax(LOGITS))[known, label[known]].mean()
    assert float(class_cross_entropy(LOGITS, label)) == pytest.approx(expected, rel=1e-10)
    slope = gradient(lambda logits: class_cross_entropy(logits, label)) / 2.0
    np.testing.assert_array_equal(slope[~known], 0.0)
    np.testing.assert_allclose(slope[known], softmax(LOGITS)[known] - np.eye(5)[label[known]], rtol=1e-10)


def test_a_batch_without_any_class_has_no_loss_and_no_gradient():
    nothing = np.full(6, -1)
    assert float(class_cross_entropy(LOGITS, nothing)) == 0.0
    np.testing.assert_array_equal(gradient(lambda logits: class_cross_entropy(logits, nothing)), 0.0)


def test_activation_maximization_moves_each_logit_by_how_far_it_is_from_the_target():
    target = np.array([3, 0, 1, 2, 2, 0])
    slope = gradient(lambda logits: activation_maximization(logits, target))
    np.testing.assert_allclose(-slope, np.eye(5)[target] - softmax(LOGITS), rtol=1e-10)


def test_the_target_is_the_likeliest_class_and_never_that_of_generated_examples():
    certain_fakes = tf.concat([LOGITS[:, :4], tf.fill((6, 1), tf.constant(50.0, tf.float64))], -1)
    likeliest = np.argmax(LOGITS[:, :4], -1)
    for logits in (LOGITS, certain_fakes):
        slope = gradient(activation_maximization, logits)
        np.testing.assert_allclose(-slope, np.eye(5)[likeliest] - softmax(logits), rtol=1e-10, atol=1e-20)


def test_label_gan_shares_its_gradient_among_the_classes_by_what_they_have():
    p = softmax(LOGITS)
    real = p[:, :4].sum(-1, keepdims=True)
    expected = np.concatenate([(1.0 - real) * p[:, :4] / real, -(1.0 - real)], -1)
    np.testing.assert_allclose(-gradient(label_gan), expected, rtol=1e-10)
    assert float(label_gan(LOGITS)) == pytest.approx(-np.log(real).mean(), rel=1e-10)


def test_the_loss_is_that_of_being_real_and_that_of_the_class_of_what_is_real():
    v = np.random.default_rng(1).dirichlet(np.ones(5), size=6)
    whole = -(v * np.log(softmax(LOGITS))).sum(-1)
    v_real = v[:, :4].sum(-1)
    classes = -(v[:, :4] / v_real[:, None] * np.log(softmax(LOGITS[:, :4]))).sum(-1)
    logit = real_logit(LOGITS).numpy()
    real_or_fake = v_real * np.log1p(np.exp(-logit)) + (1.0 - v_real) * np.log1p(np.exp(logit))
    np.testing.assert_allclose(whole, v_real * classes + real_or_fake, atol=1e-6)
    # AM-GAN is LabelGAN and a classifier of samples.
    target = np.argmax(LOGITS[:, :4], -1)
    parts = label_gan(LOGITS) + class_cross_entropy(LOGITS[:, :4], target)
    assert float(activation_maximization(LOGITS)) == pytest.approx(float(parts), abs=1e-6)


def test_a_logit_of_generated_examples_that_is_fixed_at_0_leaves_the_log_of_the_sum():
    fixed = tf.concat([LOGITS, tf.zeros((6, 1), tf.float64)], -1)
    np.testing.assert_allclose(real_logit(fixed), tf.reduce_logsumexp(LOGITS, -1), rtol=1e-12)
    probability = 1.0 / (1.0 + np.exp(-real_logit(fixed).numpy()))
    np.testing.assert_allclose(probability, 1.0 - softmax(fixed)[:, -1], rtol=1e-12)


def test_features_are_matched_by_the_squared_distance_of_their_means():
    real, fake = tf.constant([[1.0, 0.0, 2.0], [3.0, 0.0, 2.0]]), tf.constant([[1.0, 2.0, 2.0]])
    assert float(feature_matching(real, fake)) == pytest.approx(1.0 + 4.0)
    assert float(feature_matching(real, tf.constant([[2.0, 0.0, 2.0]]))) == 0.0
