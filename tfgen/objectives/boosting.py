r"""Weights of examples for the next component of a mixture (Tolstikhin et al. 2017).

The mixture becomes (1 - beta) P + beta Q. Each rule is a function of h = dP/dP_d, the mixture's density relative to that
of the data, and of a threshold, which follows from h at all examples and beta. Weights are relative to uniform ones.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfgen.errors import InputError, unknown


@dataclasses.dataclass(frozen=True)
class Reweighting:
    """A rule for the weights.

    Arguments:
        threshold: (h `(examples,)`, beta) -> lambda, a float, for which the weights have the mean 1.
        weights: (h, lambda, beta) -> the weights, not negative.
    """

    threshold: Callable[[np.ndarray, float], float]
    weights: Callable[[tf.Tensor, tf.Tensor, float], tf.Tensor]


def _ascending(h: np.ndarray, beta: float) -> np.ndarray:
    # A classifier that is sure of the mixture may say infinity, which has no product with 0.
    return (1.0 - beta) * np.minimum(np.sort(h.astype(np.float64)), 1e30)


def _star_threshold(h: np.ndarray, beta: float) -> float:
    # The sum over the k smallest h, of which as many count as are below their own threshold (algorithm 2).
    ascending = _ascending(h, beta)
    thresholds = (beta * len(h) + np.cumsum(ascending)) / np.arange(1, len(h) + 1)
    within = ascending <= thresholds
    return float(thresholds[np.flatnonzero(within)[-1]])


def _dagger_threshold(h: np.ndarray, beta: float) -> float:
    ascending = _ascending(h, beta)
    counts, sums = np.arange(1, len(h) + 1), np.cumsum(ascending)
    # Where more than a share beta is not covered at all, no finite threshold is enough.
    thresholds = np.maximum(counts - beta * len(h), 0.0) / np.maximum(sums, 1e-30)
    within = (thresholds * ascending <= 1.0) & (counts >= beta * len(h))
    return float(min(thresholds[np.flatnonzero(within)[-1]], 1e30))


REWEIGHTINGS = {
    # The optimal component for the divergence of the mixture (theorem 1).
    "star": Reweighting(_star_threshold, lambda h, threshold, beta: tf.nn.relu(threshold - (1.0 - beta) * h) / beta),
    # Optimal where divergences are taken the other way round (theorem 2).
    "dagger": Reweighting(
        _dagger_threshold, lambda h, threshold, beta: tf.nn.relu(1.0 - threshold * (1.0 - beta) * h) / beta
    ),
    # The share beta of the examples that is covered least, alike (section 3.2).
    "top": Reweighting(
        lambda h, beta: float(np.quantile(h, beta, method="inverted_cdf")),
        lambda h, threshold, beta: tf.cast(h <= threshold, h.dtype) / beta,
    ),
    # Bagging.
    "uniform": Reweighting(lambda h, beta: 1.0, lambda h, threshold, beta: tf.ones_like(h)),
}


def make_reweighting(name: str) -> Reweighting:
    """Returns a rule by its name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in REWEIGHTINGS:
        raise InputError(unknown("reweighting", name, REWEIGHTINGS))
    return REWEIGHTINGS[name]
