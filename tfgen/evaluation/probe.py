"""How much of a class a linear classifier reads off features: what they are worth for other tasks."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tfgen.errors import InputError

# Numbers in a problem from which on threads are worth their while.
_LARGE = 2**22

_PENALTIES = tuple(10.0**power for power in range(-4, 3))


@dataclasses.dataclass(frozen=True)
class Probe:
    """What `linear_probe` measures.

    Attributes:
        accuracy: on the test examples, in [0, 1].
        standard_error: of the accuracy, over test examples; not over other training sets or other models.
        C: the inverse weight of the penalty that cross-validation chose.
        features: how many there are.
        raw: the same of the examples' own numbers, where a model was probed.
    """

    accuracy: float
    standard_error: float
    C: float
    features: int
    raw: "Probe | None" = None


def linear_probe(
    train,
    test,
    model=None,
    *,
    penalties: Sequence[float] = _PENALTIES,
    folds: int = 5,
    seed: int = 0,
    batch_size: int = 256,
) -> Probe:
    """Measures how many classes a logistic regression of features gets right (Alain & Bengio 2017; Radford et al. 2016).

    Features are standardised, and the weight of the squared penalty is chosen by stratified cross-validation, both by the
    training examples alone; of weights that do equally well the one that regularises most is taken.

    Arguments:
        train: features `(count, ...)` and classes, integers `(count,)`. Examples of class -1, which is not known, are left
            out.
        test: the same, to measure on.
        model: in place of features there are examples then, of which `tfgen.latents.features` are taken.
        penalties: values of C, the inverse weight of the penalty, to choose from.
        folds: of the cross-validation; fewer where a class has fewer training examples.
        seed: of the folds.
        batch_size: examples that the model sees at once.

    Raises:
        InputError: shapes that do not match, features that are not finite, fewer than two classes to learn from or two
            examples of one, a penalty that is not positive, or a model without features (see `tfgen.latents.features`).
    """
    (x, y), (x_test, y_test) = _known("train", train), _known("test", test)
    if folds < 2 or not len(penalties) or not all(0.0 < penalty < math.inf for penalty in penalties):
        raise InputError(f"linear_probe: {folds} folds and C of {penalties}, expected at least 2, and positive numbers")
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) < 2 or counts.min() < 2:
        raise InputError(
            f"train: classes {classes} of {counts} examples, expected two classes, and two examples of each"
        )
    validation = StratifiedKFold(min(folds, counts.min()), shuffle=True, random_state=seed)

    def measured(x, x_test) -> Probe:
        # Within the pipeline, so that the folds that are predicted have no part in the standardisation.
        regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
        search = GridSearchCV(regression, {"logisticregression__C": sorted(penalties)}, cv=validation)
        # Threads cost a small problem six times what it takes without.
        with threadpool_limits(1 if x.size < _LARGE else None):
            accuracy = float(search.fit(x, y).score(x_test, y_test))
        error = math.sqrt(accuracy * (1.0 - accuracy) / len(y_test))
        return Probe(accuracy, error, float(search.best_params_["logisticregression__C"]), x.shape[1])

    raw = _flat("train", x), _flat("test", x_test)
    if raw[0].shape[1] != raw[1].shape[1]:
        raise InputError(f"test: {raw[1].shape[1]} features, but {raw[0].shape[1]} to train on")
    if model is None:
        return measured(*raw)
    from tfgen import latents

    told = (latents.features(model, part, batch_size=batch_size) for part in (x, x_test))
    told = (_flat(where, features) for where, features in zip(("train", "test"), told, strict=True))
    return dataclasses.replace(measured(*told), raw=measured(*raw))


def _known(where: str, pair) -> tuple[np.ndarray, np.ndarray]:
    """Returns the examples whose class is known, and the classes."""
    x, y = (np.asarray(part) for part in pair)
    if x.ndim < 2 or y.shape != x.shape[:1] or y.dtype.kind not in "iu" or x.dtype.kind not in "biuf":
        raise InputError(
            f"{where}: {x.dtype} of shape {x.shape} and {y.dtype} of shape {y.shape}, expected numbers (count, ...) and one "
            "integer for each"
        )
    if not (y >= 0).any():
        raise InputError(f"{where}: no example whose class is known")
    return x[y >= 0], y[y >= 0]


def _flat(where: str, features) -> np.ndarray:
    features = features.reshape(len(features), -1).astype(np.float64)
    if not np.isfinite(features).all():
        raise InputError(f"{where}: NaN or infinity among the features")
    return features
