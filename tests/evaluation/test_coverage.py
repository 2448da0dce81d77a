import math

import numpy as np
import pytest

from tfgen.data.mixtures import ring
from tfgen.errors import InputError
from tfgen.evaluation import label_coverage, mode_coverage


def test_coverage_of_known_labels_is_known():
    coverage = label_coverage([0, 0, 0, 0, 0, 1, 1, 1, 2, 2], 4, threshold=0.5)
    np.testing.assert_array_equal(coverage.shares, [0.5, 0.3, 0.2, 0.0])
    assert (coverage.covered, coverage.smallest) == (3, 0.0)
    assert coverage.entropy == pytest.approx(-(0.5 * math.log(0.5) + 0.3 * math.log(0.3) + 0.2 * math.log(0.2)))


def test_equal_shares_have_the_entropy_of_the_uniform_distribution_and_cover_all():
    coverage = label_coverage(np.arange(70) % 7, 7, threshold=1.0)
    assert coverage.covered == 7
    assert coverage.smallest == 1 / 7
    assert coverage.entropy == pytest.approx(math.log(7))


def test_a_model_that_makes_one_class_covers_one():
    coverage = label_coverage(np.full(100, 3), 10)
    assert (coverage.covered, coverage.entropy) == (1, 0.0)


@pytest.mark.parametrize(("rare", "covered"), [(1, 2), (0, 1)])
def test_a_share_on_the_threshold_counts(rare, covered):
    # 1 of 20 is a tenth of the half that either of two classes would have.
    labels = np.repeat([0, 1], [20 - rare, rare])
    assert label_coverage(labels, 2, threshold=0.1).covered == covered


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([], {}, "expected one integer per sample"),
        ([[1]], {}, "expected one integer per sample"),
        ([0.5], {}, "expected one integer per sample"),
        ([0, 3], {}, r"labels 0\.\.3, expected 0\.\.2"),
        ([-1, 0], {}, r"labels -1\.\.0"),
        ([0], {"threshold": 0.0}, "threshold 0.0"),
    ],
)
def test_what_are_no_labels_is_said(labels, options, message):
    with pytest.raises(InputError, match=message):
        label_coverage(labels, 3, **options)


def test_exact_samples_of_a_mixture_are_near_all_of_its_modes_as_often_as_theory_says():
    mixture = ring()
    points, _ = mixture.sample(200_000, (0,))
    for within in (1.0, 3.0, 4.0):
        found = mode_coverage(points, mixture.modes, mixture.sigma, within=within)
        assert found.high_quality == pytest.approx(1.0 - math.exp(-(within**2) / 2), abs=0.004)
        assert found.covered == 8
        assert 0.0 <= found.reverse_kl < 1e-3


def test_a_collapse_onto_some_modes_is_counted_and_measured():
    mixture = ring()
    one = mode_coverage(np.repeat(mixture.modes[:1], 100, 0), mixture.modes, mixture.sigma)
    assert (one.covered, one.high_quality) == (1, 1.0)
    assert one.reverse_kl == pytest.approx(math.log(8))
    # 15 of 1000 samples are less than 16 % of an eighth, 20 are enough.
    points = np.concatenate([np.repeat(mixture.modes[i : i + 1], n, 0) for i, n in enumerate((965, 15, 20))])
    assert mode_coverage(points, mixture.modes, mixture.sigma).covered == 2


def test_samples_far_from_all_modes_count_for_none():
    found = mode_coverage(np.full((50, 2), 9.0), ring().modes, 0.05)
    assert (found.covered, found.high_quality) == (0, 0.0)
    assert math.isnan(found.reverse_kl)


def test_points_of_another_size_than_the_centres_are_refused():
    with pytest.raises(InputError, match="mode coverage"):
        mode_coverage(np.zeros((5, 3)), ring().modes, 0.05)
