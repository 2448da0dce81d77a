"""Training as a game: who moves, which weights, down which loss."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

Batch = dict[str, tf.Tensor]
Terms = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Player:
    """One side of the game that a model's training is; a likelihood model is a game with one player.

    Arguments:
        name: key of its optimizer.
        networks: the only weights that it moves.
        terms: batch -> named scalars; the loss is their sum, and each is a metric.
        every: it moves on every n-th step; each step brings a fresh batch.
    """

    name: str
    networks: Sequence[keras.layers.Layer]
    terms: Callable[[Batch], Terms]
    every: int = 1

    @property
    def variables(self) -> list[keras.Variable]:
        """The trainable weights of its networks, each once."""
        weights = {id(weight): weight for network in self.networks for weight in network.trainable_weights}
        return list(weights.values())

    def clip(self, bound: float) -> None:
        """Brings its weights into [-bound, bound] (Arjovsky et al. 2017, algorithm 1)."""
        for weight in self.variables:
            weight.assign(tf.clip_by_value(weight.value, -bound, bound))


class Optimizers:
    """The optimizers of several players, where Keras' callbacks and `summary` look for that of a model.

    `LearningRateScheduler`, `ReduceLROnPlateau` and `TensorBoard` treat each of them.

    Arguments:
        optimizers: by player.
        steps: number of training steps, an integer scalar.
    """

    built = True

    def __init__(self, optimizers: Mapping[str, keras.optimizers.Optimizer], steps: keras.Variable):
        self.optimizers = tuple(optimizers.values())
        self._steps = steps

    @property
    def iterations(self) -> tf.Tensor:
        """Number of training steps, int64 as in an optimizer."""
        return tf.cast(self._steps.value, tf.int64)

    @property
    def variables(self) -> list[keras.Variable]:
        """The state of all of them."""
        return [variable for optimizer in self.optimizers for variable in optimizer.variables]


class WeightAverage(keras.layers.Layer):
    r"""Exponential moving average of networks' weights.

    .. math:: \bar\theta \leftarrow d_t \bar\theta + (1 - d_t) \theta, \qquad d_t = \min(d, t / (9 + t))

    after the t-th move, so that the untrained weights, which the average begins with, are forgotten in the first tenth
    of a training however short it is (the rule of `tf.train.ExponentialMovingAverage`). Statistics that a network
    keeps beside its trainable weights (batch normalisation) are copied, since they are averages already.

    Arguments:
        networks: whose weights are averaged.
        decay: d, in [0, 1).
    """

    def __init__(self, networks: Sequence[keras.layers.Layer], decay: float, **kwargs):
        super().__init__(trainable=False, **kwargs)
        self.decay = decay
        # A tuple of a function: the networks belong to the model, not to this layer.
        self._pairs = ()
        pairs = []
        for network in networks:
            for weight in network.weights:
                average = self.add_weight(
                    shape=weight.shape, dtype=weight.dtype, initializer="zeros", trainable=False,
                    name=f"average_{len(pairs)}", aggregation="only_first_replica",
                )  # fmt: skip
                average.assign(weight)
                pairs.append((weight, average))
        object.__setattr__(self, "_pairs", tuple(pairs))
        self.built = True

    def update(self, moves) -> None:
        """Moves the averages one step towards the weights.

        Arguments:
            moves: t, how often the weights have moved, an integer scalar.
        """
        moves = tf.cast(moves, tf.float32)
        rate = 1.0 - tf.minimum(self.decay, moves / (9.0 + moves))
        for weight, average in self._pairs:
            if weight.trainable and weight.dtype.startswith(("float", "bfloat")):
                average.assign_add(tf.cast(rate, weight.dtype) * (weight.value - average.value))
            else:
                average.assign(weight.value)

    def swap(self) -> None:
        """Exchanges the averages and the weights."""
        for weight, average in self._pairs:
            kept = tf.identity(weight.value)
            weight.assign(average.value)
            average.assign(kept)
