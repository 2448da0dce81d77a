import math

import numpy as np
import pytest

from tfgen.errors import InputError
from tfgen.evaluation import am_score

SURE = np.eye(2)


def test_samples_of_which_a_classifier_is_sure_and_that_are_spread_like_the_data_score_0():
    assert am_score(SURE[[0, 0, 0, 1]], SURE[[0, 0, 0, 1] * 5]) == 0.0


def test_it_is_the_divergence_of_the_data_from_the_samples_and_the_mean_entropy():
    # The data have 3 of the first to 1 of the second class, the samples 1 to 1.
    direction = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert am_score(SURE[[0, 0, 0, 1]], SURE[[0, 1]]) == pytest.approx(direction)
    unsure = np.array([[0.9, 0.1], [0.1, 0.9]])
    entropy = -0.9 * math.log(0.9) - 0.1 * math.log(0.1)
    assert am_score(SURE[[0, 0, 0, 1]], unsure) == pytest.approx(direction + entropy)


def test_samples_of_which_it_is_quite_unsure_score_log_k():
    assert am_score(np.eye(5), np.full((7, 5), 0.2)) == pytest.approx(math.log(5.0))


def test_a_class_of_the_data_that_samples_lack_is_infinitely_bad_and_one_that_data_lack_is_not():
    assert am_score(SURE, SURE[[0]]) == math.inf
    assert am_score(SURE[[0]], SURE) == pytest.approx(math.log(2.0))


@pytest.mark.parametrize(
    ("train", "samples", "message"),
    [
        (SURE, np.eye(3), "2 classes of the data, 3 of samples"),
        (SURE, np.zeros((0, 2)), r"samples of shape \(0, 2\), expected probabilities"),
        (SURE[0], SURE, r"train of shape \(2,\)"),
        (SURE, [[2.0, -1.0]], "expected probabilities"),
        ([[3.0, 4.0]], SURE, "expected probabilities"),
    ],
)
def test_what_are_no_probabilities_is_said(train, samples, message):
    with pytest.raises(InputError, match=message):
        am_score(train, samples)
