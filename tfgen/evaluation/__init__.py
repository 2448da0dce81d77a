"""Metrics: functions of samples, features or predicted labels, with no network inside; and likelihoods of models.

Some are imported when first used, so that the others do without TensorFlow and scikit-learn.
"""

import importlib

from tfgen.evaluation.am_score import am_score
from tfgen.evaluation.coverage import Coverage, ModeCoverage, label_coverage, mode_coverage
from tfgen.evaluation.frechet import frechet_distance

_HOME = {
    "AnnealedBound": "tfgen.evaluation.ais",
    "DCI": "tfgen.evaluation.disentanglement",
    "Probe": "tfgen.evaluation.probe",
    "Sandwich": "tfgen.evaluation.ais",
    "annealed_importance_sampling": "tfgen.evaluation.ais",
    "bidirectional_monte_carlo": "tfgen.evaluation.ais",
    "dci": "tfgen.evaluation.disentanglement",
    "linear_probe": "tfgen.evaluation.probe",
    "mutual_information_gap": "tfgen.evaluation.disentanglement",
    "separated_attribute_predictability": "tfgen.evaluation.disentanglement",
    "sigmoid_betas": "tfgen.evaluation.ais",
}

__all__ = [
    "DCI",
    "AnnealedBound",
    "Coverage",
    "ModeCoverage",
    "Probe",
    "Sandwich",
    "am_score",
    "annealed_importance_sampling",
    "bidirectional_monte_carlo",
    "dci",
    "frechet_distance",
    "label_coverage",
    "linear_probe",
    "mode_coverage",
    "mutual_information_gap",
    "separated_attribute_predictability",
    "sigmoid_betas",
]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'tfgen.evaluation' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
