"""What no weights follow stays float32 in int8 models, and what they follow does not."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from tfgen.export.lite.conversion import convert
from tfgen.export.lite.models import kinds_of, unpacked
from tfgen.export.lite.running import Interpreter

RNG = np.random.default_rng(0)
KERNEL, OTHER = (tf.constant(RNG.normal(size=(8, 8)), tf.float32) for _ in range(2))
TABLE = tf.constant(RNG.normal(size=(8, 128)), tf.float32)
X = RNG.normal(size=(16, 8)).astype(np.float32)


def loop(body, *begin):
    return tf.while_loop(lambda step, *_: step < 3, lambda step, *state: (step + 1, *body(step, *state)), (0, *begin))[
        1:
    ]


def behind_the_last(x):
    return tf.tanh(tf.sigmoid(x @ KERNEL) @ OTHER)


def beside_weights(x):
    return tf.tanh(x) + tf.sigmoid(x) @ KERNEL


def behind_whole_numbers(x):
    return tf.cast(tf.cast(tf.tanh(x @ KERNEL) * 10.0, tf.int32), tf.float32) @ OTHER


def carried_by_a_loop(x):
    return tf.tanh(loop(lambda step, a: (tf.sigmoid(a @ KERNEL),), x)[0])


def carried_past_the_weights_of_a_loop(x):
    return loop(lambda step, a, b: (tf.sigmoid(a @ KERNEL), b + tf.tanh(a)), x, x)[1]


def carried_to_weights_behind_a_loop(x):
    return loop(lambda step, a, b: (tf.sigmoid(a @ KERNEL), b + tf.tanh(a)), x, x)[1] @ OTHER


def given_by_a_branch(x):
    y = x @ KERNEL
    return tf.cond(tf.reduce_sum(x) < 1e9, lambda: tf.tanh(y), lambda: y)


def given_by_a_branch_to_weights(x):
    return tf.cond(tf.reduce_sum(x) < 1e9, lambda: tf.tanh(x), lambda: x) @ OTHER


def given_to_a_branch_before_weights(x):
    y = tf.tanh(x)
    return tf.cond(tf.reduce_sum(x) < 1e9, lambda: 2.0 * y, lambda: y) @ OTHER


def times_parts_of_a_table(x):
    """As NADE's products, which are no matrix product."""
    rows = tf.gather(TABLE, tf.argmax(x, -1))
    return tf.exp(0.01 * tf.reduce_sum(rows * tf.tanh(tf.tile(x, (1, 16))), -1, keepdims=True))


# What is computed, and the type of what TANH computes.
TANH = {
    behind_the_last: "FLOAT32",
    beside_weights: "FLOAT32",
    behind_whole_numbers: "FLOAT32",
    carried_by_a_loop: "FLOAT32",
    carried_past_the_weights_of_a_loop: "FLOAT32",
    carried_to_weights_behind_a_loop: "INT8",
    given_by_a_branch: "FLOAT32",
    given_by_a_branch_to_weights: "INT8",
    given_to_a_branch_before_weights: "INT8",
    times_parts_of_a_table: "INT8",
}
# All of these stand before weights.
SIGMOID = [behind_the_last, beside_weights, carried_by_a_loop, carried_past_the_weights_of_a_loop]


def quantised(compute, place) -> tuple[bytes, np.ndarray]:
    graph = tf.function(lambda x: {"y": compute(x)}, autograph=False).get_concrete_function(
        x=tf.TensorSpec((None, 8), tf.float32, "x")
    )
    tf.saved_model.save(tf.Module(), str(place), signatures={"run": graph})
    return convert(place, "run", "int8", [{"x": X}, {"x": -X}]), graph(x=tf.constant(X))["y"].numpy()


def types(data: bytes, kind: str) -> set[str]:
    """Returns the types of what operations of a kind compute."""
    model = unpacked(data)
    kinds = kinds_of(model)
    found = {
        graph.tensors[operator.outputs[0]].type
        for graph in model.subgraphs
        for operator in graph.operators
        if kinds[operator.opcodeIndex] == kind
    }
    return {name for name, number in vars(schema.TensorType).items() if number in found and name.isupper()}


@pytest.mark.parametrize("compute", TANH, ids=lambda one: one.__name__)
def test_what_no_weights_follow_stays_float32(compute, tmp_path):
    data, expected = quantised(compute, tmp_path)
    assert types(data, "TANH") == {TANH[compute]}
    assert types(data, "FULLY_CONNECTED") == (set() if compute is times_parts_of_a_table else {"INT8"})
    if compute in SIGMOID:
        assert types(data, "LOGISTIC") == {"INT8"}
    assert "INT8" not in types(data, "EXP")
    answer = Interpreter(data).run("run", {"x": X})["y"]
    assert np.abs(answer - expected).mean() < 0.05 * np.abs(expected).max()


def test_of_what_a_loop_gives_a_part_can_be_quantised(tmp_path):
    def compute(x):
        a, b = loop(lambda step, a, b: (tf.sigmoid(a @ KERNEL), b + tf.tanh(a)), x, x)
        return tf.reduce_sum(a @ OTHER, -1)[:, None] * tf.reshape(tf.transpose(b), (-1, 8))

    data, _ = quantised(compute, tmp_path)
    assert types(data, "TRANSPOSE") == {"FLOAT32"}


