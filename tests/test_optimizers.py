"""Optimizers: Adam is that of Keras; SGHMC draws from the distribution whose potential it is given."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.optimizers import SGHMC, Adam


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


def trained(kind: type, **arguments) -> list[np.ndarray]:
    """Returns two weights and all state of an optimizer after twenty steps of the same gradients."""
    rng = np.random.default_rng(0)
    variables = [keras.Variable(rng.normal(size=shape).astype(np.float32)) for shape in ((5, 3), (3,))]
    optimizer = kind(**arguments)
    optimizer.build(variables)
    apply = tf.function(lambda *gradients: optimizer.apply(gradients, variables))
    for _ in range(20):
        apply(*(tf.constant(rng.normal(size=v.shape).astype(np.float32)) for v in variables))
    return [v.numpy() for v in (*variables, *optimizer.variables)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"learning_rate": 1e-2},
        {"learning_rate": 1e-2, "beta_1": 0.0, "beta_2": 0.9, "epsilon": 1e-3},
        {"learning_rate": keras.optimizers.schedules.ExponentialDecay(1e-2, 10, 0.5)},
        {"weight_decay": 0.01, "global_clipnorm": 1.0},
        {"gradient_accumulation_steps": 4},
        {"amsgrad": True},
        {"use_ema": True},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_adam_is_that_of_keras(arguments):
    for ours, theirs in zip(trained(Adam, **arguments), trained(keras.optimizers.Adam, **arguments), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_adam_in_float64_is_algorithm_1_of_its_paper():
    # Kingma & Ba 2015 with the efficient order of section 2, in which epsilon is beside the root of v itself.
    rng = np.random.default_rng(0)
    theta, m, v = rng.normal(size=4), np.zeros(4), np.zeros(4)
    variable, optimizer = keras.Variable(theta), Adam(0.125, beta_1=0.8, beta_2=0.95, epsilon=1e-3)
    optimizer.build([variable])
    for t in range(1, 11):
        g = rng.normal(size=4)
        optimizer.apply([tf.constant(g)], [variable])
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
        theta = theta - 0.125 * np.sqrt(1 - 0.95**t) / (1 - 0.8**t) * m / (np.sqrt(v) + 1e-3)
    np.testing.assert_allclose(variable.numpy(), theta, rtol=1e-12)


def test_adam_takes_gradients_of_some_rows():
    rows = tf.IndexedSlices(tf.constant([[1.0, -2.0], [3.0, 0.5]]), tf.constant([2, 0]), tf.constant([3, 2]))
    results = []
    for gradient in (rows, tf.convert_to_tensor(rows)):
        table = keras.Variable(np.ones((3, 2), np.float32))
        optimizer = Adam(0.1)
        optimizer.build([table])
        optimizer.apply([gradient], [table])
        results.append(table.numpy())
    np.testing.assert_array_equal(*results)
    np.testing.assert_allclose(results[0], [[0.9, 0.9], [1.0, 1.0], [0.9, 1.1]], atol=1e-6)
