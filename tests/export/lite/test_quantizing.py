"""int8 models compute in 8 bits what they can, keep one range for a layer, and hand 8 bits on from graph to graph."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from tfgen.export.lite import carrying, conversion, quantizing
from tfgen.export.lite.conversion import calibrate, calibrate_apart, convert
from tfgen.export.lite.files import merge
from tfgen.export.lite.models import kinds_of, listed, packed, scale_of, unpacked
from tfgen.export.lite.ranges import has_range, level, widen
from tfgen.export.lite.running import Interpreter

RNG = np.random.default_rng(0)
KERNEL, OTHER = (tf.constant(RNG.normal(size=(8, 8)), tf.float32) for _ in range(2))
PIXELS = tf.constant(RNG.normal(size=(1, 1, 8, 8)), tf.float32)
X = RNG.normal(size=(16, 8)).astype(np.float32)


def rng():
    return np.random.default_rng(1)


def loop(body, *begin):
    return tf.while_loop(lambda step, *_: step < 3, lambda step, *state: (step + 1, *body(step, *state)), (0, *begin))[
        1:
    ]


def saved(compute, place, shape=(None, 8)):
    graph = tf.function(lambda x: {"y": compute(x)}, autograph=False).get_concrete_function(
        x=tf.TensorSpec(shape, tf.float32, "x")
    )
    tf.saved_model.save(tf.Module(), str(place), signatures={"run": graph})
    return graph


def quantised(compute, place, x=X) -> tuple[bytes, np.ndarray]:
    graph = saved(compute, place, (None, *x.shape[1:]))
    return convert(place, "run", "int8", [{"x": x}, {"x": -x}]), graph(x=tf.constant(x))["y"].numpy()


def operators(data: bytes) -> Counter:
    """Returns how many operators of a kind there are that give numbers of a type."""
    model, names = unpacked(data), {0: "float32", 2: "int32", 4: "int64", 6: "bool", 9: "int8"}
    kinds = kinds_of(model)
    return Counter(
        f"{kinds[one.opcodeIndex]} {names[graph.tensors[one.outputs[0]].type]}"
        for graph in model.subgraphs
        for one in graph.operators
        if len(one.outputs)
    )


def answer(data: bytes, x=X) -> np.ndarray:
    return Interpreter(data).run("run", {"x": x})["y"]


# Functions that the quantiser knows nothing of.


def both_signs(x):
    y = x @ KERNEL
    return tf.nn.elu(tf.concat([y, -y], -1)) @ tf.concat([OTHER, OTHER], 0)


def an_elu_that_is_read_twice(x):
    y = tf.nn.elu(x @ KERNEL)
    return y @ OTHER + tf.tanh(y) @ KERNEL


def two_elus(x):
    return tf.nn.elu(tf.nn.elu(x @ KERNEL) + x) @ OTHER


@pytest.mark.parametrize("compute", [both_signs, an_elu_that_is_read_twice, two_elus])
def test_between_weights_all_has_8_bits(compute, tmp_path):
    data, expected = quantised(compute, tmp_path)
    found = operators(merge({"run": data}))
    assert found["ELU int8"] and not found["ELU float32"] and not found["NEG float32"]
    assert found["QUANTIZE int8"] == found["DEQUANTIZE float32"] == 1 or compute is an_elu_that_is_read_twice
    for sign in (1.0, -1.0):
        assert np.abs(answer(data) - expected).mean() < 0.03 * np.abs(expected).max(), sign


def test_an_elu_is_told_from_what_it_passed_for(tmp_path):
    data, expected = quantised(lambda x: tf.nn.leaky_relu(tf.nn.elu(x @ KERNEL) @ OTHER, 0.2) @ KERNEL, tmp_path)
    found = operators(data)
    assert found["ELU int8"] == found["LEAKY_RELU int8"] == 1
    assert np.abs(answer(data) - expected).mean() < 0.03 * np.abs(expected).max()


def test_an_elu_behind_the_last_weights_stays_float32(tmp_path):
    data, expected = quantised(lambda x: tf.nn.elu(x @ KERNEL), tmp_path)
    assert operators(data)["ELU float32"] == 1
    assert np.abs(answer(data) - expected).mean() < 0.02 * np.abs(expected).max()


def test_a_convolution_of_single_pixels_and_a_dense_layer_share_weights(tmp_path):
    x = rng().normal(size=(4, 3, 3, 8)).astype(np.float32)

    def compute(x):
        return tf.nn.conv2d(tf.nn.relu(tf.nn.conv2d(x, PIXELS, 1, "SAME") + KERNEL[0]), PIXELS, 1, "SAME") @ KERNEL

    data, expected = quantised(compute, tmp_path, x)
    found = operators(data)
    assert found["FULLY_CONNECTED int8"] == 3 and not found["CONV_2D int8"]
    parts = [bytes(one.data) for one in unpacked(data).buffers if len(listed(one.data)) == 64]
    assert len(parts) == len(set(parts)) == 2
    assert np.abs(answer(data, x) - expected).mean() < 0.03 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("kernel", "strides"), [((1, 1, 8, 4), 2), ((3, 1, 8, 4), 1), ((1, 3, 8, 4), 1), ((1, 1, 2, 4), 1)], ids=str
)
def test_other_convolutions_stay_such(kernel, strides, tmp_path):
    weights = tf.constant(rng().normal(size=kernel), tf.float32)
    x = rng().normal(size=(4, 4, 4, 8)).astype(np.float32)
    data, expected = quantised(lambda x: tf.nn.conv2d(x, weights, strides, "SAME"), tmp_path, x)
    assert operators(data)["CONV_2D int8"] == 1
    assert np.abs(answer(data, x) - expected).mean() < 0.03 * np.abs(expected).max()


def test_a_kernel_that_is_computed_stays_that_of_a_convolution(tmp_path):
    x = rng().normal(size=(4, 4, 4, 8)).astype(np.float32)

    def compute(x):
        kernel = PIXELS * tf.reduce_mean(tf.exp(0.1 * x))
        return tf.nn.conv2d(tf.nn.conv2d(x, kernel, 1, "SAME"), PIXELS, 1, "SAME")

    graph = saved(compute, tmp_path, (None, 4, 4, 8))
    data = quantizing.prepare(convert(tmp_path, "run", "float32"))
    found = operators(data)
    assert found["CONV_2D float32"] == found["FULLY_CONNECTED float32"] == 1
    np.testing.assert_allclose(answer(data, x), graph(x=tf.constant(x))["y"], rtol=1e-4, atol=1e-4)


# Loops and branches.


def exchanged_halves(x):
    return tf.concat([x[:, 4:], x[:, :4]], -1)


def looked_up_at_each_step(x):
    table = tf.tanh(x @ OTHER)
    return loop(lambda step, a: (tf.tanh((a + exchanged_halves(table)) @ KERNEL),), x)[0] @ OTHER


def given_to_the_next_step(x):
    return loop(lambda step, a: (tf.tanh(a @ KERNEL),), x)[0] @ OTHER + KERNEL[0]


def given_out_twice(x):
    a, b = loop(lambda step, a, b: (tf.tanh(b @ KERNEL), tf.tanh(b @ KERNEL)), x, x)
    return (a + 2.0 * b) @ OTHER


def exchanged(x):
    a, b = loop(lambda step, a, b: (tf.tanh(b @ KERNEL) + tf.tanh(a @ OTHER), a), x, 0.5 * x)
    return (a + 2.0 * b) @ OTHER


def read_in_two_ways(x):
    def body(step, a, b):
        return tf.tanh(a @ KERNEL), b + tf.reduce_max(tf.exp(tf.round(a)), -1, keepdims=True)

    a, b = loop(body, tf.tanh(x @ OTHER), x[:, :1])
    return a @ OTHER + tf.round(b) / 1e3


def asked_by_the_condition(x):
    def goes_on(step, a):
        return (step < 3) & (tf.reduce_sum(a) < 1e9)

    return tf.while_loop(goes_on, lambda step, a: (step + 1, tf.tanh(a @ KERNEL)), (0, tf.tanh(x @ OTHER)))[1] @ OTHER


def into_both_branches(x):
    y = tf.tanh(x @ KERNEL)
    return tf.cond(tf.reduce_sum(x) < 0.0, lambda: tf.sigmoid(exchanged_halves(y)), lambda: tf.sigmoid(y)) @ OTHER


def handed_on_by_a_branch(x):
    y = tf.tanh(x @ KERNEL)
    return tf.cond(tf.reduce_sum(x) < 0.0, lambda: y @ OTHER, lambda: y) @ KERNEL


def made_8_bits_by_one_branch(x):
    y = tf.tanh(x @ KERNEL)
    return tf.cond(tf.reduce_sum(x) < 0.0, lambda: tf.sigmoid(y @ OTHER), lambda: tf.zeros_like(x)) @ KERNEL


def of_other_scales_by_both_branches(x):
    y = tf.tanh(x @ KERNEL)
    return tf.cond(tf.reduce_sum(x) < 0.0, lambda: tf.tanh(y @ OTHER), lambda: 20.0 * tf.sigmoid(y @ OTHER)) @ KERNEL


def looped_in_a_branch(x):
    y = tf.tanh(x @ KERNEL)
    return (
        tf.cond(
            tf.reduce_sum(x) < 0.0, lambda: given_to_the_next_step(exchanged_halves(y)), lambda: tf.tanh(y @ KERNEL)
        )
        @ KERNEL
    )


def looped_in_a_loop(x):
    return loop(lambda step, a: (looked_up_at_each_step(a) / 4.0,), tf.tanh(x @ OTHER))[0] @ KERNEL


CARRIED = [
    looked_up_at_each_step, given_to_the_next_step, given_out_twice, exchanged, read_in_two_ways, asked_by_the_condition,
    into_both_branches, handed_on_by_a_branch, made_8_bits_by_one_branch,
    of_other_scales_by_both_branches, looped_in_a_branch, looped_in_a_loop,
]  # fmt: skip


@pytest.mark.parametrize("batch", [None, 16])
@pytest.mark.parametrize("compute", CARRIED, ids=lambda one: one.__name__)
def test_with_8_bits_handed_on_the_answer_is_nearly_the_same(compute, batch, tmp_path, monkeypatch):
    graph = saved(compute, tmp_path, (batch, 8))
    ranged = calibrate(tmp_path, "run", [{"x": X}, {"x": -X}])
    data = quantizing.quantize(ranged)
    monkeypatch.setattr(quantizing, "carry", lambda model: False)
    float_handed_on = quantizing.quantize(ranged)
    for sign in (1.0, -1.0):
        expected = graph(x=tf.constant(sign * X))["y"].numpy()
        before, after = (np.abs(answer(one, sign * X) - expected).mean() for one in (float_handed_on, data))
        assert after <= 1.3 * before + 0.005 * np.abs(expected).max()
        np.testing.assert_array_equal(answer(merge({"run": data}), sign * X), answer(data, sign * X))


def carried(data: bytes) -> list[list[str]]:
    """Returns the types of what loops and branches take, in order."""
    model, names = unpacked(data), {0: "float32", 2: "int32", 6: "bool", 9: "int8"}
    kinds = kinds_of(model)
    return [
        [names[graph.tensors[place].type] for place in one.inputs]
        for graph in model.subgraphs
        for one in graph.operators
        if kinds[one.opcodeIndex] in ("IF", "WHILE")
    ]


def test_loops_and_branches_take_8_bits_of_what_they_make_such(tmp_path):
    data, _ = quantised(looked_up_at_each_step, tmp_path / "loop")
    [types] = carried(data)
    assert types.count("int8") == 2 and "float32" not in types
    # Nothing is turned at each step, but for what one step gives to the next, of another scale.
    body = next(graph for graph in unpacked(data).subgraphs if len(graph.outputs) > 1)
    kinds = kinds_of(unpacked(data))
    assert [kinds[one.opcodeIndex] for one in body.operators if "QUANTIZE" in kinds[one.opcodeIndex]] == ["QUANTIZE"]
    data, _ = quantised(into_both_branches, tmp_path / "branches")
    assert carried(data) == [["bool", "int8"]]


def test_a_sum_takes_8_bits_of_any_scale(tmp_path):
    def compute(x):
        y = tf.nn.elu(x @ KERNEL)
        return (y[:, :4] + tf.concat([y[:, 4:6], tf.tanh(y[:, 6:])], -1)) @ OTHER[:4]

    data, expected = quantised(compute, tmp_path)
    model = unpacked(data)
    kinds = kinds_of(model)
    [graph] = model.subgraphs
    made = {place: kinds[one.opcodeIndex] for one in graph.operators for place in one.outputs}
    [adding] = [one for one in graph.operators if kinds[one.opcodeIndex] == "ADD"]
    assert "QUANTIZE" not in [made[one] for one in adding.inputs]
    assert np.abs(answer(data) - expected).mean() < 0.03 * np.abs(expected).max()


def test_what_the_condition_asks_or_a_step_reads_otherwise_stays_float32(tmp_path):
    data, _ = quantised(asked_by_the_condition, tmp_path / "condition")
    assert "float32" in carried(data)[0]
    data, _ = quantised(read_in_two_ways, tmp_path / "ways")
    assert "float32" in carried(data)[0]


def test_nothing_is_carried_where_nothing_is_turned(tmp_path):
    saved(looked_up_at_each_step, tmp_path)
    model = unpacked(convert(tmp_path, "run", "float32"))
    before = packed(model)
    assert not carrying.carry(model) and packed(model) == before


# Ranges.


def ranges_of(data: bytes, kind: str) -> list[tuple[float, float, float, float]]:
    """Returns the ranges of what operators of a kind take and give."""
    model, found = unpacked(data), []
    kinds = kinds_of(model)
    for graph in model.subgraphs:
        for one in graph.operators:
            if kinds[one.opcodeIndex] == kind:
                ranges = [graph.tensors[place].quantization for place in (one.inputs[0], one.outputs[0])]
                found.append(tuple(float(bound[0]) for each in ranges for bound in (each.min, each.max)))
    return found


def test_a_layer_has_one_range_in_all_models(tmp_path):
    models = {}
    for name, factor in (("low", 0.1), ("high", 3.0)):
        saved(lambda x, factor=factor: tf.tanh(tf.tanh(factor * x) @ KERNEL) @ OTHER, tmp_path / name)
        models[name] = calibrate(tmp_path / name, "run", [{"x": X}])
    before = [ranges_of(data, "FULLY_CONNECTED") for data in models.values()]
    after = [ranges_of(data, "FULLY_CONNECTED") for data in level(models).values()]
    assert before[0] != before[1] and after[0] == after[1]
    for low, high, both in zip(*before, after[0], strict=True):
        assert both == tuple(
            choose(one, other) for choose, one, other in zip((min, max, min, max), low, high, strict=True)
        )


def test_a_loop_has_one_range_for_a_variable(tmp_path):
    """What the last step gives is larger than what any has taken; it does not turn it to another scale then."""

    def compute(x):
        return loop(lambda step, a: (a + tf.tanh(a @ KERNEL),), tf.tanh(x @ OTHER))[0] @ OTHER

    graph = saved(compute, tmp_path)
    data = level({"run": calibrate(tmp_path, "run", [{"x": X}, {"x": -X}])})["run"]
    quantised = unpacked(quantizing.quantize(data))
    body = next(graph for graph in quantised.subgraphs if len(graph.outputs) > 1)
    assert [kinds_of(quantised)[one.opcodeIndex] for one in body.operators if one.outputs[0] in body.outputs[1:]] == [
        "ADD"
    ]
    assert scale_of(body.tensors[body.inputs[1]]) == scale_of(body.tensors[body.outputs[1]]) != ()
    expected = graph(x=tf.constant(X))["y"].numpy()
    assert np.abs(answer(packed(quantised)) - expected).mean() < 0.05 * np.abs(expected).max()


def test_loops_of_several_models_have_their_own_ranges(tmp_path):
    models = {}
    for name, factor in (("low", 0.1), ("high", 3.0)):
        saved(lambda x, factor=factor: loop(lambda step, a: (factor * tf.tanh(a),), x)[0] @ KERNEL, tmp_path / name)
        models[name] = calibrate(tmp_path / name, "run", [{"x": factor * X}])

    def highest(data: bytes) -> float:
        body = next(graph for graph in unpacked(data).subgraphs if len(graph.outputs) > 1)
        return float(body.tensors[body.inputs[1]].quantization.max[0])

    low, high = map(highest, level(models).values())
    assert low < 0.5 < 2.9 < high


def test_layers_that_differ_by_biases_or_functions_have_their_own_ranges(tmp_path):
    layers = {
        "plain": lambda x: x @ KERNEL,
        "with_bias": lambda x: x @ KERNEL + OTHER[0],
        "cut": lambda x: tf.nn.relu(x @ KERNEL),
        "other": lambda x: x @ OTHER,
    }
    models = {}
    for name, layer in layers.items():
        saved(lambda x, layer=layer: tf.tanh(layer(x)), tmp_path / name)
        models[name] = calibrate(tmp_path / name, "run", [{"x": X}])
    told = {name: ranges_of(data, "FULLY_CONNECTED")[0][2:] for name, data in level(models).items()}
    assert len(set(told.values())) == len(told)


def test_products_with_what_is_computed_have_their_own_ranges(tmp_path):
    def compute(x):
        y = tf.tanh(x)
        return 0.01 * tf.matmul(x, y, transpose_b=True) + tf.matmul(tf.exp(x), tf.exp(y), transpose_b=True)

    saved(compute, tmp_path, (16, 8))
    ranged = calibrate(tmp_path, "run", [{"x": X}])
    before, after = (ranges_of(data, "FULLY_CONNECTED") for data in (ranged, level({"run": ranged})["run"]))
    assert before == after and len(before) == 2


def test_a_model_and_its_likelihood_have_the_same_biases(tmp_path):
    models = {}
    for name, factor in (("low", 0.3), ("high", 3.0)):
        saved(lambda x, factor=factor: tf.nn.relu(tf.nn.elu(factor * x) @ KERNEL + OTHER[0]) @ OTHER, tmp_path / name)
        models[name] = calibrate(tmp_path / name, "run", [{"x": X}])
    counts = []
    for parts in (models, level(models)):
        data = {name: quantizing.quantize(data) for name, data in parts.items()}
        for part in data.values():
            unpacked(part).signatureDefs[0].signatureKey = b"run"
        biases = {
            bytes(one.data) for part in data.values() for one in unpacked(part).buffers if len(listed(one.data)) == 32
        }
        counts.append(len(biases))
    assert counts == [2, 1]


def test_round_ranges_hold_what_was_found(tmp_path):
    saved(lambda x: tf.tanh(x @ KERNEL) @ OTHER, tmp_path)
    ranged = calibrate(tmp_path, "run", [{"x": X}])
    for low, high in [(-1.0, 3.0), (0.0, 16.0)]:  # whole numbers keep theirs
        assert widened(ranged, low, high) == (low, high)
    assert widened(ranged, 0.0, 0.9) == (0.0, 1.0)
    assert widened(ranged, -0.9, 0.0) == (-1.0, 0.0)
    assert widened(ranged, -0.9, 0.8) == (-1.0, 1.0)  # zero in the middle
    assert widened(ranged, -0.9, 0.001) == (-1.0, pytest.approx(2.0**-9.75))
    assert widened(ranged, 0.25, 0.9) == (0.25, 1.0)  # both above zero: what is below is of no use
    for low, high in -np.abs(rng().normal(size=(200, 2))) * [1.0, -1.0] * np.exp(rng().normal(size=(200, 1)) * 3.0):
        below, above = widened(ranged, low, high)
        assert below <= np.float32(low) and above >= np.float32(high)
        assert above - below < 2.0**0.25 * 1.21 * (high - low) * 1.001
        powers = 4.0 * np.log2([-below, above])
        np.testing.assert_allclose(powers, np.round(powers), atol=1e-4)


def widened(ranged: bytes, low: float, high: float) -> tuple[float, float]:
    model = unpacked(ranged)
    tensor = next(one for one in model.subgraphs[0].tensors if has_range(one))
    tensor.quantization.min, tensor.quantization.max = (np.array([one], np.float32) for one in (low, high))
    widen(model)
    return float(tensor.quantization.min[0]), float(tensor.quantization.max[0])


def test_scales_are_few(tmp_path, monkeypatch):
    kernels = [tf.constant(one, tf.float32) for one in rng().normal(size=(12, 8, 8)) / 3.0]

    def compute(x):
        for kernel in kernels:
            x = tf.nn.elu(x @ kernel)
        return x

    saved(compute, tmp_path)
    ranged, counts = calibrate(tmp_path, "run", [{"x": X}, {"x": -X}]), []
    for widening in (widen, lambda model: None):
        monkeypatch.setattr(quantizing, "widen", widening)
        [graph] = unpacked(quantizing.quantize(ranged)).subgraphs
        computed = {place for one in graph.operators for place in one.outputs}
        counts.append(len({scale_of(graph.tensors[one]) for one in computed}))
    assert counts[0] < 0.8 * counts[1], counts


# A process of its own.


def test_what_computes_nothing_is_quantised_beside_others(tmp_path):
    computes = {"constant": lambda x: KERNEL, "handed_on": lambda x: x, "layer": lambda x: tf.tanh(x) @ KERNEL}
    for name, compute in computes.items():
        graph = tf.function(lambda x, compute=compute: {"y": compute(x)}, autograph=False).get_concrete_function(
            x=tf.TensorSpec((None, 8), tf.float32, "x")
        )
        tf.saved_model.save(tf.Module(), str(tmp_path / name), signatures={name: graph})
    graph = tf.function(lambda: {"y": KERNEL + 0.0}, autograph=False).get_concrete_function()
    tf.saved_model.save(tf.Module(), str(tmp_path / "nothing_given"), signatures={"nothing_given": graph})
    found = calibrate_apart(tmp_path, {"nothing_given": [{}]} | {name: [{"x": X}] for name in computes})
    assert all(isinstance(data, bytes) for data in found.values()), found
    assert operators(found["layer"])["FULLY_CONNECTED int8"] == 1
    whole = Interpreter(merge(found))
    np.testing.assert_array_equal(whole.run("constant", {"x": X})["y"], KERNEL)
    np.testing.assert_array_equal(whole.run("nothing_given", {})["y"], KERNEL)
    np.testing.assert_array_equal(whole.run("handed_on", {"x": X})["y"], X)


def test_a_crash_takes_no_other_signature_along(tmp_path, monkeypatch):
    (tmp_path / "crash.py").write_text(
        "import os, signal, sys\n"
        "from tfgen.export.lite import conversion\n"
        "real = conversion.calibrate\n"
        "def calibrate(folder, name, samples):\n"
        "    return real(folder, name, samples) if name != 'second' else os.kill(os.getpid(), signal.SIGSEGV)\n"
        "conversion.calibrate = calibrate\n"
        "conversion._main(*sys.argv[3:])\n"
    )
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {conversion.sys.executable} {tmp_path}/crash.py "$@"\n')
    python.chmod(0o755)
    for name in ("first", "second", "third"):
        graph = tf.function(lambda x: {"y": tf.tanh(x @ KERNEL) @ OTHER}, autograph=False).get_concrete_function(
            x=tf.TensorSpec((None, 8), tf.float32, "x")
        )
        tf.saved_model.save(tf.Module(), str(tmp_path / name), signatures={name: graph})
    monkeypatch.setattr(conversion.sys, "executable", str(python))
    found = calibrate_apart(tmp_path, {name: [{"x": X}] for name in ("first", "second", "third")})
    assert found["second"] == "the calibration crashed with exit code -11"
    assert {name for name, data in found.items() if isinstance(data, bytes)} == {"first", "third"}
    assert operators(found["third"])["FULLY_CONNECTED int8"] == 2
