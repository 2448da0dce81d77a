"""Proofs of pixel_rnn_diagonal."""

import numpy as np
import pytest

import tfgen
from tests.zoo.autoregressive_proofs import (
    assert_completions_are_the_naive_ones,
    assert_samples_are_the_naive_ones,
    dependencies,
    randomize,
    total_probability,
)


def small(shape, levels=2, **arguments):
    sizes = {"width": 6, "layers": 2, "kernel_size": 3, "head_width": 6} | arguments
    model = tfgen.create("pixel_rnn_diagonal", image_shape=shape, levels=levels, **sizes)
    randomize(model, 0.4)
    return model


@pytest.mark.parametrize(("kernel_size", "hidden_up_to"), [(3, 3), (5, 4), (7, 5)])
def test_all_earlier_pixels_are_seen_except_the_row_aboves_last_from_far_away(float64, kernel_size, hidden_up_to):
    # The first layer hides a pixel at its own place, and the LSTM from the right starts there; so the last pixel of
    # the row above is seen only as far as the first layer reaches.
    height, width = 6, 5
    model = small((height, width, 1), kernel_size=kernel_size, head_width=24)
    expected = np.tri(height * width, k=-1, dtype=bool).reshape(height, width, height, width)
    for y in range(1, height):
        expected[y, : width - hidden_up_to + 1, y - 1, -1] = False
    np.testing.assert_array_equal(dependencies(model).reshape(expected.shape), expected)
    assert expected.sum() == 435 - (height - 1) * (width - hidden_up_to + 1)


def test_no_colour_depends_on_itself_or_on_later_ones(float64):
    found = dependencies(small((3, 4, 3), 4, width=12, head_width=24))
    assert not np.triu(found).any()
    follows = np.diag(found, -1)[np.arange(1, 36) % 12 != 0]
    assert follows.mean() > 0.8


@pytest.mark.parametrize("shape", [(2, 2, 3), (3, 4, 1), (4, 3, 1)])
def test_probabilities_of_all_pictures_sum_to_one(shape):
    assert total_probability(small(shape)) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(("shape", "levels"), [((5, 7, 1), 2), ((8, 8, 1), 17), ((5, 7, 3), 4)])
def test_the_cached_sampler_draws_what_the_naive_one_draws(float64, shape, levels):
    assert_samples_are_the_naive_ones(small(shape, levels))


def test_completion_keeps_known_pixels_wherever_they_are(float64):
    assert_completions_are_the_naive_ones(small((5, 7, 3), 4))
