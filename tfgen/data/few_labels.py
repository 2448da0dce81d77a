"""Few labels: those of most examples are hidden, and each batch has some of the examples with a label."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tfgen.data.batches import Plan, rows
from tfgen.errors import InputError

_OF_DRAWS = 1  # so that the labelled are not drawn with the numbers that other draws of a batch begin with


@dataclasses.dataclass(frozen=True)
class FewLabels:
    """How many labels are known.

    Arguments:
        per_class: examples of each class whose label is known.
        in_batch: examples of a batch whose label is known; a quarter of it unless given.
        seed: of the choice.

    Raises:
        InputError: a number is not at least 1.
    """

    per_class: int
    in_batch: int | None = None
    seed: int = 0

    def __post_init__(self):
        for name, value in (("labels_per_class", self.per_class), ("labelled", self.in_batch)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InputError(f"{name}={value!r}: expected a whole number of at least 1")


def keep_labels(label, per_class: int, *, seed: int = 0, where: str = "label") -> np.ndarray:
    """Returns labels of which only a few of each class are known.

    Arguments:
        label: integers `(count,)`; negative ones are not known already.
        per_class: how many of each class that occurs are kept.
        seed: the same seed keeps the same ones.
        where: whose labels they are, for messages.

    Returns:
        int32 `(count,)`, with -1 for those that are not kept.

    Raises:
        InputError: a class has fewer examples.
    """
    label = np.asarray(label)
    few = np.full(label.shape, -1, np.int32)
    for value in np.unique(label[label >= 0]):
        places = np.flatnonzero(label == value)
        if len(places) < per_class:
            raise InputError(f"{where}: class {value} has {len(places)} examples, fewer than {per_class}")
        few[np.random.default_rng([seed, value]).choice(places, per_class, replace=False)] = value
    return few


def mixed_batches(
    arrays: Mapping[str, np.ndarray],
    batch_size: int,
    labelled: int | None = None,
    *,
    seed: int = 0,
    drop_remainder: bool = False,
    epoch: int = 0,
    finish: Callable | None = None,
    where: str = "data",
) -> tf.data.Dataset:
    """Returns the batches of an epoch, each with some examples whose label is known.

    An epoch has every example without a label once, in an order of its own; beside them each batch has `labelled` of
    the few others, drawn with replacement. Both are a function of `seed` and the number of the epoch alone. Each
    iteration over the returned object is the next epoch.

    Arguments:
        arrays: `label`, integers `(count,)` with -1 where the class is not known, and others of the same length.
        batch_size: number of examples of a batch, the labelled among them, which come last.
        labelled: how many these are; a quarter of the batch unless given.
        seed: of orders and draws.
        drop_remainder: leaves a smaller last batch out.
        epoch: number of the epoch that the first iteration gives.
        finish: maps a batch and a seed, int64 `(2,)`, to the batch that is given.
        where: whose batches they are, for messages.

    Raises:
        InputError: no example, or every one, has a label, or there are fewer of the others than a batch takes.
    """
    label = np.asarray(arrays["label"])
    few, others = np.flatnonzero(label >= 0), np.flatnonzero(label < 0)
    labelled = max(1, batch_size // 4) if labelled is None else labelled
    if not 1 <= labelled < batch_size:
        raise InputError(f"{where}: {labelled} labelled examples in a batch of {batch_size}; leave room for others")
    if not len(few) or not len(others):
        raise InputError(f"{where}: {'no' if not len(few) else 'every'} example has a label; some have to have one")
    if len(others) < batch_size - labelled:
        raise InputError(
            f"{where}: {len(others)} examples without a label, fewer than {batch_size - labelled} of a batch; "
            f"pass a smaller batch_size"
        )
    plan = Plan(len(others), batch_size - labelled, drop_remainder, True, seed, epoch)
    tensors = {key: tf.constant(array) for key, array in arrays.items()}
    few, others = tf.constant(few), tf.constant(others)

    def read(at, key):
        of_draws = tf.random.fold_in(key, _OF_DRAWS, alg="philox")
        drawn = tf.random.stateless_uniform((labelled,), of_draws, 0, len(few), tf.int64, alg="philox")
        places = tf.concat([tf.gather(others, at), tf.gather(few, drawn)], 0)
        batch = {key: tf.gather(tensor, places) for key, tensor in tensors.items()}
        return batch if finish is None else finish(batch, key)

    return rows(plan, read)
