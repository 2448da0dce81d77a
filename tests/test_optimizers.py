"""Optimizers: SGHMC draws from the distribution whose potential it is given."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.optimizers import SGHMC


def chains(optimizer: keras.optimizers.Optimizer, count: int, steps: int) -> np.ndarray:
    """Returns where `count` chains on the potential x^2 / (2 * 4) are after each step, `(steps, count)`."""
    x = keras.Variable(tf.random.stateless_normal((count,), (1, 2)))
    optimizer.build([x])

    @tf.function
    def run():
        places = tf.TensorArray(tf.float32, steps)
        for step in tf.range(steps):
            optimizer.apply([x.value / 4.0], [x])
            places = places.write(step, x.value)
        return places.stack()

    return run().numpy()


@pytest.mark.parametrize(("rate", "friction"), [(1e-2, 0.1), (1e-2, 0.01), (5e-2, 0.1)])
def test_the_stationary_variance_is_that_of_the_target(rate, friction):
    # Chains side by side in place of one of 2e5 steps; a twentieth is about twice the error of such a step size.
    places = chains(SGHMC(rate, friction), count=400, steps=2500)
    assert places[1500:].var() == pytest.approx(4.0, rel=0.05)
    assert places[1500:].mean() == pytest.approx(0.0, abs=0.1)


def draw(optimizer, variables) -> np.ndarray:
    """Returns how far a step without a gradient moves the variables."""
    before = [v.numpy() for v in variables]
    optimizer.apply([tf.zeros(v.shape) for v in variables], variables)
    return np.concatenate([v.numpy() - b for v, b in zip(variables, before, strict=True)])


def two_steps(**arguments):
    optimizer = SGHMC(1.0, friction=1.0, **arguments)
    variables = [keras.Variable(tf.zeros(3)), keras.Variable(tf.zeros(3))]
    optimizer.build(variables)
    return optimizer, variables, np.concatenate([draw(optimizer, variables) for _ in range(2)])


def test_noise_differs_by_step_variable_name_and_seed():
    drawn = np.concatenate([two_steps()[2], two_steps(name="other")[2], two_steps(seed=1)[2]])
    assert len(np.unique(drawn.round(5))) == len(drawn) == 36
    np.testing.assert_array_equal(two_steps()[2], two_steps()[2])


def test_a_chain_is_resumed():
    optimizer, variables, _ = two_steps(seed=3)
    again = SGHMC.from_config(optimizer.get_config())
    copied = [keras.Variable(v.numpy()) for v in variables]
    again.build(copied)
    for ours, theirs in zip(again.variables, optimizer.variables, strict=True):
        ours.assign(theirs)
    np.testing.assert_array_equal(draw(optimizer, variables), draw(again, copied))
