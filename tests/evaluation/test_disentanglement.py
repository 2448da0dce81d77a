"""Codes of two factors of four values each, whose figures are known."""

import numpy as np
import pytest

from tfgen.errors import InputError
from tfgen.evaluation import dci, mutual_information_gap, separated_attribute_predictability

RNG = np.random.default_rng(0)
FACTORS = RNG.integers(0, 4, (4000, 2))
NOISE = RNG.normal(size=(4000, 2))
TURN = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2.0)
CODES = {
    "perfect": np.concatenate([FACTORS + 0.01 * RNG.normal(size=(4000, 2)), NOISE], 1),
    "turned": np.concatenate([FACTORS @ TURN + 0.01 * RNG.normal(size=(4000, 2)), NOISE], 1),
    "twice": np.concatenate([FACTORS, FACTORS], 1) + 0.01 * RNG.normal(size=(4000, 4)),
    "noise": RNG.normal(size=(4000, 4)),
}


@pytest.mark.parametrize(("kind", "known"), [("perfect", 0.994), ("turned", 0.005), ("twice", 0.0), ("noise", 0.0)])
def test_the_gap_of_mutual_information(kind, known):
    assert mutual_information_gap(CODES[kind], FACTORS) == pytest.approx(known, abs=0.02)


# All four values are told, against a quarter by chance.
@pytest.mark.parametrize(("kind", "known"), [("perfect", 0.75), ("turned", 0.0), ("twice", 0.0), ("noise", 0.0)])
def test_the_gap_of_one_latents_predictions(kind, known):
    assert separated_attribute_predictability(CODES[kind], FACTORS) == pytest.approx(known, abs=0.04)


@pytest.mark.parametrize(
    ("kind", "known"), [("perfect", (1.0, 1.0, 1.0)), ("turned", (0.0, 0.5, 1.0)), ("twice", (1.0, 0.5, 1.0))]
)
def test_disentanglement_completeness_and_informativeness(kind, known):
    found = dci(CODES[kind][:2000], FACTORS[:2000])
    assert (found.disentanglement, found.informativeness) == pytest.approx((known[0], known[2]), abs=0.05)
    assert found.completeness == pytest.approx(known[1], abs=0.05)
    assert found.importance.shape == (4, 2)


def test_noise_tells_nothing():
    found = dci(CODES["noise"][:1000], FACTORS[:1000])
    assert found.disentanglement < 0.1
    assert found.completeness < 0.1
    assert found.informativeness == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("measure", [mutual_information_gap, separated_attribute_predictability])
def test_order_sign_and_units_of_latents_change_nothing(measure):
    codes = CODES["perfect"]
    other = codes[:, ::-1] * np.array([-1.0, 100.0, 3.0, -0.01])
    assert measure(other, FACTORS) == pytest.approx(measure(codes, FACTORS), abs=5e-3)


def test_quantities_are_measured_too():
    v = RNG.uniform(size=(4000, 2))
    codes = np.concatenate([np.stack([2.0 * v[:, 0] + 1.0, -v[:, 1]], 1), NOISE], 1)
    assert separated_attribute_predictability(codes, v) == pytest.approx(1.0, abs=0.01)
    assert mutual_information_gap(codes, {"x": v[:, 0], "y": v[:, 1]}) > 0.9
    found = dci(codes[:1000], v[:1000])
    assert min(found.disentanglement, found.completeness, found.informativeness) > 0.95


def test_a_latent_that_never_changes_tells_nothing_and_breaks_nothing():
    codes = np.concatenate([CODES["perfect"], np.full((4000, 1), 2.0)], 1)
    assert mutual_information_gap(codes, FACTORS) == pytest.approx(0.994, abs=0.02)
    assert separated_attribute_predictability(codes, FACTORS) == pytest.approx(0.75, abs=0.04)


@pytest.mark.parametrize(
    ("codes", "factors", "message"),
    [
        (np.zeros((3, 1)), np.arange(3)[:, None], "at least 2 latents"),
        (np.full((3, 2), np.nan), np.arange(3)[:, None], "NaN or infinity"),
        (np.zeros((3, 2)), {"size": np.arange(4)}, "factor 'size': int64 of shape .4,., expected 3 numbers"),
        (np.zeros((3, 2)), {"size": np.ones(3)}, "factor 'size': it never changes"),
        (np.zeros((3, 2)), {}, "none"),
    ],
)
def test_what_cannot_be_measured_is_named(codes, factors, message):
    with pytest.raises(InputError, match=message):
        mutual_information_gap(codes, factors)
