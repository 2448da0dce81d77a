"""Metrics: functions of samples, features or predicted labels, with no network inside."""

from tfgen.evaluation.am_score import am_score
from tfgen.evaluation.coverage import Coverage, ModeCoverage, label_coverage, mode_coverage
from tfgen.evaluation.frechet import frechet_distance

__all__ = ["Coverage", "ModeCoverage", "am_score", "frechet_distance", "label_coverage", "mode_coverage"]
