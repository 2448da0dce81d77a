"""Training on several replicas at once, as one would: each has a slice of the batch, and the noise of that slice.

Everything here does nothing, and costs nothing, where there is one replica.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf


class Slice(tf.experimental.ExtensionType):
    """The part of a step's batch that a replica has, int32 scalars.

    Arguments:
        replica: its number.
        begin: number of examples that those before it have.
        count: of its examples.
        total: of the examples of all.
    """

    replica: tf.Tensor
    begin: tf.Tensor
    count: tf.Tensor
    total: tf.Tensor

    @property
    def share(self) -> tf.Tensor:
        """What a mean over the replica's examples is of that over all, a float32 scalar."""
        return tf.cast(self.count, tf.float32) / tf.cast(self.total, tf.float32)


# Of the step that is being computed; each replica of a `MirroredStrategy` is traced in a thread of its own.
_present = threading.local()


def several() -> bool:
    """Returns whether this is computed by one of several replicas."""
    context = tf.distribute.get_replica_context()
    return context is not None and context.num_replicas_in_sync > 1


class Kept:
    """What a part of a step keeps for another; replicas, which take turns while they are traced, each for themselves."""

    def __init__(self):
        self._values: dict[int, object] = {}

    @property
    def value(self):
        """None until it is set."""
        return self._values.get(_number())

    @value.setter
    def value(self, value):
        self._values[_number()] = value


def _number() -> int:
    """Returns which replica computes this."""
    return int(tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)) if several() else 0


def _slice() -> Slice | None:
    return getattr(_present, "slice", None)


@contextlib.contextmanager
def _having(part: Slice | None) -> Iterator[None]:
    before, _present.slice = _slice(), part
    try:
        yield
    finally:
        _present.slice = before


@contextlib.contextmanager
def step(batch: dict[str, tf.Tensor], key: str) -> Iterator[dict[str, tf.Tensor]]:
    """Within it a step is computed with this replica's examples, of which there are as many as rows of `batch[key]`.

    Gives the batch. Models are not made for a batch of nothing: a replica without an example of the last one has one
    of zeros, which counts nowhere.
    """
    if not several():
        yield batch
        return
    context, count = tf.distribute.get_replica_context(), tf.shape(batch[key])[0]
    counts, replica = context.all_gather(count[None], axis=0), context.replica_id_in_sync_group
    begin = tf.reduce_sum(tf.where(tf.range(context.num_replicas_in_sync) < replica, counts, 0))
    with _having(Slice(replica, begin, count, tf.reduce_sum(counts))):
        missing = tf.maximum(1 - count, 0)
        yield {name: tf.pad(value, [[0, missing]] + [[0, 0]] * (value.shape.rank - 1)) for name, value in batch.items()}


@contextlib.contextmanager
def together(batch: dict[str, tf.Tensor]) -> Iterator[dict[str, tf.Tensor]]:
    """Gives the batch of all replicas; within it all draw the same noise, that of a single one."""
    whole = {key: gather(value) for key, value in batch.items()}
    with _having(None):
        yield whole


def gather(values) -> tf.Tensor:
    """Returns the values `(batch, ...)` of all replicas, in the order of the batch."""
    if not several():
        return values
    if _slice() is not None:
        values = values[: tf.where(_slice().count > 0, tf.shape(values)[0], 0)]
    kind, context = values.dtype, tf.distribute.get_replica_context()
    # Collective operations know few types.
    wide = (
        values if kind.is_floating and kind.size >= 4 else tf.cast(values, tf.float32 if kind.is_floating else tf.int32)
    )
    # Workers lose the static shape.
    return tf.ensure_shape(tf.cast(context.all_gather(wide, axis=0), kind), (None, *values.shape[1:]))


def count_all(count) -> tf.Tensor:
    """Returns how many examples all replicas have in this step, where this one has `count`."""
    return count if _slice() is None else _slice().total


