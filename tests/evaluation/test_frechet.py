import numpy as np
import pytest
import scipy.linalg

from tfgen.errors import InputError
from tfgen.evaluation import frechet_distance


def exactly(mean, covariance, count: int = 50, seed: int = 0) -> np.ndarray:
    """Returns features whose mean and covariance are exactly these."""
    x = np.random.default_rng(seed).normal(size=(count, len(mean)))
    x = np.linalg.qr(x - x.mean(0))[0] * np.sqrt(count - 1)
    return np.asarray(mean) + x @ np.linalg.cholesky(np.asarray(covariance, float)).T


def test_of_independent_features_it_is_the_distance_of_means_and_of_standard_deviations():
    real, samples = exactly([0, 0], np.diag([1.0, 4.0])), exactly([0, 2], np.diag([4.0, 4.0]), seed=1)
    assert frechet_distance(real, samples) == pytest.approx(2**2 + (2 - 1) ** 2, rel=1e-9)


def test_it_agrees_with_scipys_square_root_of_the_product():
    rng = np.random.default_rng(2)
    a, b = (m @ m.T for m in rng.normal(size=(2, 5, 5)))
    mean = rng.normal(size=5)
    expected = mean @ mean + np.trace(a + b - 2.0 * scipy.linalg.sqrtm(a @ b).real)
    found = frechet_distance(exactly(mean, a), exactly(np.zeros(5), b, count=80, seed=3))
    assert found == pytest.approx(expected, rel=1e-8)


def test_with_fewer_examples_than_features_it_agrees_with_the_nuclear_norm():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(6, 20)), 2.0 * rng.normal(size=(9, 20)) + 1.0
    x_centred, y_centred = x - x.mean(0), y - y.mean(0)
    overlap = np.linalg.svd(x_centred @ y_centred.T, compute_uv=False).sum() / np.sqrt(5 * 8)
    variances = x.var(0, ddof=1).sum() + y.var(0, ddof=1).sum()
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + variances - 2.0 * overlap
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)


def test_it_is_symmetric_and_moves_with_shifts_and_scales():
    rng = np.random.default_rng(5)
    x, y, shift = (
        rng.normal(size=(40, 3)),
        rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3)),
        np.array([1.0, -2.0, 3.0]),
    )
    distance = frechet_distance(x, y)
    assert frechet_distance(y, x) == pytest.approx(distance, rel=1e-9)
    assert frechet_distance(3.0 * x, 3.0 * y) == pytest.approx(9.0 * distance, rel=1e-9)
    assert frechet_distance(x, x) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(x, x + shift) == pytest.approx(14.0, rel=1e-9)
    assert frechet_distance(x, x[::-1]) == pytest.approx(0.0, abs=1e-9)


def test_finite_sets_of_one_distribution_are_as_far_apart_as_theory_says():
    # One side exact, N examples of 64 independent features: (d + d (d + 1) / 4) / N.
    exact = exactly(np.zeros(64), np.eye(64), count=200)
    rng = np.random.default_rng(6)
    found = np.mean([frechet_distance(exact, rng.normal(size=(400, 64))) for _ in range(20)])
    assert found == pytest.approx((64 + 64 * 65 / 4) / 400, rel=0.05)


def test_one_feature_will_do():
    assert frechet_distance([[0.0], [2.0]], [[0.0], [4.0]]) == pytest.approx(1.0 + 2.0)


@pytest.mark.parametrize(
    ("real", "samples", "message"),
    [
        (np.zeros((5, 2)), np.zeros((5, 3)), "2 real features, 3 of samples"),
        (np.zeros((1, 2)), np.zeros((5, 2)), "real of shape"),
        (np.zeros((5, 2)), np.zeros(5), "samples of shape"),
        (np.zeros((5, 2)), np.full((5, 2), np.nan), "not all finite"),
    ],
)
def test_mistakes_are_named(real, samples, message):
    with pytest.raises(InputError, match=message):
        frechet_distance(real, samples)
