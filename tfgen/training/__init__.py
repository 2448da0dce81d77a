"""Training as a run: a folder that holds everything needed to look at it, to resume it and to repeat it."""

from tfgen.training.lock import check_free as check_unlocked
from tfgen.training.run import Interrupted, Run
from tfgen.training.strategies import check_strategy, follows
from tfgen.training.trainer import check_precision, check_same, default_folder, resume, train

__all__ = [
    "Interrupted",
    "Run",
    "check_precision",
    "check_same",
    "check_strategy",
    "check_unlocked",
    "default_folder",
    "follows",
    "resume",
    "train",
]
