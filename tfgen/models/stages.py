"""Training in stages: some of the players move, then others."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np

from tfgen.errors import InputError
from tfgen.models.players import Batch


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of a training in which the same players move.

    Arguments:
        name: for messages.
        players: names of those that move.
        share: of the epochs, in proportion to the other stages' shares.
        begin: what is done once before its first step, with the training data in batches as they come to `terms`, in
            any order. That of the first stage is never called: the constructor has prepared that one.
    """

    name: str
    players: Sequence[str]
    share: float = 1.0
    begin: Callable[[Iterable[Batch]], None] | None = None


def divide(stages: Sequence[Stage], epochs: int, owner: str) -> list[int]:
    """Returns how many epochs are over when each stage ends: its share, and one epoch at least.

    Arguments:
        stages: in order.
        epochs: of the whole training.
        owner: whose they are, for the message.

    Raises:
        InputError: fewer epochs than stages.
    """
    if epochs < len(stages):
        raise InputError(f"epochs: {epochs}, but {owner} is trained in {len(stages)} stages; give at least that many")
    shares = np.array([stage.share for stage in stages], np.float64)
    ends = []
    for index, end in enumerate(np.round(epochs * np.cumsum(shares) / shares.sum()).astype(int)):
        before, behind = (ends[-1] if ends else 0), len(stages) - 1 - index
        ends.append(int(np.clip(end, before + 1, epochs - behind)))
    return ends


class StageWalk(keras.callbacks.Callback):
    """Has the model enter the stage of each epoch.

    Arguments:
        epochs: of the whole training, if this `fit` does only some of them.
        batches: gives the training data in batches.
    """

    def __init__(self, epochs: int | None, batches: Callable[[], Iterable[Batch]]):
        super().__init__()
        self.epochs, self.batches = epochs, batches
        self._ends: list[int] = []

    def on_train_begin(self, logs=None):
        self._ends = self.model.stage_ends(self.epochs or self.params["epochs"])

    def on_epoch_begin(self, epoch, logs=None):
        self.model.enter_stage(sum(epoch >= end for end in self._ends[:-1]), self.batches)
