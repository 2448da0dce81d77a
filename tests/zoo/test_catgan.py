"""Proofs of catgan."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.zoo.few_label_proofs import (
    DIGITS,
    SMALL,
    accuracy,
    always,
    digits,
    identity,
    supervised_accuracy,
    terms_of,
    with_few_labels,
)
from tfgen.errors import InputError
from tfgen.specs import Labels, Points

FAKE = [0.5, -1.0, 2.0]
X = np.random.default_rng(0).normal(scale=2.0, size=(6, 3)).astype(np.float32)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def entropy(p):
    return -(p * np.log(p)).sum(-1)


def of_known_logits(**arguments):
    networks = {"generator": always(FAKE, 2), "discriminator": identity(3)}
    return tfgen.create("catgan", example=Points(3), latent_size=2, **networks, **arguments)


@pytest.mark.slow
def test_three_labels_of_each_class_are_enough_where_a_classifier_would_want_more():
    train, test = digits()
    model = with_few_labels("catgan", train)
    assert accuracy(model, test) > supervised_accuracy(model, train, test) + 0.08


@pytest.mark.slow
def test_digits_are_sorted_without_any_label():
    train, test = digits()
    model = clustered(train)
    # Clusters may be several to a class: each is named after the class that it mostly holds.
    found, p = np.argmax(model.classify(train["image"]), -1), np.mean(model.classify(train["image"]), 0)
    names = np.array([np.bincount(train["label"][found == cluster], minlength=10).argmax() for cluster in range(10)])
    assert np.mean(names[np.argmax(model.classify(test["image"]), -1)] == test["label"]) > 0.65
    assert entropy(p) > 2.2


def clustered(train, seed: int = 0):
    keras.utils.set_random_seed(seed)
    model = tfgen.create("catgan", example=DIGITS, clusters=10, seed=seed, **SMALL)
    model.compile(keras.optimizers.Adam(1e-3, beta_1=0.5), steps_per_execution=20)
    batches = tf.data.Dataset.from_tensor_slices({"image": train["image"]}).shuffle(1297, seed=seed).repeat().batch(128)
    model.fit(batches.take(2500), verbose=0)
    return model


def test_the_discriminator_is_sure_of_real_examples_of_all_classes_and_unsure_of_generated_ones():
    label = np.array([0, -1, 2, -1, -1, 1], np.int32)
    terms = terms_of(of_known_logits(label=Labels(3, partial=True), label_weight=0.5), {"point": X, "label": label})
    p, q, known = softmax(X), softmax(np.array(FAKE)), label >= 0
    assert terms["discriminator"] == pytest.approx(
        {
            "balance": -entropy(p.mean(0)),
            "sure": entropy(p).mean(),
            "unsure": -entropy(q),
            "labelled": -0.5 * np.log(p[known, label[known]]).mean(),
        },
        rel=1e-5,
    )


def test_the_generator_wants_the_discriminator_to_be_sure_and_all_classes():
    model = of_known_logits(clusters=3)
    # Samples that differ: the code itself.
    model.generator.set_weights([np.random.default_rng(1).normal(size=(2, 3)), np.zeros(3)])
    batch = {"point": tf.constant(X)}
    with model._step_of(1):
        p = softmax(model.fake(batch).numpy().astype(np.float64))
    model._random_count.assign([0, 0])
    with model._step_of(1):
        terms = {name: float(value) for name, value in model.generator_terms(batch).items()}
    assert terms == pytest.approx({"balance": -entropy(p.mean(0)), "sure": entropy(p).mean()}, rel=1e-5)


def test_without_labels_it_has_as_many_classes_as_clusters_and_wants_none():
    model = tfgen.create("catgan", example=Points(2), latent_size=2, clusters=7)
    assert model.classify(X[:, :2]).shape == (6, 7)
    assert set(terms_of(model, {"point": X[:, :2]})["discriminator"]) == {"balance", "sure", "unsure"}
    model.fit(X[:, :2], batch_size=6, verbose=0)
    assert "accuracy" not in model.evaluate(X[:, :2], verbose=0, return_dict=True)


def test_it_answers_with_probabilities_and_with_how_sure_it_is():
    model = of_known_logits(label=Labels(3))
    np.testing.assert_allclose(model.classify(X), softmax(X), rtol=1e-5)
    np.testing.assert_allclose(model.discriminate(X), -entropy(softmax(X)), rtol=1e-4)
    np.testing.assert_allclose(model.discriminate(np.zeros((1, 3))), -np.log(3.0), rtol=1e-5)
    label = np.argmax(X, -1).astype(np.int32)
    label[:3] = (label[:3] + 1) % 3
    figures = model.evaluate({"point": X, "label": label}, batch_size=4, verbose=0, return_dict=True)
    assert figures["accuracy"] == pytest.approx(0.5)


def test_the_accuracy_is_of_the_examples_whose_class_is_known():
    label = np.argmax(X, -1).astype(np.int32)
    label[::2] = -1
    label[1] = (label[1] + 1) % 3
    model = of_known_logits(label=Labels(3, partial=True))
    figures = model.evaluate({"point": X, "label": label}, batch_size=3, verbose=0, return_dict=True)
    assert figures["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("hidden", [None, (8, 6)])
def test_the_discriminator_is_noisy_in_training_alone(hidden):
    model = tfgen.create("catgan", example=DIGITS, width=4, hidden=hidden, clusters=3, latent_size=2)
    noises = [layer.stddev for layer in model.discriminator.layers if isinstance(layer, keras.layers.GaussianNoise)]
    assert noises == [0.3, *([0.5] * (2 if hidden else 1))]
    x = tf.zeros((2, 8, 8, 1))
    one, two = model.discriminator(x, training=True), model.discriminator(x, training=True)
    assert not np.array_equal(one, two)
    np.testing.assert_array_equal(model.logits(x), model.logits(x))


def test_one_class_is_none():
    with pytest.raises(InputError, match="catgan: 1 classes; it sorts examples into two or more"):
        tfgen.create("catgan", example=Points(2), clusters=1)
