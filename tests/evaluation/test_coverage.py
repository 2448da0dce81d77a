import math

import numpy as np
import pytest

from tfgen.errors import InputError
from tfgen.evaluation import label_coverage


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
