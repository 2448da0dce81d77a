"""How far single latents stand for single factors of the data: MIG, SAP and DCI.

Codes are what an encoder says of examples whose factors are known (its means, or draws, which give other figures). A
factor of integers is a class; one of floats is a quantity. A figure of one seed means little: that of several runs of the same
model differs more than that of different models (Locatello et al. 2019).
"""

import dataclasses

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.metrics import balanced_accuracy_score, mutual_info_score
from sklearn.svm import LinearSVC

from tfgen.errors import InputError


@dataclasses.dataclass(frozen=True)
class DCI:
    """What `dci` measures, all at most 1.

    Attributes:
        disentanglement: how far a latent serves a single factor; latents count by their importance.
        completeness: how far a factor is served by a single latent.
        informativeness: accuracy, or R^2 of a quantity, of what foretells factors on held-out examples.
        importance: of each latent for each factor, float64 `(latents, factors)`.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    importance: np.ndarray


def mutual_information_gap(codes, factors, bins: int = 20) -> float:
    r"""Returns MIG (Chen et al. 2018, eq. 6), from histograms of the codes.

    .. math:: \frac{1}{K} \sum_k \frac{I(c_{(1)}; v_k) - I(c_{(2)}; v_k)}{H(v_k)}

    where (1) and (2) are the two latents that share most information with factor k. It depends on the number of bins and
    of examples; some ten thousand of these are usual. A latent that never changes has none.

    Arguments:
        codes: `(count, latents)`, at least two latents.
        factors: by name, or one behind the other `(count, factors)`; integers are classes, floats are quantities.
        bins: of equal width, between the least and the greatest value of each latent and of each quantity.

    Returns:
        In [0, 1].

    Raises:
        InputError: shapes that do not match, values that are not finite, or a factor that never changes.
    """
    codes, factors = _checked(codes, factors)
    if bins < 2:
        raise InputError(f"mutual_information_gap: {bins} bins, expected at least 2")
    binned = [_binned(code, bins) for code in codes.T]
    gaps = []
    for factor in factors.values():
        v = factor if factor.dtype.kind in "iu" else _binned(factor, bins)
        shared = np.sort([mutual_info_score(v, c) for c in binned])
        gaps.append((shared[-1] - shared[-2]) / mutual_info_score(v, v))
    return float(np.mean(gaps))


def separated_attribute_predictability(codes, factors) -> float:
    """Returns SAP (Kumar et al. 2018): by how much the best latent foretells a factor better than the second best.

    A class is told by a linear support vector machine (C = 0.01) of one latent, whose score is balanced accuracy: no less
    than by chance, so that the greatest figure is 1 - 1 / classes. A quantity has R^2, the squared correlation. Latents are
    standardised before, or the penalty of the classifier would depend on their units.

    Arguments:
        codes: `(count, latents)`, at least two latents.
        factors: as of `mutual_information_gap`.

    Returns:
        Mean over factors, in [0, 1].

    Raises:
        InputError: as of `mutual_information_gap`.
    """
    codes, factors = _checked(codes, factors)
    codes = _standardised(codes)
    gaps = []
    for factor in factors.values():
        scores = np.sort([_told_by_one(code, factor) for code in codes.T])
        gaps.append(scores[-1] - scores[-2])
    return float(np.mean(gaps))


def dci(codes, factors, seed: int = 0) -> DCI:
    r"""Measures disentanglement, completeness and informativeness (Eastwood & Williams 2018, section 2).

    .. math::
        D = \sum_j \rho_j \Big(1 - H_K\Big(\frac{R_{j \cdot}}{\sum_k R_{jk}}\Big)\Big), \quad
        C = \frac{1}{K} \sum_k \Big(1 - H_d\Big(\frac{R_{\cdot k}}{\sum_j R_{jk}}\Big)\Big), \quad
        \rho_j = \frac{\sum_k R_{jk}}{\sum_{jk} R_{jk}}

    with entropies to the base of the number of factors K, or of latents d, and R_jk the importance of latent j for trees,
    boosted by gradients, that foretell factor k. They see one half of the examples; informativeness is of the other.

    Arguments:
        codes: `(count, latents)`, at least two latents.
        factors: as of `mutual_information_gap`, at least two.
        seed: of the halves and of the trees.

    Raises:
        InputError: as of `mutual_information_gap`, or a single factor.
    """
    codes, factors = _checked(codes, factors)
    if len(factors) < 2:
        raise InputError("dci: one factor, expected at least two")
    order = np.random.default_rng(seed).permutation(len(codes))
    train, test = order[: len(order) // 2], order[len(order) // 2 :]
    importance, scores = [], []
    for factor in factors.values():
        trees = (GradientBoostingClassifier if factor.dtype.kind in "iu" else GradientBoostingRegressor)(
            n_estimators=50, random_state=seed
        )
        trees.fit(codes[train], factor[train])
        importance.append(trees.feature_importances_)
        scores.append(trees.score(codes[test], factor[test]))
    r = np.stack(importance, 1)
    served = r.sum(1)
    disentanglement = np.sum(served / served.sum() * (1.0 - _entropy(r / np.maximum(served, 1e-12)[:, None], 1)))
    completeness = np.mean(1.0 - _entropy(r / np.maximum(r.sum(0), 1e-12), 0))
    return DCI(float(disentanglement), float(completeness), float(np.mean(scores)), r)


def _checked(codes, factors) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    codes = np.asarray(codes, np.float64)
    if codes.ndim != 2 or codes.shape[1] < 2:
        raise InputError(f"codes: shape {codes.shape}, expected (count, latents) with at least 2 latents")
    if not np.isfinite(codes).all():
        raise InputError("codes: NaN or infinity among them")
    if not isinstance(factors, dict):
        factors = {str(index): column for index, column in enumerate(np.asarray(factors).T)}
    factors = {name: np.asarray(values) for name, values in factors.items()}
    if not factors:
        raise InputError("factors: none")
    for name, values in factors.items():
        if values.shape != (len(codes),) or values.dtype.kind not in "iuf":
            raise InputError(f"factor {name!r}: {values.dtype} of shape {values.shape}, expected {len(codes)} numbers")
        if not np.isfinite(values).all() or np.ptp(values) == 0:
            raise InputError(f"factor {name!r}: it never changes, or is not finite")
    return codes, factors


def _binned(values, bins: int) -> np.ndarray:
    return np.digitize(values, np.histogram_bin_edges(values, bins)[1:-1])


def _standardised(codes) -> np.ndarray:
    deviation = codes.std(0)
    return (codes - codes.mean(0)) / np.where(deviation > 0.0, deviation, 1.0)


def _told_by_one(code, factor) -> float:
    """Returns how well one latent tells a factor by itself."""
    if np.ptp(code) == 0.0:
        return 0.0 if factor.dtype.kind == "f" else 1.0 / len(np.unique(factor))
    if factor.dtype.kind == "f":
        return float(np.corrcoef(code, factor)[0, 1] ** 2)
    classifier = LinearSVC(C=0.01, random_state=0).fit(code[:, None], factor)
    return float(balanced_accuracy_score(factor, classifier.predict(code[:, None])))


def _entropy(shares, axis: int) -> np.ndarray:
    """Returns the entropy along an axis, to the base of its length."""
    safe = np.where(shares > 0.0, shares, 1.0)
    return -np.sum(safe * np.log(safe), axis) / np.log(shares.shape[axis])