def weigh(loss) -> tf.Tensor:
    """Returns what a replica's loss adds to that of all, whose gradients optimizers sum."""
    return loss if _slice() is None else loss * _slice().share


def mean(terms: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns the means over all examples of terms, float32 scalars that are means over this replica's."""
    if _slice() is None or not terms:
        return terms
    values = tf.stack(list(terms.values())) * _slice().share
    values = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)
    return dict(zip(terms, tf.unstack(values), strict=True))


def when(condition, move: Callable[..., None], *args) -> None:
    """Calls a function that may change variables if a condition holds, which is the same on all replicas.

    Arguments:
        condition: a boolean scalar.
        move: what it returns is not looked at. Tensors of a replica reach it as arguments alone.
        args: of it, nested tensors.
    """

    def alone():
        move(*args)

    if not several():
        tf.cond(condition, alone, lambda: None)
        return
    # A replica can change no mirrored variable within a branch of its own: all of them enter the same one.
    as_written = tf.autograph.experimental.do_not_convert

    @as_written
    def enter(part, args):
        with _having(part):
            move(*args)

    @as_written
    def branch(strategy, condition, part, args):
        condition = strategy.experimental_local_results(condition)[0]
        tf.cond(condition, lambda: strategy.run(enter, (part, args)) and None, lambda: None)

    tf.distribute.get_replica_context().merge_call(branch, args=(condition, _slice(), args))


@contextlib.contextmanager
def variables(of_optimizer: bool = False) -> Iterator[None]:
    """Within it variables are made that replicas may assign in a step, if a strategy makes them.

    Statistics of the data (batch normalisation) are each replica's own within a move: see `level`. All else is
    the same on all: what is assigned to a weight, and what is counted.

    Arguments:
        of_optimizer: whether they are an optimizer's. It may count within branches, where replicas can assign only what is
            their own; all of them assign the same.
    """
    if not tf.distribute.has_strategy():
        yield
        return

    def create(next_creator, **kwargs):
        floating = tf.as_dtype(kwargs["dtype"]).is_floating if kwargs.get("dtype") is not None else True
        if kwargs.get("aggregation") in (None, tf.VariableAggregation.NONE):
            kwargs["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
            if (of_optimizer or floating) and not kwargs.get("trainable", True):
                kwargs["synchronization"] = tf.VariableSynchronization.ON_READ
        elif kwargs.get("synchronization") == tf.VariableSynchronization.ON_READ:
            # A metric has seen the examples of all replicas already.
            kwargs["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
        return next_creator(**kwargs)

    with tf.variable_creator_scope(create):
        yield


def finite_on_all(gradients: Sequence) -> list:
    """Returns a replica's gradients, or what is no number in place of all where another replica has such a one.

    Whether a step is skipped is seen by each replica in its own gradients (Keras looks at those of the first only).
    """
    if not several():
        return list(gradients)
    good = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients if g is not None])
    bad = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, 1.0 - tf.cast(good, tf.float32))
    return [g if g is None else tf.where(bad > 0.0, tf.cast(np.nan, g.dtype), g) for g in gradients]


def level(weights: Iterable[keras.Variable]) -> None:
    """Gives those weights that replicas have changed for themselves the mean of what they are on each.

    All of them are told at once: one by one they would be two dozen collective operations in a step of a small network.

    Arguments:
        weights: floats that are not trained.
    """
    if not several():
        return
    variables = [
        weight.value for weight in weights if weight.value.synchronization == tf.VariableSynchronization.ON_READ
    ]
    for kind in dict.fromkeys(variable.dtype for variable in variables):  # in the same order on all
        of_kind = [variable for variable in variables if variable.dtype == kind]
        values = tf.concat([tf.reshape(variable, [-1]) for variable in of_kind], 0)
        means = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values)
        sizes = [variable.shape.num_elements() for variable in of_kind]
        for variable, mean in zip(of_kind, tf.split(means, sizes), strict=True):
            variable.assign(tf.reshape(mean, variable.shape))


