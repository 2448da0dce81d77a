"""What LiteRT mixes up where all shapes are known, it gives as TensorFlow does after tensors are copied."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from tfgen.export.lite.files import merge
from tfgen.export.lite.running import Interpreter

RNG = np.random.default_rng(0)
KERNEL = tf.constant(RNG.normal(size=(4, 4)), tf.float32)
X = RNG.normal(size=(3, 4)).astype(np.float32)


def loop(body, *begin, steps=5):
    return tf.while_loop(
        lambda step, *_: step < steps, lambda step, *state: (step + 1, *body(step, *state)), (0, *begin)
    )[1:]


def moved_down(x):
    return loop(lambda step, a, b: (tf.tanh(b @ KERNEL), a), x, 2.0 * x)


def moved_up(x):
    return loop(lambda step, a, b: (b, tf.tanh(a @ KERNEL)), x, 2.0 * x)


def exchanged(x):
    return loop(lambda step, a, b, c: (c, a, b), x, 2.0 * x, 3.0 * x, steps=4)


def moved_numbers(x):
    a, j, k = loop(lambda step, a, j, k: (a + tf.cast(k, tf.float32), k + step, j), x, 1, 2)
    return a, x + tf.cast(j, tf.float32), x + tf.cast(k, tf.float32)


def twice_from_a_loop(x):
    return loop(lambda step, a, b: (tf.tanh(a @ KERNEL) + b,) * 2, x, 2.0 * x)


def twice_from_a_branch(x):
    def either(step, a, b):
        return tf.cond(tf.equal(step % 2, 0), lambda: (tf.tanh(a @ KERNEL),) * 2, lambda: (a, b))

    return loop(either, x, 2.0 * x)


def moved_in_both_of_two_loops(x):
    def outer(step, a, b):
        inner = loop(
            lambda at, c, d: (tf.cond(tf.equal(at % 2, 0), lambda: tf.tanh(c @ KERNEL), lambda: d), c), a, b, steps=3
        )
        return inner[::-1]

    return loop(outer, x, 2.0 * x)


MIXED = [moved_down, exchanged, moved_numbers, twice_from_a_branch, moved_in_both_of_two_loops]
RIGHT = [moved_up, twice_from_a_loop]


@pytest.fixture
def converted(request, tmp_path):
    names = "abc"
    run = tf.function(lambda x: dict(zip(names, request.param(x), strict=False)), autograph=False)
    graph = run.get_concrete_function(x=tf.TensorSpec(X.shape, tf.float32, "x"))
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures={"run": graph})
    data = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path), signature_keys=["run"]).convert()
    return data, {name: value.numpy() for name, value in graph(x=tf.constant(X)).items()}


def off(data, expected) -> float:
    """Returns the largest error of three calls; infinite if there is one that is no number."""
    interpreter = Interpreter(data)
    errors = [
        np.abs(interpreter.run("run", {"x": X})[name] - value).max()
        for _ in range(3)
        for name, value in expected.items()
    ]
    return np.inf if np.isnan(errors).any() else max(errors)


@pytest.mark.parametrize("converted", MIXED + RIGHT, indirect=True)
def test_a_merged_model_gives_what_tensorflow_gives(converted):
    data, expected = converted
    assert off(merge({"run": data}), expected) < 1e-5


@pytest.mark.parametrize("converted", MIXED, indirect=True)
def test_litert_needs_it(converted):
    # When this fails LiteRT has been mended, and the copies can go.
    data, expected = converted
    assert off(data, expected) > 1e-2


@pytest.mark.parametrize("converted", [moved_down], indirect=True)
def test_copies_are_made_once(converted):
    once = merge({"run": converted[0]})
    twice = merge({"run": once})
    for data in (once, twice):
        model = schema.Model.GetRootAs(data)
        codes = [model.OperatorCodes(at).BuiltinCode() for at in range(model.OperatorCodesLength())]
        graphs = [model.Subgraphs(at) for at in range(model.SubgraphsLength())]
        used = [graph.Operators(at).OpcodeIndex() for graph in graphs for at in range(graph.OperatorsLength())]
        assert sum(codes[at] == schema.BuiltinOperator.SELECT_V2 for at in used) == 1
