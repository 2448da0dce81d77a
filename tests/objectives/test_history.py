import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.objectives import HistoricalAverage


class Number(keras.layers.Layer):
    """A network that is one weight."""

    def __init__(self, value):
        super().__init__()
        self.value = self.add_weight(shape=(), initializer=keras.initializers.Constant(value), name="value")


def test_the_penalty_is_the_squared_distance_to_the_mean_of_all_weights_so_far():
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])
    history, past = HistoricalAverage(network), [[w.numpy() for w in network.trainable_weights]]
    assert float(history.penalty()) == 0.0
    rng = np.random.default_rng(0)
    for _ in range(5):
        for weight in network.trainable_weights:
            weight.assign(rng.normal(size=weight.shape))
        means = [np.mean(values, 0) for values in zip(*past, strict=True)]
        expected = sum(np.sum((w.numpy() - m) ** 2) for w, m in zip(network.trainable_weights, means, strict=True))
        assert float(history.penalty()) == pytest.approx(expected, rel=1e-5)
        past.append([w.numpy() for w in network.trainable_weights])
        history.update()
    assert history.trainable_weights == []
    assert float(history.count) == 6.0


@pytest.mark.parametrize(("c", "low", "high"), [(0.0, 3.1, 3.2), (0.2, 0.0, 0.1)])
def test_averaging_brings_to_rest_a_game_that_would_drift_outwards(c, low, high):
    # min over x, max over y of xy, from (1, 1): its solution is 0, but steps of 0.02 circle it, further and further.
    x, y = Number(1.0), Number(1.0)
    of_x, of_y = HistoricalAverage(x), HistoricalAverage(y)

    @tf.function
    def play():
        for _ in tf.range(4000):
            with tf.GradientTape(persistent=True) as tape:
                loss_of_x = x.value * y.value + c * of_x.penalty()
                loss_of_y = -x.value * y.value + c * of_y.penalty()
            down_x, down_y = tape.gradient(loss_of_x, x.value.value), tape.gradient(loss_of_y, y.value.value)
            for number, down, history in ((x, down_x, of_x), (y, down_y, of_y)):
                number.value.assign_sub(0.02 * down)
                history.update()

    play()
    assert low < float(np.hypot(x.value.numpy(), y.value.numpy())) < high
