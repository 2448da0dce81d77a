"""Features of which it is known how far they tell classes."""

import math

import numpy as np
import pytest

import tfgen
from tfgen.errors import InputError
from tfgen.evaluation import linear_probe
from tfgen.models import AmortizedModel
from tfgen.specs import Labels, Points

RNG = np.random.default_rng(0)
QUICK = {"penalties": (0.01, 1.0), "folds": 2}
LABEL, LABEL_TEST = RNG.integers(0, 4, 400), RNG.integers(0, 4, 300)


def probe(train, test, **arguments):
    return linear_probe((train, LABEL), (test, LABEL_TEST), **arguments)


def clusters(rng, label, size=6, distance=1.0):
    """Returns Gaussian features whose mean is a corner's of a simplex for each class."""
    return distance * np.eye(size)[label] + rng.normal(size=(len(label), size))


def test_one_hot_labels_tell_everything():
    found = probe(np.eye(4)[LABEL], np.eye(4)[LABEL_TEST])
    assert (found.accuracy, found.standard_error, found.features, found.raw) == (1.0, 0.0, 4, None)


def test_noise_tells_nothing():
    found = probe(RNG.normal(size=(400, 10)), RNG.normal(size=(300, 10)))
    assert found.accuracy == pytest.approx(0.25, abs=3.0 * math.sqrt(0.25 * 0.75 / 300))
    assert found.standard_error == pytest.approx(math.sqrt(found.accuracy * (1.0 - found.accuracy) / 300))


def test_two_gaussians_are_told_apart_as_often_as_the_best_rule_does():
    rng = np.random.default_rng(1)
    label, label_test = np.arange(4000) % 2, np.arange(4000) % 2
    train, test = (y[:, None] * [1.2, 1.6] + rng.normal(size=(4000, 2)) for y in (label, label_test))
    found = linear_probe((train, label), (test, label_test), **QUICK)
    best = 0.5 * (1.0 + math.erf(1.0 / math.sqrt(2.0)))  # the means are 2 apart: Phi(1)
    assert found.accuracy == pytest.approx(best, abs=3.0 * found.standard_error)


def test_an_invertible_map_of_features_changes_next_to_nothing():
    rng = np.random.default_rng(2)
    train, test = clusters(rng, LABEL, distance=3.0), clusters(rng, LABEL_TEST, distance=3.0)
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0] @ np.diag([0.5, 1.0, 1.0, 2.0, 2.0, 3.0])
    before, after = probe(train, test, **QUICK), probe(train @ turn + 7.0, test @ turn + 7.0, **QUICK)
    assert after.accuracy == pytest.approx(before.accuracy, abs=0.02)
    assert before.accuracy > 0.8


def test_units_and_origins_change_nothing_at_all():
    rng = np.random.default_rng(3)
    train, test = clusters(rng, LABEL), clusters(rng, LABEL_TEST)
    units = np.array([1e-3, 1e4, 1.0, 3.0, -20.0, 7.0])
    assert probe(train * units + 5.0, test * units + 5.0, **QUICK) == probe(train, test, **QUICK)


def test_test_labels_that_are_shuffled_are_told_by_chance():
    rng = np.random.default_rng(4)
    train, test = clusters(rng, LABEL, distance=8.0), clusters(rng, LABEL_TEST, distance=8.0)
    assert probe(train, test, **QUICK).accuracy > 0.99
    shuffled = rng.permutation(LABEL_TEST)
    found = linear_probe((train, LABEL), (test, shuffled), **QUICK)
    assert found.accuracy == pytest.approx(0.25, abs=3.0 * math.sqrt(0.25 * 0.75 / 300))


def test_nothing_is_learned_or_chosen_on_test_examples():
    rng = np.random.default_rng(5)
    train, test = clusters(rng, LABEL), clusters(rng, LABEL_TEST)
    test[150:] += 1e4 * rng.normal(size=6)
    whole = probe(train, test, **QUICK)
    halves = [linear_probe((train, LABEL), (test[at], LABEL_TEST[at]), **QUICK) for at in (slice(150), slice(150, 300))]
    # What is answered to one half does not depend on the other one.
    assert whole.accuracy == pytest.approx(np.mean([half.accuracy for half in halves]), abs=1e-12)
    assert halves[0].accuracy > 0.4
    assert {half.C for half in halves} == {whole.C}