def step_function(model, compute: Callable[..., Mapping]) -> Callable:
    """Returns what `fit` and `evaluate` call for `steps_per_execution` steps: iterator -> logs.

    Keras' own reduces each of the logs over workers, though they are the same on all.

    Arguments:
        model: of Keras.
        compute: its `train_step` or `test_step`.
    """
    strategy = model.distribute_strategy

    def one(iterator):
        logs = strategy.run(compute, args=(iterator.get_next(),))
        return {name: strategy.experimental_local_results(value)[0] for name, value in logs.items()}

    one = tf.autograph.experimental.do_not_convert(one)
    if not model.run_eagerly:
        one = tf.function(one, reduce_retracing=True)

    def function(iterator):
        logs = None
        for _ in range(model.steps_per_execution):
            try:
                logs = one(iterator)
            except (tf.errors.OutOfRangeError, StopIteration):
                if logs is None:
                    raise
                break
        return logs

    return function


class PlacedSeed(tf.experimental.ExtensionType):
    """A seed, int32 `(2,)`, by which a replica draws its slice of what one replica would draw for the whole batch.

    TensorFlow calls the functions below when such a seed is passed to one of its own, so that models and distributions
    draw as ever. The batch's axis of a draw is the first that is as long as the replica has examples, or else the first
    that has several numbers for each (tfp draws vectors as one long one). A draw without such an axis is the replica's
    own, and so is one whose parameters differ from example to example. Where another axis before it is as long by
    chance, replicas still draw different noise, but not that of one.
    """

    key: tf.Tensor
    part: Slice

    @property
    def dtype(self) -> tf.DType:
        return self.key.dtype

    def __getitem__(self, index) -> "PlacedSeed":
        return PlacedSeed(self.key[index], self.part)

    def own(self) -> tf.Tensor:
        """Returns the seed of the replica's own draws."""
        return tf.random.fold_in(self.key, self.part.replica, alg="philox")

    def draw(self, sample: Callable, shape) -> tf.Tensor:
        """Returns the slice of a draw.

        Arguments:
            sample: maps a shape and a seed to a draw.
            shape: of the slice.
        """
        shape = tf.convert_to_tensor(shape.as_list() if isinstance(shape, tf.TensorShape) else shape)
        static = tf.fill(shape, 0.0).shape
        shape = tf.cast(tf.reshape(shape, [-1]), tf.int32)
        part, same = self.part, tf.equal(shape, self.part.count)
        each = tf.where(same, 1, shape // tf.maximum(part.count, 1))
        fits = same | ((each > 0) & tf.equal(each * part.count, shape))
        first = tf.argmax(2 * tf.cast(same, tf.int32) + tf.cast(fits, tf.int32))
        along = tf.one_hot(first, tf.size(shape), on_value=True, off_value=False) & fits
        seed = tf.where(tf.reduce_any(along), self.key, self.own())
        drawn, begin = sample(tf.where(along, each * part.total, shape), seed), tf.where(along, each * part.begin, 0)
        return tf.ensure_shape(tf.slice(drawn, begin, shape), static)


def place(key) -> "tf.Tensor | PlacedSeed":
    """Returns a seed by which this replica draws the noise of its own examples."""
    return key if _slice() is None else PlacedSeed(key, _slice())


def shared(seed) -> tf.Tensor:
    """Returns the seed with which all replicas draw the same."""
    return seed.key if isinstance(seed, PlacedSeed) else seed


def place_layers(generators) -> None:
    """Has layers of Keras (dropout, noise) draw as models do, if a strategy makes them.

    Arguments:
        generators: `keras.random.SeedGenerator`s.
    """
    if not tf.distribute.has_strategy():
        return

    def placed(follow: Callable, ordered: bool = True):
        key = follow(ordered)
        # As Keras casts it.
        return key if _slice() is None else place(tf.cast(tf.math.floormod(key, tf.int32.max - 1), tf.int32))

    for generator in generators:
        generator.next = functools.partial(placed, generator.next)


def _scalar(*values) -> bool:
    return all(
        value is None or np.ndim(value) == 0 if not tf.is_tensor(value) else value.shape.rank == 0 for value in values
    )


_for = tf.experimental.dispatch_for_api


@_for(tf.convert_to_tensor, {"value": PlacedSeed})
def _convert(value, dtype=None, dtype_hint=None, name=None):
    return value


@_for(tf.bitwise.bitwise_xor, {"x": PlacedSeed})
def _xor(x, y, name=None):
    return PlacedSeed(tf.bitwise.bitwise_xor(x.key, y), x.part)


@_for(tf.unstack, {"value": PlacedSeed})
def _unstack(value, num=None, axis=0, name="unstack"):
    return [PlacedSeed(key, value.part) for key in tf.unstack(value.key, num, axis)]


@_for(tf.random.split, {"seed": PlacedSeed})
def _split(seed, num=2, alg="auto_select"):
    return PlacedSeed(tf.random.split(seed.key, num, alg), seed.part)


@_for(tf.random.fold_in, {"seed": PlacedSeed})
def _fold_in(seed, data, alg="auto_select"):
    return PlacedSeed(tf.random.fold_in(seed.key, data, alg), seed.part)


@_for(tf.random.stateless_uniform, {"seed": PlacedSeed})
def _uniform(shape, seed, minval=0, maxval=None, dtype=tf.float32, name=None, alg="auto_select"):
    def sample(shape, key):
        return tf.random.stateless_uniform(shape, key, minval, maxval, dtype, name, alg)

    if minval is None:  # bits: seeds of further draws
        return PlacedSeed(sample(shape, seed.key), seed.part)
    return seed.draw(sample, shape) if _scalar(minval, maxval) else sample(shape, seed.own())


@_for(tf.random.stateless_normal, {"seed": PlacedSeed})
def _normal(shape, seed, mean=0.0, stddev=1.0, dtype=tf.float32, name=None, alg="auto_select"):
    def sample(shape, key):
        return tf.random.stateless_normal(shape, key, mean, stddev, dtype, name, alg)

    return seed.draw(sample, shape) if _scalar(mean, stddev) else sample(shape, seed.own())


@_for(tf.random.stateless_truncated_normal, {"seed": PlacedSeed})
def _truncated_normal(shape, seed, mean=0.0, stddev=1.0, dtype=tf.float32, name=None, alg="auto_select"):
    def sample(shape, key):
        return tf.random.stateless_truncated_normal(shape, key, mean, stddev, dtype, name, alg)

    return seed.draw(sample, shape) if _scalar(mean, stddev) else sample(shape, seed.own())


@_for(tf.random.stateless_gamma, {"seed": PlacedSeed})
def _gamma(shape, seed, alpha, beta=None, dtype=tf.float32, name=None):
    def sample(shape, key):
        return tf.random.stateless_gamma(shape, key, alpha, beta, dtype, name)

    return seed.draw(sample, shape) if _scalar(alpha, beta) else sample(shape, seed.own())


@_for(tf.random.stateless_categorical, {"seed": PlacedSeed})
def _categorical(logits, num_samples, seed, dtype=tf.int64, name=None):
    # Each row of logits has noise of its own, and an example one row or several.
    part, rows = seed.part, tf.shape(logits)[0]
    each = rows // tf.maximum(part.count, 1)
    fits = tf.equal(each * part.count, rows)
    behind = part.total - part.begin - part.count
    around = tf.where(fits, each * tf.stack([part.begin, behind]), 0)
    padded = tf.pad(logits, tf.stack([around, tf.zeros_like(around)]))
    key = tf.where(fits, seed.key, seed.own())
    drawn = tf.random.stateless_categorical(padded, num_samples, key, dtype, name)
    return tf.ensure_shape(drawn[around[0] : around[0] + rows], (logits.shape[0], None))
