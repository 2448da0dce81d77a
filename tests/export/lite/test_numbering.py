"""Tensors are numbered so that graphs have operators in common, and answer as before."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfgen.export.lite import numbering
from tfgen.export.lite.conversion import convert
from tfgen.export.lite.files import merge
from tfgen.export.lite.models import kinds_of, told, unpacked
from tfgen.export.lite.numbering import renumber
from tfgen.export.lite.running import Interpreter

RNG = np.random.default_rng(0)
KERNELS = [tf.constant(RNG.normal(size=(8, 8)), tf.float32) for _ in range(3)]
X = RNG.normal(size=(4, 8)).astype(np.float32)


def network(x):
    for kernel in KERNELS:
        x = tf.tanh(x @ kernel) + tf.sigmoid(x)
    return x


def other(x):
    """Of the same operations with other weights, other shapes."""
    for kernel in KERNELS[::-1]:
        x = tf.tanh(x @ tf.transpose(kernel)[:, :4]) + tf.sigmoid(x[:, :4])
        x = tf.concat([x, x], -1)
    return x


def alone(x):
    return {"y": network(x)}


def in_the_midst(x):
    y = network(tf.exp(-tf.abs(x)))
    return {"y": tf.reduce_sum(y, -1), "z": tf.round(y)}


def in_a_loop(x):
    return {"y": tf.while_loop(lambda step, _: step < 3, lambda step, x: (step + 1, network(x)), (0, x))[1]}


def of_two(x):
    """What is taken twice, and what gives two."""
    a, b = tf.split(other(x), 2, -1)
    return {"y": a * a + b * a, "z": x}


def one_twice(x):
    y = network(x)
    return {"y": tf.concat([y, y], -1)}


def two_once(x):
    return {"y": tf.concat([tf.exp(-tf.abs(x)), tf.round(x)], -1)}


def cut(x):
    """Layers that have the inputs and outputs of others, and options of their own."""
    for kernel in KERNELS:
        x = tf.tanh(tf.nn.relu(x @ kernel)) + tf.sigmoid(x)
    return {"y": x}


MODELS = [alone, in_the_midst, in_a_loop, of_two, one_twice, two_once, cut]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    found = {}
    for compute in MODELS:
        name, place = compute.__name__, tmp_path_factory.mktemp("part")
        graph = tf.function(compute, autograph=False).get_concrete_function(x=tf.TensorSpec((None, 8), tf.float32, "x"))
        tf.saved_model.save(tf.Module(), str(place), signatures={name: graph})
        found[name] = convert(place, name, "float32")
    return found


def operators(data: bytes) -> tuple[int, int]:
    """Returns how many operators a model has, and how many stand in the file."""
    model = unpacked(data)
    every = [one for graph in model.subgraphs for one in graph.operators]
    return len(every), len({told(one) for one in every})


def test_graphs_have_operators_in_common(parts):
    few = {name: parts[name] for name in ("alone", "in_the_midst", "in_a_loop")}
    before, after = merge(few), merge(few, compact=True)
    count, total = (operators(merge(one))[0] for one in ({"alone": parts["alone"]}, few))
    # The network of all three stands there once.
    assert operators(after) == (total, total - 2 * count)
    assert len(after) < len(before) - 24 * (operators(before)[1] - operators(after)[1])


def test_answers_are_the_same(parts):
    before, after = (Interpreter(merge(parts, compact=compact)) for compact in (False, True))
    for compute in MODELS:
        expected = compute(tf.constant(X))
        for answers in (before, after):
            found = answers.run(compute.__name__, {"x": X})
            assert found.keys() == expected.keys()
            for name, value in expected.items():
                np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)


def test_operators_of_other_weights_and_shapes_are_common_too(parts):
    count = operators(merge({"of_two": parts["of_two"]}))[0]
    two = {name: parts[name] for name in ("of_two", "alone")}
    assert operators(merge(two))[1] > operators(merge(two, compact=True))[1] >= count


def test_each_tensor_has_one_number(parts):
    def computations(model) -> list:
        """Returns what is told of all that an operator takes and gives, but for inputs that are left out."""
        return [
            [told(graph.tensors[at]) for at in (*one.inputs, *one.outputs) if at >= 0]
            for graph in model.subgraphs
            for one in graph.operators
        ]

    model = unpacked(merge(parts))
    before, counts = computations(model), [len(graph.tensors) for graph in model.subgraphs]
    renumber(model)
    assert computations(model) == before
    for graph, count in zip(model.subgraphs, counts, strict=True):
        used = {int(at) for one in graph.operators for at in (*one.inputs, *one.outputs)} | {*map(int, graph.inputs)}
        assert len(used - {-1}) == count <= len(graph.tensors)


@pytest.mark.parametrize(
    "names", [["alone", "in_a_loop"], ["of_two", "alone"], ["one_twice", "two_once"], ["cut", "alone"], None], ids=str
)
def test_operators_that_are_found_to_be_the_same_are_the_same(parts, names, monkeypatch):
    common = numbering._Common()
    monkeypatch.setattr(numbering, "_Common", lambda: common)
    data = merge({name: parts[name] for name in names or parts}, compact=True)
    assert operators(data)[1] == len(common.operators)


def test_inputs_that_are_left_out_stay_so(tmp_path):
    """A dense layer without a bias names it -1."""
    graph = tf.function(lambda x: {"y": x @ KERNELS[0]}, autograph=False).get_concrete_function(
        x=tf.TensorSpec((None, 8), tf.float32, "x")
    )
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures={"run": graph})
    data = merge({"run": convert(tmp_path, "run", "float32")}, compact=True)
    model = unpacked(data)
    [dense] = [one for one in model.subgraphs[0].operators if kinds_of(model)[one.opcodeIndex] == "FULLY_CONNECTED"]
    assert dense.inputs[2] == -1
    np.testing.assert_allclose(Interpreter(data).run("run", {"x": X})["y"], X @ KERNELS[0], rtol=1e-5, atol=1e-6)


def test_the_same_model_gives_the_same_file(parts, tmp_path):
    """Texts have other hashes in other processes."""
    for name, data in parts.items():
        (tmp_path / f"{name}.part").write_bytes(data)
    code = """
import hashlib, pathlib, sys
from tfgen.export.lite.files import merge
parts = {path.stem: path.read_bytes() for path in sorted(pathlib.Path(sys.argv[1]).glob("*.part"))}
print(hashlib.sha256(merge(parts, compact=True)).hexdigest())
"""
    answers = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(answers) == 1
