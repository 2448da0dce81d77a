"""Keras callbacks of tfgen, for any `model.fit`."""

from tfgen.training.callbacks import HistoryLog, RunCheckpoint, SampleGrid, ScalarLog, read_history
from tfgen.training.doctor import Doctor

__all__ = ["Doctor", "HistoryLog", "RunCheckpoint", "SampleGrid", "ScalarLog", "read_history"]
