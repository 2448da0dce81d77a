"""Models whose training begins with weights that are fitted to the first batch."""

import abc

from tfgen import replicas
from tfgen.models.generative import GenerativeModel
from tfgen.models.players import Batch


class FirstBatchModel(GenerativeModel):
    """Has the first batch set weights and biases (as Salimans & Kingma 2016, section 3, do), before the first step.

    It stands before the family among a model's bases.

    Arguments:
        averaging: decay of the average of the weights that `compile` uses unless it is given another, for models whose
            papers evaluate with averaged weights.
        kwargs: as of the family.
    """

    def __init__(self, *, averaging: float | None = None, **kwargs):
        super().__init__(**kwargs)
        self.averaging = averaging
        self.initialized = self.add_weight(
            shape=(), dtype="bool", initializer="zeros", trainable=False, name="initialized"
        )

    @abc.abstractmethod
    def initialize(self, batch: Batch) -> None:
        """Fits the weights to a batch."""

    def compile(self, optimizer=None, *, ema=None, **kwargs):
        """Prepares as every model does, with the paper's average of the weights, if it has one, unless `ema` is given."""
        super().compile(optimizer, ema=self.averaging if ema is None else ema, **kwargs)

    def train_step(self, data):
        # In the graph of the step, so that it happens however the steps are run, and once in a model's saved life.
        replicas.when(~self.initialized.value, self._initialize, self.unpack(data))
        return super().train_step(data)

    def _initialize(self, batch: Batch) -> None:
        with replicas.together(batch) as whole:
            self.initialize(whole)
        # Averages of what the weights were before would count for thousands of steps.
        networks = {player.name: player.networks for player in self.players()}
        for name, average in self.averages.items():
            now = [weight for network in networks[name] for weight in network.weights]
            for weight, kept in zip(now, average.weights, strict=True):
                kept.assign(weight.value)
        self.initialized.assign(True)
