"""What a model reports beside the terms of its losses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.models import GenerativeModel, Player
from tfgen.specs import Points


class Monitored(GenerativeModel):
    """Two players descend the mean of the points times a number of their own."""

    def __init__(self, every: int = 1, **kwargs):
        super().__init__(example=Points(1), **kwargs)
        self.every = every
        self.numbers = [keras.layers.Dense(1, use_bias=False, kernel_initializer="ones") for _ in range(2)]
        for layer in self.numbers:
            layer.build((None, 1))

    def players(self):
        return [
            Player(name, [layer], lambda batch, layer=layer: {"mean": tf.reduce_mean(layer(batch["point"]))}, every)
            for name, layer, every in zip(("first", "second"), self.numbers, (1, self.every), strict=True)
        ]

    def monitors(self, terms):
        return {"moved": tf.constant(float(len(terms))), "hundredfold": 100.0 * terms["first"]["mean"]}

    def default_optimizers(self):
        return {name: keras.optimizers.SGD(0.0) for name in ("first", "second")}


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_monitors_are_reported_in_training_and_evaluation_and_are_part_of_no_loss(run_eagerly):
    model = Monitored()
    model.compile(run_eagerly=run_eagerly)
    x = np.array([[1.0], [2.0], [6.0]], np.float32)
    expected = {"first_mean": 3.0, "second_mean": 3.0, "first_loss": 3.0, "second_loss": 3.0, "loss": 6.0}
    # Means over examples: the second batch has but one.
    history = model.fit(x, batch_size=2, shuffle=False, verbose=0).history
    assert {name: value for name, (value,) in history.items()} == expected | {"moved": 2.0, "hundredfold": 300.0}
    figures = model.evaluate(x, batch_size=2, verbose=0, return_dict=True)
    assert figures["moved"] == 2.0 and figures["hundredfold"] == 300.0


def test_monitors_see_the_terms_of_players_that_move_on_every_step():
    model = Monitored(every=2)
    assert model.fit(np.ones((4, 1), np.float32), batch_size=1, verbose=0).history["moved"] == [1.0]


def test_most_models_report_nothing_beside():
    class Plain(Monitored):
        monitors = GenerativeModel.monitors

    assert set(Plain().fit(np.ones((2, 1), np.float32), verbose=0).history) == {
        "first_mean", "first_loss", "second_mean", "second_loss", "loss",
    }  # fmt: skip
