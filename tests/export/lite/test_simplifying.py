"""What computes nothing new is taken out of TF-Lite models, and what is left gives the same."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from tfgen.export.lite.conversion import convert
from tfgen.export.lite.files import merge
from tfgen.export.lite.graph import make_portable
from tfgen.export.lite.models import Writer, kinds_of, packed, unpacked
from tfgen.export.lite.running import Interpreter

RNG = np.random.default_rng(0)
KERNEL, BIAS, COLUMN = (tf.constant(RNG.normal(size=size), tf.float32) for size in ((4, 4), (4,), (2, 1, 1, 4)))
X = RNG.normal(size=(3, 4)).astype(np.float32)


def loop(body, *begin):
    return tf.while_loop(lambda step, *_: step < 4, lambda step, *state: (step + 1, *body(step, *state)), (0, *begin))[
        1:
    ]


def two_of(x):
    return tf.stack([tf.tanh(x), tf.exp(x)], 1)


def first_slice(x):
    return tf.tanh(tf.tanh(x)[:, :4])


def padding_by_nothing(x):
    return tf.tanh(tf.pad(tf.tanh(x), [[0, 0], [0, 0]]))


def one_part(x):
    return tf.tanh(tf.split(tf.tanh(x), 1, -1)[0])


def there_and_back(x):
    return tf.reshape(tf.reshape(tf.tanh(x), (-1, 2, 2))[:, :2], (-1, 4)) @ KERNEL


def two_reshapings(x):
    return tf.reshape(tf.reshape(tf.tanh(x), (-1, 2, 2))[:, :2], (-1, 1, 4))


def twice_the_same(x):
    return tf.tanh(x) + tf.exp(tf.tanh(x[:, :4])[:, :4])


def bias_behind_a_slice(x):
    return tf.nn.relu((x @ KERNEL)[:, :4] + BIAS)


def bias_behind_reshapings(x):
    return tf.reshape((x @ KERNEL)[:, :4], (-1, 1, 4)) + BIAS


def one_row(x):
    """Returns a convolution of a picture of two rows, which are one row then."""
    return tf.nn.conv2d(tf.reshape(x, (-1, 2, 2, 1)), COLUMN, 1, "VALID")[:, 0]


def bias_of_a_row(x):
    return tf.nn.relu(one_row(x) + BIAS)


def axes_there_and_back(x):
    return tf.reshape(tf.reshape(two_of(x), (-1, 4)) @ KERNEL, (-1, 2, 4))


def one_axis_there_and_back(x):
    return tf.tanh(tf.tanh(x)[:, None][:, 0])


def put_together_alone(x):
    return tf.tanh(tf.unstack(tf.stack([tf.tanh(x)], 1), axis=1)[0])


def a_function_of_each_part(x):
    return tf.concat([tf.nn.elu(x), tf.nn.elu(tf.exp(x))], -1)


def slice_in_a_loop(x):
    return loop(lambda step, a: (tf.tanh(a[:, :4] @ KERNEL)[:, :4],), x)[0]


# What is computed, and the operations that do it.
SHORTER = {
    first_slice: ["TANH", "TANH"],
    padding_by_nothing: ["TANH", "TANH"],
    one_part: ["TANH", "TANH"],
    there_and_back: ["TANH", "FULLY_CONNECTED"],
    two_reshapings: ["TANH", "RESHAPE"],
    twice_the_same: ["TANH", "EXP", "ADD"],
    bias_behind_a_slice: ["FULLY_CONNECTED"],
    bias_behind_reshapings: ["FULLY_CONNECTED", "RESHAPE"],
    bias_of_a_row: ["RESHAPE", "CONV_2D", "RESHAPE"],
    axes_there_and_back: ["TANH", "EXP", "PACK", "FULLY_CONNECTED"],
    one_axis_there_and_back: ["TANH", "TANH"],
    put_together_alone: ["TANH", "TANH"],
    a_function_of_each_part: ["EXP", "CONCATENATION", "ELU"],
    slice_in_a_loop: ["FULLY_CONNECTED", "TANH", "WHILE", "LESS", "ADD"],
}


def without_the_last_column(x):
    return tf.tanh(tf.tanh(x)[:, :3])


def without_the_first_row(x):
    return tf.tanh(tf.tanh(x)[1:])


def without_the_last_row(x):
    return tf.tanh(tf.slice(tf.tanh(x), [0, 0], [tf.shape(x)[0] - 1, 4]))


def two_rows(x):
    return tf.tanh(tf.tanh(x)[:2])


def backwards(x):
    return tf.tanh(tf.tanh(x)[::-1, ::-1])


def padding(x):
    return tf.tanh(tf.pad(tf.tanh(x), [[0, 1], [0, 0]]))


def two_parts(x):
    return tf.concat(tf.split(tf.tanh(x), 2, -1)[::-1], -1)


def another_shape(x):
    return tf.tanh(tf.reshape(tf.reshape(tf.tanh(x), (2, -1)), (-1, 2)))


def turned(x):
    y = x[:, : tf.shape(x)[0] - 1]  # of neither size anything is known
    return tf.tanh(tf.reshape(y, tf.stack([tf.shape(y)[1], tf.shape(y)[0]])))


def products_that_are_read_twice(x):
    product = (x @ KERNEL)[:, :4]
    return (product + BIAS) * product


def sum_of_two_products(x):
    return (x @ KERNEL)[:, :4] + (x @ tf.transpose(KERNEL))[:, :4]


def bias_over_another_axis(x):
    return tf.reshape(x @ KERNEL, (-1, 4, 1)) + BIAS


def a_number_added(x):
    return (x @ KERNEL)[:, :4] + 2.0


def two_biases(x):
    return (x @ KERNEL + BIAS)[:, :4] + 2.0 * BIAS


def two_biases_of_a_row(x):
    row = tf.nn.conv2d(tf.reshape(x, (-1, 2, 2, 1)), COLUMN, 1, "VALID") + BIAS
    return row[:, 0] + 2.0 * BIAS


def bias_of_a_row_that_is_read_twice(x):
    return (one_row(x) + BIAS) * one_row(x)


def bias_of_what_is_handed_out(x):
    def body(step, a, b):
        product = tf.tanh(a) @ KERNEL
        return product, product[:, :4] + BIAS

    a, b = loop(body, x, x)
    return a + 2.0 * b


def two_slopes(x):
    return tf.nn.leaky_relu(x, 0.1) + tf.nn.leaky_relu(x, 0.2)


def bias_behind_a_relu(x):
    return tf.nn.relu(x @ KERNEL)[:, :4] + BIAS


def relu_of_a_slice(x):
    return tf.nn.relu((x @ KERNEL)[:, :2])


def moved_by_slices(x):
    return loop(lambda step, a, b: (tf.tanh(b @ KERNEL)[:, :4], a[:, :4]), x[:, :4], x)[1]


def handed_out_as_it_came(x):
    return x[:, :4]


def handed_out_twice_as_it_came(x):
    y = tf.tanh(x)
    return loop(lambda step, a, b: (tf.tanh(y)[:, :4], tf.tanh(y)[:, :4]), x, x)[0]


def handed_out_by_two(x):
    def body(step, a, b):
        y = tf.tanh(a @ KERNEL)
        return y[:, :4], tf.pad(y, [[0, 0], [0, 0]])

    a, b = loop(body, x, x)
    return a + 2.0 * b


def handed_out_by_itself_too(x):
    def body(step, a, b):
        y = tf.tanh(a @ KERNEL)
        return y, y[:, :4]

    a, b = loop(body, x, x)
    return a + 2.0 * b


def handed_out_and_read(x):
    return loop(lambda step, a, b: ((a @ KERNEL)[:, :4], tf.tanh(a @ KERNEL) + b), x, x)[1]


def branches_of_slices(x):
    return tf.cond(tf.reduce_sum(x) > 0.0, lambda: tf.tanh(x)[:, :4], lambda: x[:, :4])


def differing_widths(x):
    return tf.pad(tf.tanh(x), [[0, 0], [0, 1]])[:, 1:] + tf.pad(tf.tanh(x), [[0, 0], [1, 0]])[:, :4]


def axes_to_others(x):
    return tf.reshape(tf.reshape(two_of(x), (-1, 4)) @ KERNEL, (2, -1, 4))


def axes_to_more(x):
    return tf.reshape(tf.reshape(two_of(x), (-1, 4)) @ KERNEL, (-1, 2, 2, 2))


def halves_of_rows(x):
    return tf.reshape(tf.reshape(two_of(x)[..., :2], (-1, 4)) @ KERNEL, (-1, 2, 2))


def the_second_of_two(x):
    return two_of(x)[:, 1]


def the_first_of_two(x):
    return two_of(x)[:, :1][:, 0]


def a_number(x):
    return tf.reduce_sum(x, keepdims=True)[0, 0] + x


def parts_that_are_read_twice(x):
    a, b = tf.nn.elu(x), tf.nn.elu(tf.exp(x))
    return tf.concat([a, b], -1) * tf.concat([b, a], -1)


def parts_by_two_functions(x):
    return tf.concat([tf.nn.elu(x), tf.tanh(x)], -1)


def one_part_twice(x):
    a = tf.nn.elu(x)
    return tf.concat([a, a], -1)


def either_of_two(x):
    return tf.exp(tf.where(x > 0.0, tf.tanh(x), tf.exp(x)))


def a_part_as_it_is(x):
    return tf.concat([tf.nn.elu(x), x], -1)


def a_part_handed_out(x):
    def body(step, a, b):
        y = tf.nn.elu(a)
        return y, tf.concat([y, tf.nn.elu(b)], -1)[:, 2:6]

    a, b = loop(body, x, x)
    return a + 2.0 * b


SAME = [
    *SHORTER, without_the_last_column, without_the_first_row, without_the_last_row, two_rows, backwards, padding,
    two_parts, another_shape, turned, products_that_are_read_twice, sum_of_two_products, bias_over_another_axis,
    a_number_added, two_biases, two_biases_of_a_row, bias_of_a_row_that_is_read_twice,
    bias_of_what_is_handed_out, two_slopes, handed_out_by_two, handed_out_by_itself_too,
    bias_behind_a_relu, relu_of_a_slice, moved_by_slices, handed_out_as_it_came, handed_out_twice_as_it_came,
    handed_out_and_read, branches_of_slices, differing_widths, axes_to_others, axes_to_more, halves_of_rows,
    the_second_of_two, the_first_of_two, a_number, parts_that_are_read_twice, parts_by_two_functions, one_part_twice,
    a_part_as_it_is, a_part_handed_out, either_of_two,
]  # fmt: skip


def converted(compute, batch, place) -> tuple[bytes, tf.types.experimental.ConcreteFunction]:
    run = tf.function(lambda x: {"y": compute(x)}, autograph=False)
    graph = run.get_concrete_function(x=tf.TensorSpec((batch, 4), tf.float32, "x"))
    tf.saved_model.save(tf.Module(), str(place), signatures={"run": graph})
    return convert(place, "run", "float32"), graph


def operators(data: bytes) -> Counter:
    model = unpacked(data)
    kinds = kinds_of(model)
    return Counter(kinds[one.opcodeIndex] for graph in model.subgraphs for one in graph.operators)


@pytest.mark.parametrize("compute", SHORTER, ids=lambda one: one.__name__)
def test_what_hands_on_what_it_is_given_is_taken_out(compute, tmp_path):
    data, _ = converted(compute, None, tmp_path)
    assert operators(merge({"run": data})) == Counter(SHORTER[compute])
    assert operators(data).total() > len(SHORTER[compute])  # else the converter had seen it itself


@pytest.mark.parametrize("batch", [None, 3])
@pytest.mark.parametrize("compute", SAME, ids=lambda one: one.__name__)
def test_what_is_left_gives_the_same(compute, batch, tmp_path):
    data, graph = converted(compute, batch, tmp_path)
    whole = Interpreter(merge({"run": data}))
    for sign in (1.0, -1.0):
        expected = graph(x=tf.constant(sign * X))["y"].numpy()
        np.testing.assert_allclose(whole.run("run", {"x": sign * X})["y"], expected, rtol=1e-5, atol=1e-6)


def test_no_code_and_no_tensor_is_left_that_nothing_uses(tmp_path):
    data, _ = converted(bias_behind_a_slice, None, tmp_path)
    model = unpacked(merge({"run": data}))
    [graph] = model.subgraphs
    [dense] = graph.operators
    assert len(model.operatorCodes) == 1
    assert {*dense.inputs, *dense.outputs} == set(range(len(graph.tensors)))


def test_calibration_takes_what_is_left(tmp_path):
    _, graph = converted(bias_behind_a_slice, None, tmp_path)
    data = merge({"run": convert(tmp_path, "run", "int8", [{"x": X}, {"x": -X}])})
    assert operators(data) == Counter(["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"])
    answer, expected = Interpreter(data).run("run", {"x": X})["y"], graph(x=tf.constant(X))["y"].numpy()
    np.testing.assert_allclose(answer, expected, atol=0.02 * expected.max())


def test_a_loss_that_is_negated_is_not_so_twice(tmp_path):
    def compute(x):
        logits = tf.reshape(x, (-1, 2, 2))
        return -tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(logits[..., 0] > 0.0, tf.int32), logits)

    graph = tf.function(lambda x: {"y": compute(x)}, autograph=False).get_concrete_function(
        x=tf.TensorSpec((None, 4), tf.float32, "x")
    )
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures={"run": graph})
    make_portable(tmp_path)
    data = convert(tmp_path, "run", "float32")
    assert (operators(data)["NEG"], operators(merge({"run": data}))["NEG"]) == (2, 0)
    expected = graph(x=tf.constant(X))["y"]
    np.testing.assert_allclose(Interpreter(merge({"run": data})).run("run", {"x": X})["y"], expected, rtol=1e-5)


@pytest.mark.parametrize("times", [2, 3])
def test_what_is_negated_twice_may_be_the_output(times, tmp_path):
    data, _ = converted(tf.tanh, None, tmp_path)
    model = unpacked(data)
    [graph], writer = model.subgraphs, Writer(model)
    for _ in range(times):
        [output] = graph.outputs
        graph.outputs = np.array([writer.like(graph, graph.tensors[output])], np.int32)
        graph.operators.append(writer.operator("NEG", [output], graph.outputs, None))
    model.signatureDefs[0].outputs[0].tensorIndex = graph.outputs[0]
    whole = merge({"run": packed(model)})
    np.testing.assert_allclose(Interpreter(whole).run("run", {"x": X})["y"], (-1) ** times * np.tanh(X), rtol=1e-5)


def test_random_numbers_are_drawn_as_often_as_before(tmp_path):
    def compute(x):
        one, other = (tf.raw_ops.RandomUniform(shape=tf.shape(x), dtype=tf.float32, seed=1, seed2=2) for _ in range(2))
        return tf.tanh(one[:, :4]) + tf.tanh(other[:, :4]) + x

    data, _ = converted(compute, None, tmp_path)
    assert operators(merge({"run": data}))["RANDOM_UNIFORM"] == 2
