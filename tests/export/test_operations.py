"""A SavedModel that could do more than compute is not loaded."""

import pickle
import shutil

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfgen.errors import InputError
from tfgen.export import read_card, verify
from tfgen.export.files import seal
from tfgen.export.operations import check_operations
from tfgen.export.verification import load


def test_what_the_exporter_writes_only_computes(artifacts):
    for path in artifacts.values():
        check_operations(path)


def save(path, function):
    module = tf.Module()
    module.weight = tf.Variable(1.0)
    module.keep = tf.Variable("text")
    served = tf.function(function, input_signature=[tf.TensorSpec((), tf.string, name="x")])
    tf.saved_model.save(module, str(path), signatures={"sample": served})
    return path


def write(x):
    with tf.control_dependencies([tf.io.write_file(x, "gotcha")]):
        return {"y": tf.identity(x)}


def in_a_branch(x):
    return {"y": tf.cond(tf.strings.length(x) > 3, lambda: tf.io.read_file(x), lambda: x)}


def in_a_loop(x):
    return {"y": tf.while_loop(lambda x: tf.strings.length(x) < 9, lambda x: (tf.io.read_file(x) + x,), (x,))[0]}


def in_an_inner_function(x):
    return {"y": tf.function(tf.io.read_file)(x)}


def describe(x):
    """The description of a message may be read from a file."""
    (y,) = tf.raw_ops.DecodeProtoV2(
        bytes=x, message_type="M", field_names=["y"], output_types=[tf.string], descriptor_source="/etc/passwd"
    )[1]
    return {"y": y}


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (write, "WriteFile"),
        (in_a_branch, "ReadFile"),
        (in_a_loop, "ReadFile"),
        (in_an_inner_function, "ReadFile"),
        (lambda x: {"y": tf.py_function(lambda x: x, [x], tf.string)}, "EagerPyFunc"),
        (lambda x: {"y": tf.numpy_function(lambda x: x, [x], tf.string)}, "PyFunc"),
        (lambda x: {"y": tf.raw_ops.RestoreV2(prefix=x, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0]},
         "RestoreV2"),
        (lambda x: {"y": tf.data.TextLineDataset(x).reduce(x, lambda all, line: all + line)}, "Dataset"),
        (lambda x: {"y": tf.io.matching_files(x)}, "MatchingFiles"),
        (describe, "DecodeProtoV2"),
    ],
)  # fmt: skip
def test_graphs_that_reach_files_or_python_are_refused_before_they_are_loaded(
    tmp_path, monkeypatch, function, operation
):
    path = save(tmp_path / "model", function)
    monkeypatch.setattr(tf.saved_model, "load", None)
    with pytest.raises(InputError, match=f"its graphs can do more than compute .*{operation}"):
        load(path)


def test_functions_that_restore_the_weights_are_not_overlooked_where_something_else_calls_them(tmp_path):
    path = save(tmp_path / "model", in_an_inner_function)
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    (graph,) = saved.meta_graphs
    library = {function.signature.name: function for function in graph.graph_def.library.function}
    (reader,) = (name for name, function in library.items() if any(node.op == "ReadFile" for node in function.node_def))
    calls = [node for function in library.values() for node in function.node_def if node.attr["f"].func.name == reader]
    assert calls
    (restoring,) = (node for node in graph.graph_def.node if node.name == graph.saver_def.restore_op_name)
    for node in calls:
        node.attr["f"].func.name = restoring.attr["f"].func.name
    (path / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(InputError, match="do more than compute .RestoreV2"):
        check_operations(path)


def test_what_restores_the_weights_may_do_nothing_else(tmp_path):
    path = save(tmp_path / "model", lambda x: {"y": tf.strings.upper(x)})
    check_operations(path)
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0]
    (restoring,) = (node for node in graph.graph_def.node if node.name == graph.saver_def.restore_op_name)
    library = {function.signature.name: function for function in graph.graph_def.library.function}
    # Python's loader does not run it, but that of C++ and of TensorFlow Serving does.
    harmful = library[restoring.attr["f"].func.name].node_def.add(name="harm", op="WriteFile")
    harmful.input.extend(["file_prefix", "file_prefix"])
    (path / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(InputError, match="do more than compute .WriteFile"):
        check_operations(path)


@pytest.mark.parametrize(
    "operation", ["DumpTensor", "CalibrationStatisticsSaver", "XlaCustomCallV2", "RemoteCall", "Unstage", "StringEvils"]
)
def test_operations_with_effects_and_those_that_this_tensorflow_does_not_know_are_refused(tmp_path, operation):
    path = save(tmp_path / "model", lambda x: {"y": tf.strings.upper(x)})
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    nodes = [node for function in saved.meta_graphs[0].graph_def.library.function for node in function.node_def]
    for node in nodes:
        node.op = operation if node.op == "StringUpper" else node.op
    (path / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(InputError, match=f"do more than compute .{operation}"):
        check_operations(path)


@pytest.mark.parametrize(
    "name", ["saved_model.pbtxt", "saved_model.cpb", "assets/code.py", "variables/evil.pkl", "keras_metadata.pb"]
)
def test_files_that_no_export_writes_are_refused_though_a_card_tells_of_them(artifacts, tmp_path, monkeypatch, name):
    path = shutil.copytree(artifacts["dcgan"], tmp_path / "copy")
    (path / name).parent.mkdir(exist_ok=True)
    (path / name).write_bytes(pickle.dumps(print))
    seal(path, read_card(path))
    monkeypatch.setattr(tf.saved_model, "load", None)
    with pytest.raises(InputError, match=f"{name}: no file that an export writes; do not trust it"):
        verify(path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "vocabulary.txt"])
def test_files_that_a_graph_names_are_refused(tmp_path, name):
    path = save(tmp_path / "model", lambda x: {"y": tf.strings.upper(x)})
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    saved.meta_graphs[0].asset_file_def.add(filename=name).tensor_info.name = "Const:0"
    (path / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(InputError, match=f"names '{name}', which no export does"):
        check_operations(path)


def test_tables_that_are_filled_by_code_when_they_are_loaded_are_refused(tmp_path):
    module = tf.Module()
    entries = tf.lookup.KeyValueTensorInitializer(["a"], [1])
    module.table = tf.lookup.StaticHashTable(entries, 0)
    module.look_up = tf.function(module.table.lookup, input_signature=[tf.TensorSpec((None,), tf.string)])
    tf.saved_model.save(module, str(tmp_path))
    with pytest.raises(InputError, match="holds a resource, which no export writes"):
        check_operations(tmp_path)


def test_plain_computing_is_let_through(tmp_path):
    path = save(tmp_path / "model", lambda x: {"y": tf.strings.upper(x)})
    assert load(path).signatures["sample"](x=tf.constant("a"))["y"].numpy() == b"A"