def test_of_penalties_that_do_equally_well_the_strongest_is_taken():
    one_hot = np.eye(4)
    assert probe(one_hot[LABEL], one_hot[LABEL_TEST], penalties=[10.0, 100.0, 1.0], folds=2).C == 1.0


def test_a_penalty_that_is_too_weak_for_noisy_features_is_not_chosen():
    rng = np.random.default_rng(6)
    train, test = (
        np.concatenate([clusters(rng, y, size=4, distance=2.0), rng.normal(size=(len(y), 150))], 1)
        for y in (LABEL, LABEL_TEST)
    )
    found, weak = probe(train, test), probe(train, test, penalties=[100.0], folds=2)
    assert found.C < 1.0
    assert weak.C == 100.0
    assert found.accuracy > weak.accuracy


def test_examples_of_unknown_class_are_left_out():
    rng = np.random.default_rng(7)
    train, test = clusters(rng, LABEL), clusters(rng, LABEL_TEST)
    known = np.arange(400) % 3 > 0
    few = linear_probe((train, np.where(known, LABEL, -1)), (test, LABEL_TEST), **QUICK)
    assert few == linear_probe((train[known], LABEL[known]), (test, LABEL_TEST), **QUICK)


def test_a_model_is_probed_beside_the_raw_examples():
    rng = np.random.default_rng(8)
    train, test = (clusters(rng, y, size=6, distance=3.0).astype(np.float32) for y in (LABEL, LABEL_TEST))
    model = tfgen.create("vae", example=Points(6), latent_size=2, hidden=())
    found = probe(train, test, model=model, batch_size=128, **QUICK)
    assert found.raw == probe(train, test, **QUICK)
    codes = [model.encode(x)["mean"] for x in (train, test)]
    assert (found.accuracy, found.features) == (probe(*codes, **QUICK).accuracy, 2)
    assert found.accuracy < found.raw.accuracy


def test_pictures_are_flattened():
    levels = RNG.integers(0, 256, (400, 2, 3, 1), np.uint8), RNG.integers(0, 256, (300, 2, 3, 1), np.uint8)
    flat = [x.reshape(len(x), 6) for x in levels]
    found = probe(*levels, **QUICK)
    assert found == probe(*flat, **QUICK)
    assert found.features == 6


def test_a_model_that_is_told_the_class_is_not_probed():
    model = AmortizedModel(example=Points(3), latent_size=2, hidden=(), label=Labels(4))
    x = RNG.normal(size=(400, 3)).astype(np.float32)
    with pytest.raises(InputError, match="its encode is told the class, which features would give away"):
        probe(x, x[:300], model=model)


GOOD = RNG.normal(size=(8, 2)), np.arange(8) % 2


@pytest.mark.parametrize(
    ("train", "test", "arguments", "message"),
    [
        ((GOOD[0], GOOD[1][:5]), GOOD, {}, r"train: float64 of shape \(8, 2\) and int64 of shape \(5,\)"),
        ((GOOD[0], GOOD[1] + 0.5), GOOD, {}, r"train: .* expected numbers \(count, ...\) and one integer for each"),
        ((GOOD[0], np.zeros(8, int)), GOOD, {}, r"train: classes \[0\] of \[8\] examples, expected two classes"),
        ((GOOD[0], np.eye(8, dtype=int)[0]), GOOD, {}, r"train: classes \[0 1\] of \[7 1\] examples"),
        (GOOD, (GOOD[0], np.full(8, -1)), {}, r"test: no example whose class is known"),
        (GOOD, (GOOD[0][:, :1], GOOD[1]), {}, r"test: 1 features, but 2 to train on"),
        (GOOD, (np.full((8, 2), np.nan), GOOD[1]), {}, r"test: NaN or infinity among the features"),
        (GOOD, GOOD, {"penalties": [1.0, 0.0]}, r"C of \[1\.0, 0\.0\], expected .* positive numbers"),
        (GOOD, GOOD, {"folds": 1}, r"linear_probe: 1 folds"),
    ],
)
def test_what_cannot_be_probed_is_named(train, test, arguments, message):
    with pytest.raises(InputError, match=message):
        linear_probe(train, test, **arguments)
