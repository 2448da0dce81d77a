"""Proofs of improved_gan."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.zoo.few_label_proofs import (
    DIGITS,
    accuracy,
    always,
    digits,
    identity,
    supervised_accuracy,
    terms_of,
    with_few_labels,
)
from tfgen.errors import InputError
from tfgen.layers import MinibatchDiscrimination, VirtualBatchNormalization
from tfgen.objectives import discriminator_cross_entropy
from tfgen.specs import Labels, Points

FAKE = [0.5, -1.0, 2.0]
X = np.random.default_rng(0).normal(scale=2.0, size=(6, 3)).astype(np.float32)

#: All techniques at once.
ALL = {"matching": True, "minibatch_kernels": 3, "history_weight": 0.1, "real_target": 0.9, "reference_size": 5}


def of_known_logits(**arguments):
    networks = {"generator": always(FAKE, 2), "discriminator": identity(3), "label": Labels(3, partial=True)}
    return tfgen.create("improved_gan", example=Points(3), latent_size=2, matching=False, **networks | arguments)


def small(**arguments):
    """Returns a model of points without noise."""
    arguments = {"hidden": (5,), "noise": 0.0, "hidden_noise": 0.0} | arguments
    return tfgen.create("improved_gan", example=Points(3), latent_size=2, **arguments)


@pytest.mark.slow
def test_three_labels_of_each_class_classify_better_than_without_the_other_digits():
    train, test = digits()
    model = with_few_labels("improved_gan", train)
    assert accuracy(model, test) > supervised_accuracy(model, train, test) + 0.03


def test_the_discriminator_is_told_classes_by_all_logits_and_what_is_real_by_their_sum():
    label = np.array([0, -1, 2, -1, -1, 1], np.int32)
    terms = terms_of(of_known_logits(), {"point": X, "label": label})
    # Of K + 1 logits the last is 0.
    p = np.exp(np.pad(X, ((0, 0), (0, 1)))) / np.exp(np.pad(X, ((0, 0), (0, 1)))).sum(-1, keepdims=True)
    q = np.exp([*FAKE, 0.0]) / np.exp([*FAKE, 0.0]).sum()
    known, of_classes = label >= 0, p[:, :3] / p[:, :3].sum(-1, keepdims=True)
    assert terms["discriminator"] == pytest.approx(
        {
            "real": -0.5 * np.log(1.0 - p[:, 3]).mean(),
            "fake": -0.5 * np.log(q[3]),
            "labelled": -np.log(of_classes[known, label[known]]).mean(),
        },
        rel=1e-5,
    )
    assert terms["generator"] == pytest.approx({"fooling": -np.log(1.0 - q[3])}, rel=1e-5)


def test_without_labels_it_is_a_gan_of_one_logit():
    networks = {"generator": always([0.7], 2), "discriminator": identity(1)}
    model = tfgen.create("improved_gan", example=Points(1), latent_size=2, matching=False, **networks)
    terms, x = terms_of(model, {"point": X[:, :1]}), X[:, 0]
    expected = {"real": 0.5 * np.log1p(np.exp(-x)).mean(), "fake": 0.5 * np.log1p(np.exp(0.7))}
    assert terms["discriminator"] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(model.discriminate(X[:, :1]), x, rtol=1e-5)
    assert "classify" not in model.endpoints()


def test_smoothing_moves_the_target_of_real_examples_alone():
    batch = {"point": X, "label": np.full(6, -1)}
    plain, smooth = (terms_of(of_known_logits(real_target=t), batch)["discriminator"] for t in (1.0, 0.9))
    logit = np.log(np.exp(X).sum(-1))
    assert smooth["fake"] == plain["fake"]
    expected = 0.5 * (0.9 * np.log1p(np.exp(-logit)) + 0.1 * np.log1p(np.exp(logit))).mean()
    assert smooth["real"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("p", "q"), [(0.5, 0.5), (0.75, 0.25), (0.0, 1.0)])
def test_the_best_smoothed_discriminator_is_below_the_target_by_the_share_of_fakes(p, q):
    best = 0.9 * p / (p + q)
    logit = tf.constant(np.log(best / (1.0 - best)) if p else -40.0, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(logit)
        real, fake = discriminator_cross_entropy(logit, logit, 0.9)
        loss = p * real + q * fake
    assert float(tape.gradient(loss, logit)) == pytest.approx(0.0, abs=1e-12)
    assert p != q or best == 0.45


def test_features_are_the_input_of_the_last_layer_without_minibatch_features():
    model = small(minibatch_kernels=4, label=Labels(3))
    kinds = [type(layer) for layer in model.discriminator.layers]
    assert kinds.count(MinibatchDiscrimination) == 1
    hidden = next(layer for layer in model.discriminator.layers if isinstance(layer, keras.layers.Dense))
    np.testing.assert_allclose(model.features(tf.constant(X)), hidden(X), rtol=1e-5)
    batch = {"point": tf.constant(X), "label": tf.zeros(6, tf.int32)}
    with model._step_of(1):
        fake = model.fake(batch)
    expected = np.sum((np.mean(hidden(X), 0) - np.mean(hidden(fake), 0)) ** 2)
    model._random_count.assign([0, 0])
    with model._step_of(1):
        assert float(model.generator_terms(batch)["features"]) == pytest.approx(expected, rel=1e-4)


def test_what_is_real_is_not_compared_with_what_is_generated():
    model, batch = small(minibatch_kernels=4), {"point": X}
    before = terms_of(model, batch)["discriminator"]
    model.generator.layers[-2].bias.assign(X[0])
    after = terms_of(model, batch)["discriminator"]
    assert after["real"] == before["real"]
    assert after["fake"] != before["fake"]


def test_noise_is_on_real_and_generated_features_alike():
    model = small(noise=0.3, hidden_noise=0.5)
    with model._step_of(0):
        one, two = model.features(tf.constant(X)), model.features(tf.constant(X))
    assert not np.array_equal(one, two)
    with model._step_of(1):
        one, two = model.features(tf.constant(X)), model.features(tf.constant(X))
    np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_the_history_of_both_players_holds_them_back_and_is_saved(tmp_path):
    model = small(history_weight=10.0)
    begun = [w.numpy() for w in model.discriminator.trainable_weights]
    assert terms_of(model, {"point": X})["discriminator"]["history"] == 0.0
    model.fit(X, batch_size=6, epochs=2, verbose=0)
    for player in ("discriminator", "generator"):
        assert float(model.histories[player].count) == 3.0
        assert terms_of(model, {"point": X})[player]["history"] == pytest.approx(
            10.0 * float(model.histories[player].penalty())
        )
    means = [mean.numpy() for _, mean in model.histories["discriminator"]._pairs]
    assert not np.array_equal(means[0], begun[0])
    model.save(tmp_path / "model.keras")
    loaded = tfgen.load_model(tmp_path / "model.keras")
    for model_ in (model, loaded):
        model_.fit(X, batch_size=6, verbose=0)
    for one, two in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy(), one.path)


def test_a_virtually_normalised_generator_makes_of_a_code_the_same_in_every_batch_also_in_training():
    model = tfgen.create("improved_gan", example=DIGITS, latent_size=3, hidden=(6, 5), reference_size=4)
    z = np.random.default_rng(1).uniform(-1.0, 1.0, (5, 3)).astype(np.float32)
    together = model.generator(z, training=True).numpy()
    np.testing.assert_allclose(model.generator(z[:1], training=True)[0], together[0], atol=1e-5)
    kinds = [type(layer) for layer in model.generator.network.layers]
    assert kinds.count(VirtualBatchNormalization) == 2
    assert keras.layers.BatchNormalization not in kinds
    # The reference batch is drawn as codes are.
    assert np.abs(model.generator.reference.numpy()).max() <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("size", [{"width": 4}, {"hidden": (8, 6)}], ids=str)
def test_all_techniques_go_together(size, dtype):
    label = Labels(10, partial=True)
    model = tfgen.create("improved_gan", example=DIGITS, label=label, latent_size=3, dtype=dtype, **ALL, **size)
    train, _ = digits()
    few = {key: array[:32] for key, array in train.items()}
    few["label"] = np.where(np.arange(32) % 4, -1, few["label"])
    history = model.fit(few, batch_size=16, epochs=2, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert {"discriminator_labelled", "discriminator_history", "generator_features", "generator_history"} <= set(
        history
    )
    assert model.sample(3).shape == (3, 8, 8, 1)
    assert model.classify(few["image"][:3]).shape == (3, 10)


@pytest.mark.slow
def test_all_techniques_are_exported(tmp_path):
    model = tfgen.create("improved_gan", example=DIGITS, label=Labels(10, partial=True), latent_size=3, width=4, **ALL)
    report = tfgen.export.verify(tfgen.export.saved_model(model, tmp_path / "artifact"), model)
    assert report.ok, report


def test_a_discriminator_that_shows_no_features_can_be_fooled_but_not_matched():
    class Opaque(keras.layers.Layer):
        def call(self, x):
            return x[:, :1]

    with pytest.raises(InputError, match="shows none; take a Sequential or functional network"):
        small(discriminator=Opaque())
    assert set(terms_of(small(discriminator=Opaque(), matching=False), {"point": X})["generator"]) == {"fooling"}
