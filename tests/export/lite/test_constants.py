"""Branches hold the weights that they multiply by; TensorFlow itself runs the graph before and after."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.lite.python import schema_py_generated as schema

from tfgen.export.lite.constants import sink_constants
from tfgen.export.lite.conversion import convert
from tfgen.export.lite.models import unpacked
from tfgen.export.lite.running import Interpreter
from tfgen.export.saving import save_graphs

SIZE = 24
MODEL = SimpleNamespace(averaged_weights=contextlib.nullcontext)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, SIZE)).astype(np.float32)


@pytest.fixture
def weights():
    shapes = {"kernel": (2, SIZE, SIZE), "other": (SIZE, SIZE), "bias": (SIZE,)}
    return {name: tf.Variable(0.3 * RNG.normal(size=shape), dtype=tf.float32) for name, shape in shapes.items()}


def recurrent(x, kernel, other, bias):
    """A loop with branches, which multiply by parts of a weight that is computed first and rearranged in the loop.

    They take as well what the loop changes, though it begins as a weight.
    """
    kernel = tf.math.l2_normalize(kernel, (0, 1))

    def step(at, x, sums):
        first, second = tf.unstack(kernel)
        y = tf.tanh(tf.matmul(x, tf.transpose(first)))

        def odd():
            inner = tf.cond(
                tf.reduce_sum(x) > 0.0, lambda: tf.matmul(y, other), lambda: y - tf.matmul(y, tf.transpose(other))
            )
            return tf.matmul(inner, second) + tf.sin(sums)

        return at + 1, tf.cond(tf.equal(at % 2, 1), odd, lambda: y), sums + bias

    return tf.add(*tf.while_loop(lambda at, *_: at < 5, step, (0, x, bias))[1:])


def repeated(x, kernel, other, bias):
    """Gives a branch a weight that is repeated many times, and others."""
    many = tf.tile(bias, [1000])
    return tf.cond(
        tf.reduce_sum(x) > 0.0, lambda: x + tf.reduce_sum(many), lambda: x - tf.reduce_mean(many) * kernel[0, 0]
    )


def two_calls(x, kernel, other, bias):
    """Calls one function with two weights."""
    product = tf.function(lambda x, matrix: tf.cond(tf.reduce_sum(x) > 0.0, lambda: tf.matmul(x, matrix), lambda: x))
    product = product.get_concrete_function(
        tf.TensorSpec((None, SIZE), tf.float32), tf.TensorSpec((SIZE, SIZE), tf.float32)
    )
    return product(product(x, other), kernel[0]) + bias


def graph_of(compute, weights):
    run = tf.function(lambda x: {"y": compute(x, **{name: one.value() for name, one in weights.items()})})
    return run.get_concrete_function(x=tf.TensorSpec((None, SIZE), tf.float32, "x"))


def operands(folder) -> list[tuple]:
    """Returns the types of what the conditions in a SavedModel are given."""
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    nodes = [node for function in saved.meta_graphs[0].graph_def.library.function for node in function.node_def]
    return [tuple(node.attr["Tin"].list.type) for node in nodes if node.op in ("If", "StatelessIf")]


@pytest.mark.parametrize("compute", [recurrent, repeated, two_calls])
def test_the_graph_gives_what_it_gave(compute, weights, tmp_path):
    function = graph_of(compute, weights)
    save_graphs(MODEL, {"run": function}, tmp_path)
    before = operands(tmp_path)
    sink_constants(tmp_path)
    assert (operands(tmp_path) == before) is (compute is two_calls)
    for x in (X, -X, X[:1]):
        answer = tf.saved_model.load(str(tmp_path)).signatures["run"](x=tf.constant(x))["y"]
        np.testing.assert_allclose(answer, function(x=tf.constant(x))["y"], rtol=1e-5, atol=1e-6)


def test_branches_in_a_loop_are_given_no_weights(weights, tmp_path):
    save_graphs(MODEL, {"run": graph_of(recurrent, weights)}, tmp_path)
    assert max(map(len, operands(tmp_path))) > 2
    sink_constants(tmp_path)
    # The numbers that they compute with.
    assert max(map(len, operands(tmp_path))) <= 3


def test_no_file_grows_by_what_is_repeated(weights, tmp_path):
    save_graphs(MODEL, {"run": graph_of(repeated, weights)}, tmp_path)
    size = len(convert(tmp_path, "run", "float32"))
    sink_constants(tmp_path)
    assert len(convert(tmp_path, "run", "float32")) < size + 4 * SIZE
    assert (tmp_path / "saved_model.pb").stat().st_size < 4000 * SIZE


def test_all_weights_get_8_bits(weights, tmp_path):
    save_graphs(MODEL, {"run": graph_of(recurrent, weights)}, tmp_path)
    samples, left = [{"x": x} for x in (X, -X)], []  # what is never run in the calibration stays float32
    for _ in range(2):
        model = unpacked(convert(tmp_path, "run", "int8", samples))
        sizes = {
            tensor.buffer: len(model.buffers[tensor.buffer].data)
            for graph in model.subgraphs
            for tensor in graph.tensors
            if tensor.type == schema.TensorType.FLOAT32 and model.buffers[tensor.buffer].data is not None
        }
        left.append(sum(sizes.values()))
        sink_constants(tmp_path)
    assert left[0] > 4 * SIZE * SIZE
    assert left[1] <= 4 * (SIZE + 1)  # the bias, which is summed up, and a number behind the last weights


def test_litert_gives_what_the_graph_gives(weights, tmp_path):
    function = graph_of(recurrent, weights)
    save_graphs(MODEL, {"run": function}, tmp_path)
    sink_constants(tmp_path)
    interpreter = Interpreter(convert(tmp_path, "run", "float32"))
    for x in (X, -X, X[:1]):
        expected = function(x=tf.constant(x))["y"]
        np.testing.assert_allclose(interpreter.run("run", {"x": x})["y"], expected, rtol=1e-4, atol=1e-5)
