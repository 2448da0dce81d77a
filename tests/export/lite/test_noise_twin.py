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


def categories(count, seed):
    return {"y": tf.random.stateless_categorical(tf.zeros([1, 3]), count, seed)}


@pytest.mark.parametrize("function", [loop, categories])
def test_what_has_no_noise_is_refused(function):
    with pytest.raises(InputError, match="inside of a loop, or others"):
        twin_of(function)
