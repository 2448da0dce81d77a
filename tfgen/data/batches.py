"""The batches of an epoch, in an order that belongs to the epoch's number.

`tf.data` can reshuffle at each iteration, but not begin with the order of iteration n, which a resumed run needs. So
the number of the epoch is counted here, one call of Python per epoch, and orders are numpy's permutations.
"""

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

as_written = tf.autograph.experimental.do_not_convert  # none of these functions branches, and conversion is slow


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a split, or a part of it, is read.

    Arguments:
        count: number of examples.
        batch_size: number of examples of a batch.
        drop_remainder: leaves a smaller last batch out.
        shuffle: whether every epoch has an order of its own.
        seed: of the orders.
        epoch: number of the epoch that the first iteration gives.
    """

    count: int
    batch_size: int
    drop_remainder: bool
    shuffle: bool
    seed: int
    epoch: int

    @property
    def batches(self) -> int:
        """Number of batches of an epoch."""
        full, rest = divmod(self.count, self.batch_size)
        return full + bool(rest and not self.drop_remainder)

    def order(self, epoch: int) -> np.ndarray:
        """Returns the positions 0..count-1, int64, in the order of an epoch."""
        if not self.shuffle:
            return np.arange(self.count)
        return np.random.default_rng([self.seed, epoch]).permutation(self.count)


def rows(plan: Plan, read: Callable) -> tf.data.Dataset:
    """Returns batches of data that can be read at any position.

    Arguments:
        plan: what to read.
        read: maps positions, int64 `(batch,)`, and a seed, int64 `(2,)`, that no other batch has, to a batch.
    """
    numbers = itertools.count(plan.epoch)

    def positions():
        epoch = next(numbers)
        return np.stack([plan.order(epoch), np.full(plan.count, epoch)], axis=1)

    @as_written
    def start(_):
        return tf.ensure_shape(tf.numpy_function(positions, [], tf.int64), (plan.count, 2))

    @as_written
    def finish(batch):
        return read(batch[:, 0], _seed(plan, batch[0, 1], batch[0, 0]))

    data = tf.data.Dataset.from_tensors(0).map(start).unbatch().batch(plan.batch_size, plan.drop_remainder)
    return _finished(plan, data.map(finish, num_parallel_calls=tf.data.AUTOTUNE))


def stream(plan: Plan, examples: tf.data.Dataset, buffer: int, read: Callable) -> tf.data.Dataset:
    """Returns batches of data that can only be read from the beginning.

    Shuffled, the next example is always drawn from `buffer` examples.

    Arguments:
        plan: what to read.
        examples: the examples, always in the same order.
        buffer: number of examples.
        read: maps a batch and a seed, int64 `(2,)`, that no other batch has, to a batch.
    """
    numbers = itertools.count(plan.epoch)

    @as_written
    def start(_):
        return tf.ensure_shape(tf.numpy_function(lambda: np.int64(next(numbers)), [], tf.int64), ())

    @as_written
    def one_epoch(epoch):
        data = examples
        if plan.shuffle:
            tf.compat.v1.set_random_seed(1)  # of this graph alone; otherwise orders would depend on the global seed
            data = data.shuffle(buffer, seed=plan.seed * 1_000_003 + epoch, reshuffle_each_iteration=False)
        data = data.batch(plan.batch_size, plan.drop_remainder)
        seeds = tf.data.Dataset.range(plan.batches).map(as_written(lambda number: _seed(plan, epoch, number)))
        return tf.data.Dataset.zip(data, seeds)

    data = tf.data.Dataset.from_tensors(0).map(start).flat_map(one_epoch)
    return _finished(plan, data.map(as_written(read), num_parallel_calls=tf.data.AUTOTUNE))


def _seed(plan: Plan, epoch: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.constant(plan.seed, tf.int64), epoch * 2**32 + number])


def _finished(plan: Plan, data: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    data = data.apply(tf.data.experimental.assert_cardinality(plan.batches))
    return data.with_options(options).prefetch(tf.data.AUTOTUNE)
