"""Weights for the next component of a mixture: closed forms, and the equations that define them."""

import numpy as np
import pytest
import scipy.optimize

from tfgen.errors import InputError
from tfgen.objectives import make_reweighting


def weights(name: str, h, beta: float) -> tuple[np.ndarray, float]:
    rule, h = make_reweighting(name), np.array(h, np.float64)
    threshold = rule.threshold(h, beta)
    return np.array(rule.weights(h, threshold, beta)), threshold


@pytest.mark.parametrize(
    ("h", "beta", "threshold", "of_the_first"),
    [
        ((2.0, 0.0), 0.25, 0.5, 0.0),
        ((2.0, 0.0), 0.5, 1.0, 0.0),
        ((2.0, 0.0), 0.75, 1.0, 1 / 3),
        ((1.6, 0.4), 0.5, 1.0, 0.2),
        ((1.6, 0.4), 0.75, 1.0, 0.4),
    ],
)
def test_of_two_modes_the_missed_one_gets_more(h, beta, threshold, of_the_first):
    # Each stands for half of the data: relative weights are half of a share.
    w, found = weights("star", h, beta)
    assert found == pytest.approx(threshold)
    np.testing.assert_allclose(w / 2.0, [of_the_first, 1.0 - of_the_first], atol=1e-12)


def test_the_mixture_gets_both_modes_right_where_it_can():
    for h, beta in (((2.0, 0.0), 0.5), ((1.6, 0.4), 0.5), ((1.6, 0.4), 0.75), ((2.0, 0.0), 0.75)):
        mixed = (1.0 - beta) * np.array(h) + beta * weights("star", h, beta)[0]
        np.testing.assert_allclose(mixed, 1.0)


@pytest.mark.parametrize("name", ["star", "dagger", "top", "uniform"])
def test_a_mixture_that_is_right_everywhere_leaves_uniform_weights(name):
    np.testing.assert_allclose(weights(name, np.ones(7), 1.0 if name == "top" else 0.3)[0], 1.0)


@pytest.mark.parametrize("beta", [0.05, 0.3, 0.9])
def test_thresholds_make_the_weights_sum_to_one(beta):
    h = np.exp(np.random.default_rng(0).normal(size=1001))
    sums = {
        "star": lambda t: np.maximum(t - (1.0 - beta) * h, 0.0).mean() / beta,
        "dagger": lambda t: np.maximum(1.0 - t * (1.0 - beta) * h, 0.0).mean() / beta,
    }
    for name, sum_of in sums.items():
        w, threshold = weights(name, h, beta)
        excess = lambda t, sum_of=sum_of: sum_of(t) - 1.0
        assert threshold == pytest.approx(scipy.optimize.brentq(excess, 1e-9, 1e3), rel=1e-6), name
        assert w.mean() == pytest.approx(1.0)
        assert w.min() >= 0.0


def test_the_rule_of_the_top_takes_the_share_that_is_covered_least():
    w, _ = weights("top", [3.0, 1.0, 0.5, 2.0], 0.5)
    np.testing.assert_allclose(w, [0.0, 2.0, 2.0, 0.0])


def test_extreme_densities_stay_finite():
    h = np.array([0.0, 0.0, np.inf, 1e30])
    w, _ = weights("star", h, 0.5)
    np.testing.assert_allclose(w, [2.0, 2.0, 0.0, 0.0])
    # Half of the data is not covered at all: it gets everything, whatever the threshold.
    w, _ = weights("dagger", h, 0.4)
    np.testing.assert_allclose(w, [2.5, 2.5, 0.0, 0.0])


def test_a_misspelt_rule_is_named():
    with pytest.raises(InputError, match="reweighting"):
        make_reweighting("stars")
