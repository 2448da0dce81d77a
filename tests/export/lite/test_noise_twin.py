"""A graph that is given its random numbers answers as the one that draws them."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.export.lite.noise import noise_twin

WEIGHT = tf.Variable([[1.0, -2.0], [0.5, 3.0]])


def both(count, seed):
    """Draws normals, flat, from a key that is derived from the seed, and uniforms, and one number for all."""
    one, two = tf.unstack(tf.random.split(seed, 2, alg="philox"))
    z = tf.reshape(tf.random.stateless_normal([count * 2], one, alg="philox"), [count, 2])
    u = tf.random.stateless_uniform([3, count], two, alg="philox")
    common = tf.random.stateless_normal([1, 2], two, alg="philox")
    return {"y": tf.matmul(z, WEIGHT) + common, "least": tf.reduce_min(u, 0)}


def traced(function):
    specs = {"count": tf.TensorSpec((), tf.int32, "count"), "seed": tf.TensorSpec((2,), tf.int32, "seed")}
    return tf.function(lambda **given: function(**given), autograph=False).get_concrete_function(**specs)


def inputs(count, seed=5):
    return {"count": np.int32(count), "seed": np.array([seed, 1], np.int32)}


def twin_of(function, **options):
    return noise_twin(traced(function), inputs(2), inputs(3), "count", **options)


def test_with_the_noise_that_a_seed_draws_the_answer_is_the_seeds():
    function, twin = traced(both), twin_of(both)
    for count, seed in ((1, 5), (4, 6)):
        given = twin.inputs(inputs(count, seed))
        expected = function(**{name: tf.constant(value) for name, value in inputs(count, seed).items()})
        answer = twin.function(**{name: tf.constant(value) for name, value in given.items()})
        for name, value in expected.items():
            np.testing.assert_array_equal(answer[name], value)


def test_each_noise_has_an_axis_for_the_examples_and_takes_the_place_of_count_and_seed():
    twin = twin_of(both)
    shapes = {name: spec.shape.as_list() for name, spec in twin.function.structured_input_signature[1].items()}
    assert sorted(map(str, shapes.values())) == ["[1, 2]", "[3, None]", "[None, 2]"]
    assert {twin.noise[name].kind for name, shape in shapes.items() if shape == [3, None]} == {"uniform"}
    assert not twin.function.variables


def test_other_noise_gives_another_answer():
    twin = twin_of(both)
    given = twin.inputs(inputs(3))
    for name, value in given.items():
        changed = given | {name: value + np.float32(0.25)}
        answers = [twin.function(**{k: tf.constant(v) for k, v in one.items()}) for one in (given, changed)]
        assert any(not np.array_equal(answers[0][key], answers[1][key]) for key in answers[0]), name


def test_a_batch_may_be_fixed():
    twin = twin_of(both, batch=4)
    assert all(spec.shape.is_fully_defined() for spec in twin.function.structured_input_signature[1].values())


def loop(count, seed):
    def draw(step, total):
        key = tf.random.fold_in(seed, step, alg="philox")
        return step + 1, total + tf.random.stateless_normal([count], key, alg="philox")

    return {"y": tf.while_loop(lambda step, _: step < 3, draw, (0, tf.zeros([count])))[1]}


ODDS = np.array([[0.5, 0.0, 0.3, 0.2], [0.1, 0.6, 0.3, 0.0]])


def categories(count, seed):
    """Draws a category, one of others with odds that the first chooses, and a normal number around the second."""
    one, two, three = tf.unstack(tf.random.split(seed, 3, alg="philox"))
    first = tf.random.stateless_categorical(tf.math.log([[0.25, 0.75]]), count, one)[0]
    logits = tf.gather(tf.math.log(tf.constant(ODDS, tf.float32)), first)
    second = tf.random.stateless_categorical(logits, 1, two)[:, 0]
    noise = tf.random.stateless_normal([count], three, alg="philox")
    return {"first": first, "second": second, "y": tf.cast(second, tf.float32) + noise}


def test_with_the_noise_of_a_seed_categories_are_the_seeds():
    function, twin = traced(categories), twin_of(categories)
    assert sorted(one.kind for one in twin.noise.values()) == ["normal", "uniform", "uniform"]
    for count, seed in ((1, 5), (500, 6)):
        expected = function(**{name: tf.constant(value) for name, value in inputs(count, seed).items()})
        answer = twin.function(**{k: tf.constant(v) for k, v in twin.inputs(inputs(count, seed)).items()})
        for name, value in expected.items():
            np.testing.assert_array_equal(answer[name], value)


def test_logits_may_follow_from_inputs_that_nothing_else_needs():
    def chosen(count, seed, x):
        first = tf.random.stateless_categorical(x, 1, seed)
        return {"y": tf.random.stateless_categorical(tf.one_hot(first[:, 0], 3) * 4.0, 2, seed + 1)}

    specs = {"count": tf.TensorSpec((), tf.int32), "seed": tf.TensorSpec((2,), tf.int32)}
    specs |= {"x": tf.TensorSpec((None, 3), tf.float32)}
    function = tf.function(lambda **given: chosen(**given), autograph=False).get_concrete_function(**specs)
    two, three, many = (inputs(n) | {"x": np.random.default_rng(n).normal(size=(n, 3)).astype("f")} for n in (2, 3, 50))
    twin = noise_twin(function, two, three, "count")
    expected = function(**{name: tf.constant(value) for name, value in many.items()})
    answer = twin.function(**{name: tf.constant(value) for name, value in twin.inputs(many).items()})
    np.testing.assert_array_equal(answer["y"], expected["y"])


def test_of_uniform_noise_categories_come_as_often_as_they_should():
    count, rng = 40_000, np.random.default_rng(0)
    twin = twin_of(categories)
    draw = {"uniform": rng.random, "normal": rng.standard_normal}
    shapes = {name: [size or count for size in one.shape] for name, one in twin.noise.items()}
    noise = {name: draw[one.kind](shapes[name], np.float32) for name, one in twin.noise.items()}
    answer = twin.function(**{name: tf.constant(value) for name, value in noise.items()})
    expected = count * np.array([[0.25], [0.75]]) * ODDS
    found = np.zeros_like(expected)
    np.add.at(found, (answer["first"].numpy(), answer["second"].numpy()), 1)
    possible = expected > 0
    assert not found[~possible].any()
    # 5 degrees of freedom: chi-square stays below 20.5 with probability 0.999.
    assert np.sum((found - expected)[possible] ** 2 / expected[possible]) < 20.5


def test_what_has_no_noise_is_refused():
    with pytest.raises(InputError, match="inside of a loop, or others"):
        twin_of(loop)
