"""Metrics: functions of samples, features or predicted labels, with no network inside."""

from tfgen.evaluation.am_score import am_score
from tfgen.evaluation.coverage import Coverage, ModeCoverage, label_coverage, mode_coverage

__all__ = ["Coverage", "ModeCoverage", "am_score", "label_coverage", "mode_coverage"]
