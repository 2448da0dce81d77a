"""Proofs of am_gan."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.svm import SVC

import tfgen
from tests.zoo.adversarial_proofs import RING, coverage
from tests.zoo.few_label_proofs import DIGITS, SMALL, accuracy, always, digits, identity, terms_of
from tfgen.errors import InputError
from tfgen.evaluation import label_coverage
from tfgen.specs import Labels, Points

FAKE = [0.5, -1.0, 1.5, 2.0]
X = np.random.default_rng(0).normal(scale=2.0, size=(6, 4)).astype(np.float32)
LABEL = np.array([0, 2, 1, 1, 0, 2], np.int32)


def of_known_logits(*, inputs=2, **arguments):
    networks = {"generator": always(FAKE, inputs), "discriminator": identity(4)}
    return tfgen.create("am_gan", example=Points(4), label=Labels(3), latent_size=2, **networks, **arguments)


def log_softmax(logits):
    return np.asarray(logits) - np.log(np.exp(logits).sum(-1, keepdims=True))


def on_the_labelled_ring(seed: int = 0, beta_2: float = 0.999, steps: int = 3000, **arguments):
    keras.utils.set_random_seed(seed)
    model = tfgen.create("am_gan", example=Points(2), label=Labels(8), latent_size=2, seed=seed, **arguments)
    model.compile(keras.optimizers.Adam(1e-3, beta_1=0.5, beta_2=beta_2), steps_per_execution=50)
    points, modes = RING.sample(256 * steps, (seed,))
    model.fit(points, modes, batch_size=256, verbose=0)
    return model


@pytest.mark.slow
def test_each_class_that_is_asked_for_is_a_mode_of_the_ring():
    model = on_the_labelled_ring(beta_2=0.9, predefined=True, noise=0.0)
    asked = np.arange(5000) % 8
    points = model.sample(5000, seed=1, label=asked).numpy()
    nearest = ((points[:, None] - RING.modes) ** 2).sum(-1).argmin(1)
    assert coverage(points).covered == 8
    assert np.mean(nearest == asked) >= 0.98


@pytest.mark.slow
def test_all_modes_of_the_ring_are_found_by_what_samples_resemble():
    found = coverage(on_the_labelled_ring(noise=0.3).sample(5000, seed=1))
    assert found.covered == 8
    assert found.high_quality >= 0.55


def on_digits(train, seed: int = 0):
    keras.utils.set_random_seed(seed)
    noise = {"noise": 0.3, "hidden_noise": 0.5}
    model = tfgen.create("am_gan", example=DIGITS, label=Labels(10), seed=seed, **SMALL, **noise)
    model.compile(keras.optimizers.Adam(1e-3, beta_1=0.5), steps_per_execution=20)
    batches = tf.data.Dataset.from_tensor_slices(train).shuffle(1297, seed=seed).repeat().batch(64)
    model.fit(batches.take(2500), verbose=0)
    return model


@pytest.mark.slow
def test_all_digits_are_made_and_told():
    train, test = digits()
    model = on_digits(train)
    flat = lambda image: np.asarray(DIGITS.to_network(image)).reshape(-1, 64)
    judge = SVC(gamma=0.02, C=10).fit(flat(train["image"]), train["label"])
    made = label_coverage(judge.predict(flat(model.sample(2000, seed=1))), 10)
    assert made.smallest >= 0.02
    assert accuracy(model, test) >= 0.95


def test_the_discriminator_tells_classes_of_real_examples_and_what_is_generated():
    terms = terms_of(of_known_logits(), {"point": X, "label": LABEL})
    expected = {"real": -log_softmax(X)[np.arange(6), LABEL].mean(), "fake": -log_softmax(FAKE)[3]}
    assert terms["discriminator"] == pytest.approx(expected, rel=1e-5)


def test_the_generator_is_pulled_to_the_likeliest_class_or_to_the_one_that_was_asked_for():
    batch = {"point": X, "label": LABEL}
    # The likeliest class is 2, although the example is likelier still to be generated.
    assert terms_of(of_known_logits(), batch)["generator"] == pytest.approx({"class": -log_softmax(FAKE)[2]}, rel=1e-5)
    asked = terms_of(of_known_logits(predefined=True, inputs=5), batch)["generator"]
    assert asked == pytest.approx({"class": -log_softmax(FAKE)[LABEL].mean()}, rel=1e-5)


def test_what_the_generator_is_told_is_what_it_is_judged_by():
    # A generator that makes of each class its logits, and one that mixes two up.
    losses = []
    for classes in (np.eye(4)[:3], np.eye(4)[[1, 0, 2]]):
        model = of_known_logits(predefined=True, inputs=5)
        model.generator.set_weights([np.concatenate([np.zeros((2, 4)), 9.0 * classes]), np.zeros(4)])
        losses.append(terms_of(model, {"point": X, "label": LABEL})["generator"]["class"])
    assert losses[0] < 0.01
    assert losses[1] > 5.0


def test_samples_can_be_asked_for_by_class_where_classes_are_predefined():
    model = of_known_logits(predefined=True, inputs=5)
    model.generator.set_weights([np.concatenate([np.zeros((2, 4)), np.eye(4)[:3]]), np.zeros(4)])
    label, z = np.array([2, 0, 1]), np.random.default_rng(1).normal(size=(3, 2)).astype(np.float32)
    for points in (model.sample(3, label=label), model.generate(z, label=label), model.preview(3, label=label)):
        np.testing.assert_array_equal(points, np.eye(4)[label])
    between = model.interpolate(z, z[::-1], steps=4, label=label).numpy()
    np.testing.assert_array_equal(between, np.repeat(np.eye(4)[label][:, None], 4, 1))
    with pytest.raises(InputError, match=r"pass one label 0\.\.2 per example"):
        model.sample(3)
    with pytest.raises(InputError, match=r"values -1\.\.0, expected 0\.\.2"):
        model.sample(2, label=[0, -1])
    assert "arithmetic" not in model.endpoints()


@pytest.mark.slow
def test_a_model_with_predefined_classes_is_exported_and_saved_with_them(tmp_path):
    model = tfgen.create("am_gan", example=Points(2), label=Labels(3), latent_size=2, width=4, predefined=True)
    report = tfgen.export.verify(tfgen.export.saved_model(model, tmp_path / "artifact"), model)
    assert report.ok, report
    model.save(tmp_path / "model.keras")
    loaded, label = tfgen.load_model(tmp_path / "model.keras"), [0, 1, 2]
    np.testing.assert_array_equal(loaded.sample(3, label=label), model.sample(3, label=label))


def test_samples_cannot_be_asked_for_by_class_where_each_gets_its_own():
    model = of_known_logits()
    assert model.sample(3).shape == (3, 4)
    with pytest.raises(InputError, match="takes no label"):
        model.sample(3, label=[0, 1, 2])


def test_it_answers_with_the_classes_and_with_what_is_real_apart():
    model = of_known_logits()
    np.testing.assert_allclose(model.classify(X), np.exp(log_softmax(X[:, :3])), rtol=1e-5)
    p = np.exp(log_softmax(X))
    np.testing.assert_allclose(model.discriminate(X), np.log((1.0 - p[:, 3]) / p[:, 3]), atol=1e-4)
    found = np.argmax(X[:, :3], -1)
    figures = model.evaluate({"point": X, "label": LABEL}, verbose=0, return_dict=True)
    assert figures["accuracy"] == pytest.approx(np.mean(found == LABEL))


def test_labels_that_are_not_all_known_are_refused():
    with pytest.raises(InputError, match="AMGAN: needs the labels of all examples"):
        tfgen.create("am_gan", example=Points(2), label=Labels(3, partial=True))
