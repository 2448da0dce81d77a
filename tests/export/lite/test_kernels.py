"""Layers of an int8 model have one round scale each, unless their channels are too different for it."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfgen.export.lite import kernels, quantizing
from tfgen.export.lite.conversion import convert
from tfgen.export.lite.files import merge
from tfgen.export.lite.models import Writer, kinds_of, listed, packed, unpacked
from tfgen.export.lite.running import Interpreter

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6, 6, 8)).astype(np.float32)
KERNEL, BACK, DENSE = (
    tf.constant(RNG.normal(size=shape), tf.float32) for shape in ((3, 3, 8, 8), (3, 3, 4, 8), (8, 8))
)
BIAS = tf.constant(RNG.normal(size=8), tf.float32)
# The largest weights of a channel are this many times those of the next one.
STEEP = tf.constant(4.0 ** -np.arange(8), tf.float32)


def rng():
    return np.random.default_rng(1)


def convolution(x, channels=1.0):
    return tf.nn.conv2d(x, KERNEL * channels, 1, "SAME") + BIAS


def transposed(x):
    return tf.nn.conv2d_transpose(x, BACK, (tf.shape(x)[0], 12, 12, 4), 2, "SAME") + BIAS[:4]


def dense(x):
    return x @ DENSE + BIAS


def weights_of_a_convolution_twice(x):
    return tf.nn.conv2d(tf.tanh(convolution(x)), KERNEL, 1, "SAME") + BIAS


def one_layer_of_two_inputs(x):
    """Both of one scale, for that of a hyperbolic tangent is always the same."""
    return convolution(tf.tanh(x)) + convolution(tf.tanh(-2.0 * x))


def quantised(compute, place) -> tuple[bytes, np.ndarray]:
    graph = tf.function(lambda x: {"y": compute(x)}, autograph=False).get_concrete_function(
        x=tf.TensorSpec((None, 6, 6, 8), tf.float32, "x")
    )
    tf.saved_model.save(tf.Module(), str(place), signatures={"run": graph})
    return convert(place, "run", "int8", [{"x": X}, {"x": -X}]), graph(x=tf.constant(X))["y"].numpy()


def layers(data: bytes) -> list[tuple]:
    """Returns the scales of the input, of the weights and of the biases of each layer."""
    model = unpacked(data)
    kinds, found = kinds_of(model), []
    for graph in model.subgraphs:
        for one in graph.operators:
            if (kind := kinds[one.opcodeIndex]) in ("CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"):
                places = (2, 1, 3) if kind == "TRANSPOSE_CONV" else (0, 1, 2)
                found.append(tuple(listed(graph.tensors[one.inputs[at]].quantization.scale) for at in places))
    return found


def weights_of(data: bytes) -> list[np.ndarray]:
    """Returns the weights of all convolutions, as TF-Lite orders their axes."""
    model = unpacked(data)
    kinds, [graph] = kinds_of(model), model.subgraphs
    places = [one.inputs[1] for one in graph.operators if kinds[one.opcodeIndex] == "CONV_2D"]
    return [
        np.asarray(model.buffers[graph.tensors[at].buffer].data).view(np.int8).reshape(graph.tensors[at].shape)
        for at in places
    ]


def error(data: bytes, expected: np.ndarray) -> float:
    return np.abs(Interpreter(data).run("run", {"x": X})["y"] - expected).mean() / np.abs(expected).max()


@pytest.mark.parametrize(
    "compute", [convolution, transposed, dense, weights_of_a_convolution_twice, one_layer_of_two_inputs]
)
def test_a_layer_has_one_round_scale(compute, tmp_path, monkeypatch):
    data, expected = quantised(compute, tmp_path)
    for given, weights, biases in layers(data):
        assert len(weights) == len(biases) == 1
        assert math.log2(weights[0]) * 4 == pytest.approx(round(math.log2(weights[0]) * 4), abs=1e-5)
        assert biases[0] == pytest.approx(given[0] * weights[0], rel=1e-6)  # as TF-Lite's 8-bit specification asks
    monkeypatch.setattr(quantizing.Kernels, "rescale", lambda *_: None)
    before, _ = quantised(compute, tmp_path / "before")
    assert error(data, expected) < 1.5 * error(before, expected) + 1e-3
    if compute is not dense:
        assert len(layers(before)[0][1]) > 1
        assert len(merge({"run": data})) < len(merge({"run": before}))


def test_weights_are_rounded_once(tmp_path):
    """Also those that are nearly the same."""
    near = KERNEL + tf.constant(rng().uniform(-0.1, 0.1, KERNEL.shape), tf.float32)
    data, _ = quantised(lambda x: tf.nn.conv2d(tf.tanh(convolution(x)), near, 1, "SAME"), tmp_path)
    for weights, (_, [scale], _), exact in zip(weights_of(data), layers(data), (KERNEL, near), strict=True):
        np.testing.assert_array_equal(weights, np.round(np.transpose(exact, (3, 0, 1, 2)) / scale))


def test_channels_that_are_too_different_keep_their_scales(tmp_path):
    data, expected = quantised(lambda x: convolution(x, STEEP), tmp_path)
    [(given, weights, biases)] = layers(data)
    assert len(weights) == len(biases) == 8
    np.testing.assert_allclose(biases, given * weights, rtol=1e-6)
    assert error(data, expected) < 0.01


def test_how_different_channels_may_be_is_a_matter_of_the_noise(tmp_path):
    """Of one channel with a scale of 1 and seven with s the mean square is (1 + 7 s^2) / 8, a quarter at s^2 = 1 / 7."""
    largest = np.abs(KERNEL).max((0, 1, 2))
    for small, count in ((7**-0.5 * 1.05, 1), (7**-0.5 * 0.95, 8)):
        channels = tf.constant(np.array([1.0, *[small] * 7]) / largest, tf.float32)
        data, _ = quantised(lambda x, channels=channels: convolution(x, channels), tmp_path / str(count))
        [(_, weights, _)] = layers(data)
        assert len(weights) == count


def test_weights_of_nothing_stay_as_they_are(tmp_path):
    data, expected = quantised(lambda x: convolution(x, 0.0), tmp_path)
    assert error(data, expected) < 0.01


def test_weights_that_something_else_reads_keep_their_scale(tmp_path, monkeypatch):
    """What only hands numbers on has one scale for what it takes and gives."""
    monkeypatch.setattr(kernels.Kernels, "rescale", lambda *_: None)
    data, _ = quantised(convolution, tmp_path)
    monkeypatch.undo()
    exact = kernels.Kernels(unpacked(convert(tmp_path, "run", "float32")))
    for is_read in (False, True):
        model = unpacked(data)
        [graph], writer = model.subgraphs, Writer(model)
        [layer] = [one for one in graph.operators if writer.kinds[one.opcodeIndex] == "CONV_2D"]
        weights = graph.tensors[layer.inputs[1]]
        if is_read:
            copy = writer.like(graph, weights)
            graph.operators.append(writer.operator("QUANTIZE", [layer.inputs[1]], [copy], None))
        exact.rescale(model)
        assert len(weights.quantization.scale) == (8 if is_read else 1)


def test_biases_of_two_layers_are_rescaled_once(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels.Kernels, "rescale", lambda *_: None)
    data, expected = quantised(one_layer_of_two_inputs, tmp_path)
    monkeypatch.undo()
    model = unpacked(data)
    [graph], kinds = model.subgraphs, kinds_of(model)
    one, other = (layer for layer in graph.operators if kinds[layer.opcodeIndex] == "CONV_2D")
    other.inputs = np.array([other.inputs[0], *one.inputs[1:]], np.int32)
    kernels.Kernels(unpacked(convert(tmp_path, "run", "float32"))).rescale(model)
    assert [len(weights) for _, weights, _ in layers(packed(model))] == [1, 1]
    assert error(packed(model), expected) < 1.5 * error(data, expected) + 1e-3


def test_weights_that_are_computed_have_no_bytes_to_look_at(tmp_path):
    def compute(x):
        return tf.nn.conv2d(tf.nn.conv2d(x, KERNEL * tf.reduce_mean(tf.exp(0.1 * x)), 1, "SAME"), KERNEL, 1, "SAME")

    data, _ = quantised(compute, tmp_path)
    assert [len(weights) for _, weights, _ in layers(data)] == [1, 1]


def test_weights_that_are_unknown_stay_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels.Kernels, "_exact", lambda *_: None)
    data, _ = quantised(convolution, tmp_path)
    assert len(layers(data)[0][1]) == 8
