"""What can go wrong while a model trains, in the words of the command line."""

import re

from tfgen.errors import InputError
from tfgen.training.checkpoints import Place, read_place
from tfgen.training.run import Run

#: By what a rollback multiplies the learning rates.
FACTOR = 0.5


class Diverged(ArithmeticError):
    """A loss or a gradient is no longer finite.

    Arguments:
        fault: a `tfgen.models.faults.Fault`.
    """

    def __init__(self, fault):
        super().__init__(str(fault))
        self.fault = fault


def roll_back(run: Run, diverged: Diverged) -> None:
    """Records that a run returns to its last checkpoint with lower learning rates.

    Raises:
        InputError: the run is to stop, or was taken back as often as it may be.
    """
    training, done = run.record["training"], run.record.get("rollbacks", [])
    checkpoint = run.checkpoints.newest()
    kept = f"{checkpoint.name} is kept" if checkpoint else "there was no checkpoint yet"
    if training.get("on_nan") != "rollback":
        hint = "lower the learning rate, or go on with --resume --on-nan rollback"
        raise InputError(f"{run.path}: {diverged}; {kept}; {hint}") from None
    if len(done) >= training["rollbacks"]:
        raise InputError(f"{run.path}: {diverged}; {kept}; after {len(done)} rollbacks") from None
    place = read_place(checkpoint) if checkpoint else Place()
    fault = diverged.fault
    told = {"step": fault.step, "player": fault.player, "term": fault.term, "tensor": fault.tensor}
    told |= {"epoch": place.epoch, "step_of_epoch": place.step, "factor": FACTOR}
    run.write(rollbacks=[*done, told])


def lower_rates(model, factor: float) -> None:
    """Multiplies the learning rate of every player's optimizer, or the schedule that gives it."""
    import keras

    from tfgen.optimizers import Scaled

    for optimizer in model.optimizers.values():
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        rate = optimizer._learning_rate
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            optimizer.learning_rate = Scaled(rate, factor)
        else:
            optimizer.learning_rate = float(rate) * factor


def explain(error: BaseException, run: Run, source) -> InputError | None:
    """Returns what happened to a run in one line, or None if it is nothing that happens to a training.

    Arguments:
        error: what ended it.
        run: with its record.
        source: that it is trained on.
    """
    import tensorflow as tf

    resumed = "the last checkpoint is kept; --resume goes on with it when that is mended"
    if isinstance(error, OSError):
        return InputError(f"{error.filename or run.path}: {error.strerror or error}; {resumed}")
    if isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError)):
        size = run.record["training"]["batch_size"]
        return InputError(f"{run.path}: out of memory with --batch-size {size}; begin anew with a smaller one")
    if isinstance(error, tf.errors.OpError):
        if run.record["training"].get("strategy") == "multi_worker" and re.search(r"Collective|task:\d", error.message):
            return InputError("another worker has stopped; start all of them again with --resume")
        # An error of ours that was raised by a function of tf.data comes with its own trace behind it.
        told = re.search(r"InputError: (.*)", error.message)
        found = told[1] if told else source.damage()
        return InputError(f"{found}; {resumed}") if found else None
    return None
