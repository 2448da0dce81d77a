"""Metrics: functions of samples, features or predicted labels, with no network inside."""

from tfgen.evaluation.coverage import Coverage, label_coverage

__all__ = ["Coverage", "label_coverage"]
