"""What TF-Lite lacks is replaced by what gives the same; TensorFlow itself runs both."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfgen.errors import InputError
from tfgen.export.lite.conversion import convert
from tfgen.export.lite.files import operations as operations_of
from tfgen.export.lite.graph import make_portable
from tfgen.export.lite.running import Interpreter
from tfgen.export.saving import save_graphs
from tfgen.layers.buffers import write
from tfgen.layers.gated_resnet import both_signs, both_signs_of_cells
from tfgen.networks.began import began_decoder

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(6, 4)).astype(np.float32) * 5
LOGITS[2, 1] = -np.inf

CASES = {
    "Acos": (tf.acos, [np.array([-1, -0.999, -0.3, 0, 0.5, 0.9999, 1], np.float32)]),
    "MatrixDiagPartV3": (tf.linalg.diag_part, [RNG.normal(size=(2, 3, 3)).astype(np.float32)]),
    "Ndtri": (tf.math.ndtri, [np.array([2e-7, 1e-6, 1e-3, 0.02, 0.3, 0.5, 0.9, 0.999, 0.999999], np.float32)]),
    "SelectV2": (
        tf.where,
        [RNG.random((2, 3, 1)) < 0.5, *(RNG.integers(0, 256, (2, 3, 2), np.uint8) for _ in range(2))],
    ),
    "Softplus": (tf.nn.softplus, [np.array([-200, -30, -5, -0.1, 0, 0.1, 5, 30, 200], np.float32)]),
    "SparseSoftmaxCrossEntropyWithLogits": (
        lambda logits, labels: tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits),
        [LOGITS, np.array([0, 3, 2, 1, 1, 0], np.int32)],
    ),
    "CheckNumerics": (lambda x: tf.debugging.check_numerics(x, "x"), [LOGITS[:2]]),
    "EnsureShape": (lambda x: tf.ensure_shape(x, (None, 4)), [LOGITS]),
}


def operations(folder) -> set[str]:
    """Those that TF-Lite would refuse, and others."""
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    nodes = [node for function in functions for node in function.node_def]
    # It selects what is not uint8.
    return {node.op for node in nodes if node.op != "SelectV2" or node.attr["T"].type == tf.uint8.as_datatype_enum}


def test_the_converter_knows_the_channels_of_what_keras_upsamples(tmp_path):
    network = began_decoder(4, (28, 28, 1), width=4)
    function = tf.function(lambda x: {"y": network(x)}).get_concrete_function(x=tf.TensorSpec((None, 4), name="x"))
    save_graphs(SimpleNamespace(averaged_weights=contextlib.nullcontext), {"run": function}, tmp_path)
    with pytest.raises(InputError, match="TF-Lite has no Conv2D"):
        convert(tmp_path, "run", "float32")  # when it does not, the shapes can stay as they are
    make_portable(tmp_path)
    interpreter = Interpreter(convert(tmp_path, "run", "float32"))
    for count in (1, 3):
        x = RNG.normal(size=(count, 4)).astype(np.float32)
        np.testing.assert_allclose(interpreter.run("run", {"x": x})["y"], network(x), rtol=1e-4, atol=1e-5)


def test_shapes_without_numbers_stay_as_they_are(tmp_path):
    def run(x):
        nothing = tf.reshape(x[:, :0], (tf.shape(x)[0], 5, 0))
        return {"y": tf.concat([nothing, tf.ensure_shape(nothing, (None, 5, 0)), x[:, :, None]], -1)}

    function = tf.function(run).get_concrete_function(x=tf.TensorSpec((None, 5), name="x"))
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures={"run": function})
    make_portable(tmp_path)
    answer = tf.saved_model.load(str(tmp_path)).signatures["run"](x=tf.ones((3, 5)))["y"]
    np.testing.assert_array_equal(answer, np.ones((3, 5, 1), np.float32))


def lite(compute, tmp_path, *inputs) -> tuple[list[str], np.ndarray]:
    """Returns the operations that TF-Lite takes for a function, and what it gives."""
    names = [f"x{at}" for at in range(len(inputs))]
    specs = [
        tf.TensorSpec([None, *one.shape[1:]] if one.ndim else (), one.dtype, name)
        for one, name in zip(inputs, names, strict=True)
    ]
    function = tf.function(lambda *tensors: {"y": compute(*tensors)}).get_concrete_function(*specs)
    save_graphs(SimpleNamespace(averaged_weights=contextlib.nullcontext), {"run": function}, tmp_path)
    make_portable(tmp_path)
    data = convert(tmp_path, "run", "float32")
    return operations_of(data), Interpreter(data).run("run", dict(zip(names, inputs, strict=True)))["y"]


def test_a_row_of_a_buffer_is_written_in_place(tmp_path):
    def compute(rows, at):
        return write(tf.tile(rows[None, :1], (4, 1, 1)), at, rows[-1:])

    rows = RNG.normal(size=(3, 5)).astype(np.float32)
    for at in range(4):
        taken, answer = lite(compute, tmp_path / str(at), rows, np.array(at, np.int32))
        expected = np.repeat(rows[None, :1], 4, 0)
        expected[at] = rows[-1:]
        np.testing.assert_array_equal(answer, expected)
        assert "DYNAMIC_UPDATE_SLICE" in taken and "SCATTER_ND" not in taken


def test_several_rows_are_written_as_before(tmp_path):
    def compute(rows):
        return tf.tensor_scatter_nd_update(tf.zeros((4, 5)), [[2], [0]], rows[:2])

    rows = RNG.normal(size=(3, 5)).astype(np.float32)
    expected = np.zeros((4, 5), np.float32)
    expected[[2, 0]] = rows[:2]
    np.testing.assert_array_equal(lite(compute, tmp_path, rows)[1], expected)


def save_without_shapes(run, place, of: str) -> None:
    """Saves a graph `(None, 5)` whose functions of some name do not tell the shapes in them."""
    function = tf.function(run, autograph=False).get_concrete_function(x=tf.TensorSpec((None, 5), name="x"))
    tf.saved_model.save(tf.Module(), str(place), signatures={"run": function})
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((place / "saved_model.pb").read_bytes())
    nodes = [
        node
        for function in saved.meta_graphs[0].graph_def.library.function
        for node in function.node_def
        if of in function.signature.name
    ]
    assert nodes
    for node in nodes:
        node.attr.pop("_output_shapes", None)
    (place / "saved_model.pb").write_bytes(saved.SerializeToString())


def test_a_graph_whose_shapes_are_not_told_stays_right(tmp_path):
    def run(x):
        return {"y": write(tf.zeros((4, 5)), 2, both_signs_of_cells(x)[0, :5])}

    save_without_shapes(run, tmp_path, "")
    make_portable(tmp_path)
    x = RNG.normal(size=(1, 5)).astype(np.float32)
    answer = tf.saved_model.load(str(tmp_path)).signatures["run"](x=tf.constant(x))["y"]
    np.testing.assert_allclose(answer, run(x)["y"], rtol=1e-6, atol=1e-6)


def test_shapes_in_loops_are_found_where_they_are_not_told(tmp_path):
    """As where weights were made constants, to take the random numbers out of a sampler."""

    def by_columns(t, rows, x):
        def fill(u, row):
            return u + 1, write(row, u, x[:, 0])

        row = tf.while_loop(lambda u, _: u < 5, fill, (0, tf.zeros((5, tf.shape(x)[0]))))[1]
        return t + 1, write(rows, t, row), x

    def run(x):
        rows = tf.zeros((4, 5, tf.shape(x)[0]))
        return {"y": tf.while_loop(lambda t, *_: t < 4, by_columns, (0, rows, x))[1]}

    save_without_shapes(run, tmp_path, "while_body")
    make_portable(tmp_path)
    data, x = convert(tmp_path, "run", "float32"), RNG.normal(size=(3, 5)).astype(np.float32)
    taken = operations_of(data)
    assert "DYNAMIC_UPDATE_SLICE" in taken and "SCATTER_ND" not in taken
    np.testing.assert_array_equal(Interpreter(data).run("run", {"x": x})["y"], np.broadcast_to(x[:, 0], (4, 5, 3)))


def test_both_signs_by_one_exponential_are_two_elus(tmp_path):
    x = np.linspace(-30.0, 30.0, 61, dtype=np.float32)[:, None]
    taken, answer = lite(both_signs_of_cells, tmp_path, x)
    assert set(taken) == {"ELU", "NEG", "CONCATENATION"}
    np.testing.assert_allclose(answer, both_signs(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: tf.where(x > 0.5, x, tf.exp(-tf.abs(x)) - 1.0),
        lambda x: tf.where(x < 0.0, x, tf.exp(-tf.abs(x)) - 1.0),
        lambda x: tf.where(x > 0.0, x, tf.exp(-tf.abs(x)) - 2.0),
        lambda x: tf.where(x > 0.0, x, tf.exp(-tf.abs(2.0 * x)) - 1.0),
        lambda x: tf.where(x > 0.0, x, tf.exp(tf.abs(x)) - 1.0),
        lambda x: tf.where(x > 0.0, 2.0 * x, tf.exp(-tf.abs(x)) - 1.0),
        lambda x: tf.where(x > 0.0, tf.exp(-tf.abs(x)) - 1.0, x),
        lambda x: tf.where(x > 0.0, tf.exp(-tf.abs(x)) - 1.0, -tf.abs(x)),
        lambda x: tf.where(x > 0.0, tf.exp(-tf.abs(2.0 * x)) - 1.0, -x),
    ],
)
def test_what_only_looks_like_an_elu_stays(compute, tmp_path):
    x = np.linspace(-3.0, 3.0, 61, dtype=np.float32)[:, None]
    taken, answer = lite(compute, tmp_path, x)
    assert "ELU" not in taken
    np.testing.assert_allclose(answer, compute(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_an_operation_is_replaced_by_its_like(name, tmp_path):
    compute, inputs = CASES[name]
    specs = [tf.TensorSpec([None, *array.shape[1:]], array.dtype, f"x{at}") for at, array in enumerate(inputs)]
    # Twice in one graph, one behind the other where that is possible, and behind an operation that stays.
    function = tf.function(lambda *tensors: {"y": compute(*map(tf.identity, tensors)), "z": compute(*tensors)})
    module = tf.Module()
    tf.saved_model.save(module, str(tmp_path), signatures={"run": function.get_concrete_function(*specs)})
    assert name in operations(tmp_path)
    make_portable(tmp_path)
    assert name not in operations(tmp_path)
    answers = tf.saved_model.load(str(tmp_path)).signatures["run"](
        **{spec.name: tf.constant(array) for spec, array in zip(specs, inputs, strict=True)}
    )
    expected = compute(*map(tf.constant, inputs)).numpy()
    for answer in answers.values():
        np.testing.assert_allclose(answer.numpy(), expected, rtol=1e-5, atol=1e-6)
        assert answer.dtype == expected.dtype
