"""Metrics: functions of samples, features or predicted labels, with no network inside."""

from tfgen.evaluation.coverage import Coverage, ModeCoverage, label_coverage, mode_coverage

__all__ = ["Coverage", "ModeCoverage", "label_coverage", "mode_coverage"]