def test_what_a_loop_hands_on_side_by_side_has_no_common_scale(tmp_path):
    """Of what is a hundred times larger beside it, 8 bits would leave three levels."""

    def compute(x):
        def step(_, a, both):
            a = tf.tanh(a @ KERNEL)
            return a, tf.concat([a, 100.0 * tf.sigmoid(a @ OTHER)], -1)

        _, both = loop(step, x, 0.0 * tf.concat([x, x], -1))
        return both[:, :8] @ OTHER

    data, expected = quantised(compute, tmp_path)
    assert types(data, "CONCATENATION") == {"FLOAT32"}
    answer = Interpreter(data).run("run", {"x": X})["y"]
    assert np.abs(answer - expected).mean() < 0.02 * np.abs(expected).max()


def test_what_is_read_again_by_the_loop_is_quantised(tmp_path):
    def compute(x):
        def step(_, a):
            a = tf.concat([tf.tanh(a @ KERNEL)[:, :4], tf.sigmoid(a @ OTHER)[:, 4:]], -1)
            return (a + tf.tanh(a @ KERNEL),)

        return loop(step, x)[0] @ OTHER

    data, _ = quantised(compute, tmp_path)
    assert types(data, "CONCATENATION") == {"INT8"}


def handed_on_and_multiplied(step, a, b):
    a = tf.concat([tf.tanh(a @ KERNEL)[:, :4], tf.sigmoid(a @ OTHER)[:, 4:]], -1)
    return a, b + tf.tanh(a @ KERNEL) @ OTHER


def taken_from_and_multiplied(step, a, b):
    return tf.tanh(a @ KERNEL) + a[:, :1], b


@pytest.mark.parametrize("step", [handed_on_and_multiplied, taken_from_and_multiplied])
def test_what_weights_multiply_has_a_range(step, tmp_path):
    data, expected = quantised(lambda x: tf.add_n(loop(step, x, x)) @ OTHER, tmp_path)
    assert types(data, "FULLY_CONNECTED") == {"INT8"}
    answer = Interpreter(data).run("run", {"x": X})["y"]
    assert np.abs(answer - expected).mean() < 0.05 * np.abs(expected).max()


def test_what_is_off_of_a_one_hot_code_is_zero(tmp_path):
    data, expected = quantised(lambda x: tf.one_hot(tf.argmax(x, -1), 8) @ KERNEL, tmp_path)
    assert types(data, "FULLY_CONNECTED") == {"INT8"}
    answer = Interpreter(data).run("run", {"x": X})["y"]
    assert np.abs(answer - expected).max() < 0.02 * np.abs(expected).max()


def test_nothing_is_divided_by_what_8_bits_make_zero(tmp_path):
    def compute(x):
        return (tf.tanh(x / (1e-3 + tf.square(x @ KERNEL))) + tf.fill(tf.shape(x), 0.3)) @ OTHER

    data, _ = quantised(compute, tmp_path)
    assert types(data, "DIV") == types(data, "FILL") == {"FLOAT32"}
    assert np.isfinite(Interpreter(data).run("run", {"x": X})["y"]).all()


def test_levels_are_scaled_before_they_have_8_bits(tmp_path):
    """Of levels up to 1000 that a layer is given around 990, 8 bits of levels would leave three."""

    def compute(x):
        levels = tf.cast(tf.cast(985.0 + x, tf.int32), tf.float32)
        return ((levels - 985.0) / 4.0 * 2.0 + tf.tanh(x)) @ KERNEL

    data, expected = quantised(compute, tmp_path)
    assert types(data, "SUB") == types(data, "MUL") | types(data, "SUB") == {"FLOAT32"}
    assert types(data, "TANH") == types(data, "FULLY_CONNECTED") == {"INT8"}
    answer = Interpreter(data).run("run", {"x": X})["y"]
    assert np.abs(answer - expected).mean() < 0.02 * np.abs(expected).max()


def test_what_is_rare_is_drawn(tmp_path):
    """Of 8 levels of which one has nearly all probability, the last is drawn where the noise says so, though by 1e-4 only."""
    logits = tf.constant([9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])

    def draw(x, noise):
        weights = tf.nn.softmax(0.01 * tf.tanh(x @ KERNEL) @ OTHER + logits)
        passed = tf.cast(tf.cumsum(weights, -1) <= noise[:, :1], tf.int32)
        return tf.reduce_sum(passed, -1) + tf.cast(tf.reduce_max(tf.exp(noise), -1) > 9.0, tf.int32)  # which is never

    run = tf.function(lambda x, noise: {"y": draw(x, noise)}, autograph=False)
    graph = run.get_concrete_function(
        x=tf.TensorSpec((None, 8), tf.float32, "x"), noise=tf.TensorSpec((None, 2), tf.float32, "noise")
    )
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures={"run": graph})
    inputs = {"x": RNG.normal(size=(256, 8)).astype(np.float32), "noise": RNG.random((256, 2)).astype(np.float32)}
    model = Interpreter(convert(tmp_path, "run", "int8", [inputs]))
    inputs["noise"][:, 0] = 1.0 - 10.0 ** np.linspace(-1.0, -6.0, 256)
    answer = model.run("run", inputs)["y"]
    expected = graph(**{name: tf.constant(one) for name, one in inputs.items()})["y"].numpy()
    assert {0, 3, 7} < set(expected)
    assert np.mean(answer == expected) > 0.9
