"""Where numbers first went bad in a training."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from tfgen import replicas
from tfgen.models.players import Batch, Player, Terms
from tfgen.precision import steady_sum


@dataclasses.dataclass(frozen=True)
class Fault:
    """A number that is none.

    Attributes:
        step: of the training, from 1.
        player: who was about to move.
        term: of the player's loss, the first that is bad or whose gradient is.
        tensor: the first that is bad: of the batch, a weight, the term itself, or a gradient.
    """

    step: int
    player: str
    term: str
    tensor: str

    def __str__(self) -> str:
        return (
            f"step {self.step}: {self.term!r} of the {self.player} is no longer finite; first bad: {self.tensor}; "
            "the move was not made"
        )


class FaultLog:
    """Looks at every move before it is made, and keeps the first that has a NaN or an infinity.

    A bad move is not made, so that the weights stay as they were.
    """

    def __init__(self):
        self._names: list[str] = []
        # Step, player, term and tensor of the first fault; the last three as positions in the names.
        with replicas.variables():
            self._first = tf.Variable([-1] * 4, trainable=False, dtype=tf.int32)

    @property
    def first(self) -> Fault | None:
        """The first fault, if there was any."""
        step, *places = self._first.numpy()
        return Fault(int(step), *(self._names[place] for place in places)) if step >= 0 else None

    def look(
        self, step, player: Player, batch: Batch, terms: Terms, gradients: Sequence, tape: tf.GradientTape
    ) -> tf.Tensor:
        """Returns whether a move is good, a boolean scalar; on several replicas, whether it is on all.

        Arguments:
            step: of the training.
            player: who would move.
            batch: of the step.
            terms: of the player's loss.
            gradients: of the loss, or none if they may overflow since they are scaled.
            tape: persistent, which saw the terms computed.
        """
        good = _all_finite([*terms.values(), *gradients])
        found = tf.cond(
            good | (self._first[0] >= 0),
            lambda: tf.constant([-1] * 4),
            lambda: self._find(step, player, batch, terms, tape, bool(gradients)),
        )
        told = replicas.gather(tf.concat([[tf.cast(good, tf.int32)], found], 0)[None])
        worst = told[tf.argmax(told[:, 1] >= 0), 1:]
        self._first.assign(tf.where(worst[0] >= 0, worst, self._first))
        return tf.reduce_all(told[:, 0] == 1)

    def _find(self, step, player: Player, batch: Batch, terms: Terms, tape, with_gradients: bool) -> tf.Tensor:
        """Returns what `_first` holds of a move that is bad."""
        tensors = {f"{key!r} of the batch": value for key, value in batch.items()}
        tensors |= {f"the weight {w.path}": w.value for network in player.networks for w in network.weights}
        bad = {what: ~_finite(value) for what, value in tensors.items()}
        by_term: dict[str, Mapping[str, tf.Tensor]] = {}
        for name, term in terms.items():
            by_term[name] = {f"{name!r} itself": ~_finite(term)}
            if with_gradients:
                values = [variable.value for variable in player.variables]
                for variable, gradient in zip(player.variables, tape.gradient(term, values), strict=True):
                    if gradient is not None:
                        by_term[name][f"the gradient of {name!r} for {variable.path}"] = ~_finite(gradient)
        of_terms = {name: tf.reduce_any(list(flags.values())) for name, flags in by_term.items()}
        for flags in by_term.values():
            bad |= flags
        place = [self._place([player.name]), self._place(of_terms), self._place(bad)]
        chosen = [place[0], place[1] + _first(of_terms.values()), place[2] + _first(bad.values())]
        return tf.stack([tf.cast(step, tf.int32), *chosen])

    def _place(self, names) -> int:
        """Returns where names begin among all, behind which they are put."""
        self._names += names
        return len(self._names) - len(names)


def _all_finite(values: Sequence) -> tf.Tensor:
    """Returns whether all numbers are finite, by their squares first: a pass over them that writes nothing."""
    squares = [tf.cast(tf.nn.l2_loss(_dense(value)), tf.float32) for value in values]
    # Squares of large numbers overflow too.
    return tf.cond(
        tf.math.is_finite(steady_sum(squares)),
        lambda: tf.constant(True),
        lambda: tf.reduce_all([_finite(value) for value in values]),
    )


def _dense(value) -> tf.Tensor:
    return value.values if isinstance(value, tf.IndexedSlices) else tf.convert_to_tensor(value)


def _finite(value) -> tf.Tensor:
    if isinstance(value, tf.IndexedSlices):
        value = value.values
    value = value.value if isinstance(value, keras.Variable) else value
    return tf.reduce_all(tf.math.is_finite(value)) if value.dtype.is_floating else tf.constant(True)


def _first(flags) -> tf.Tensor:
    return tf.argmax(tf.cast(tf.stack(list(flags)), tf.int32), output_type=tf.int32)
