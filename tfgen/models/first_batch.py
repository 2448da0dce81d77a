"""Models whose weights are fitted to the first batch that they are trained on."""

import abc

import tensorflow as tf

from tfgen.models.generative import GenerativeModel
from tfgen.models.players import Batch


class FirstBatchModel(GenerativeModel):
    """Has the first batch set the lengths of the weights and the biases (Salimans & Kingma 2016, section 3).

    It stands before the family among a model's bases. Averaged weights, which such models' papers evaluate with, are what
    `compile` uses unless it is given another decay.

    Arguments:
        averaging: decay of the average of the weights.
        kwargs: as of the family.
    """

    def __init__(self, *, averaging: float, **kwargs):
        super().__init__(**kwargs)
        self.averaging = averaging
        self.initialized = self.add_weight(
            shape=(), dtype="bool", initializer="zeros", trainable=False, name="initialized"
        )

    @abc.abstractmethod
    def initialize(self, batch: Batch) -> None:
        """Fits the weights to a batch."""

    def compile(self, optimizer=None, *, ema=None, **kwargs):
        """Prepares as every model does, with averaged weights unless `ema=0.0`."""
        super().compile(optimizer, ema=self.averaging if ema is None else ema, **kwargs)

    def train_step(self, data):
        # In the graph of the step, so that it happens however the steps are run, and once in a model's saved life.
        tf.cond(self.initialized.value, lambda: None, lambda: self._initialize(self.unpack(data)))
        return super().train_step(data)

    def _initialize(self, batch: Batch) -> None:
        self.initialize(batch)
        # Averages of what the weights were before would count for thousands of steps.
        networks = {player.name: player.networks for player in self.players()}
        for name, average in self.averages.items():
            now = [weight for network in networks[name] for weight in network.weights]
            for weight, kept in zip(now, average.weights, strict=True):
                kept.assign(weight.value)
        self.initialized.assign(True)
