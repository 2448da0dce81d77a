"""Rewrites a SavedModel into operations that TF-Lite has built in."""

import math
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import function_def_to_graph


def _cross_entropy(logits, labels):
    chosen = tf.one_hot(labels, tf.shape(logits)[-1], on_value=True, off_value=False, dtype=tf.bool)
    # Not a product: an impossible class, whose logarithm is infinite, would make the others no number.
    return -tf.reduce_sum(tf.where(chosen, tf.nn.log_softmax(logits), 0.0), -1)


def _diagonal(matrix, k, padding):
    return tf.reduce_sum(matrix * tf.eye(tf.shape(matrix)[-2], tf.shape(matrix)[-1]), -1)


def _select(condition, one, other):
    return tf.cast(tf.where(condition, tf.cast(one, tf.int32), tf.cast(other, tf.int32)), one.dtype)


# Giles 2012, "Approximating the erfinv function", table 5: single precision, highest power first.
_CENTRAL = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
    0.246640727, 1.50140941,
)  # fmt: skip
_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
    1.00167406, 2.83297682,
)  # fmt: skip


def _normal_quantile(p):
    # To 1e-5 for probabilities from 1e-7 to 1 - 1e-7.
    x = 2.0 * p - 1.0
    w = -tf.math.log(4.0 * p * (1.0 - p))
    central, tail = tf.minimum(w, 5.0) - 2.5, tf.sqrt(tf.maximum(w, 5.0)) - 3.0
    inner = tf.where(w < 5.0, tf.math.polyval(list(_CENTRAL), central), tf.math.polyval(list(_TAIL), tail))
    return math.sqrt(2.0) * inner * x


def _softplus(x):
    # The converter's log(1 + exp(x)) is infinite beyond 88, and 8 bits can not hold the range of its exponentials.
    return tf.nn.relu(x) - tf.math.log(tf.sigmoid(tf.abs(x)))


def _written(buffer, indices, updates):
    from tensorflow.compiler.tf2xla.python import xla

    # In place, where the converter's own takes nine operations on the whole buffer.
    return xla.dynamic_update_slice(buffer, updates, tf.pad(tf.reshape(indices, (1,)), [[0, tf.rank(buffer) - 1]]))


class _Same(NamedTuple):
    """What gives an operation's first output from its inputs.

    Arguments:
        compute: tensors -> tensor.
        inputs: dtype of each input, or the attribute of the operation that holds it.
        output: name of the operation's first output.
        is_meant: tells from the node, and from a function of a tensor's name to its shape, whether it does.
    """

    compute: Callable
    inputs: tuple[str | tf.DType, ...]
    output: str
    is_meant: Callable = lambda node, shape_of: True


_SAME = {
    "Acos": _Same(lambda x: tf.atan2(tf.sqrt((1.0 - x) * (1.0 + x)), x), ("T",), "y"),
    "MatrixDiagPartV3": _Same(_diagonal, ("T", tf.int32, "T"), "diagonal"),
    "Ndtri": _Same(_normal_quantile, ("T",), "y"),
    "SelectV2": _Same(
        _select, (tf.bool, "T", "T"), "output", lambda node, _: node.attr["T"].type == tf.uint8.as_datatype_enum
    ),
    "Softplus": _Same(_softplus, ("T",), "activations"),
    "SparseSoftmaxCrossEntropyWithLogits": _Same(_cross_entropy, ("T", "Tlabels"), "loss"),
    "TensorScatterUpdate": _Same(
        _written, ("T", "Tindices", "T"), "output", lambda node, shape_of: shape_of(node.input[1]) == [1, 1]
    ),
}

#: Checks, which have passed in Python, and hand their input on.
_CHECKS = ("CheckNumerics", "EnsureShape")


def make_portable(folder: pathlib.Path) -> None:
    """Replaces, in place, operations that TF-Lite lacks, or has in a worse form, by others that give the same.

    Arguments:
        folder: of a SavedModel.
    """
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString(path.read_bytes())
    library = saved.meta_graphs[0].graph_def.library
    _tell_shapes(saved.meta_graphs[0].graph_def)
    added: dict[str, function_pb2.FunctionDef] = {}
    for function in library.function:
        _hand_on(function.node_def)
        _settle(function.node_def)
        renamed = _name_elus(function.node_def)
        calls, others = _call_same(function.node_def)
        added, renamed = added | calls, renamed | others
        for node in function.node_def:
            node.input[:] = [renamed.get(name, name) for name in node.input]
        for result, name in function.ret.items():
            function.ret[result] = renamed.get(name, name)
    library.function.extend(added.values())
    path.write_bytes(saved.SerializeToString())


def _hand_on(nodes) -> None:
    """Makes checks of one function's nodes operations that check nothing."""
    for node in [node for node in nodes if node.op in _CHECKS]:
        dtype, shape = node.attr["T"].type, node.attr["shape"].shape
        sizes = [size.size for size in shape.dim]
        known = node.op == "EnsureShape" and not shape.unknown_rank and is_enough(sizes)
        node.attr.clear()
        node.attr["T"].type = dtype
        node.op = "Reshape" if known else "Identity"
        if known:
            # What the check said of the shape is needed: convolutions have to know the number of channels.
            node.input.insert(1, _add_shape(nodes, node, sizes))


def _tell_shapes(graph) -> None:
    """Adds the shapes in loops' bodies to these where they do not tell them, as where weights were made constants."""
    functions = {one.signature.name: one for one in graph.library.function}
    loops = [node for one in functions.values() for node in one.node_def if node.op in ("While", "StatelessWhile")]
    untold = {node.attr["body"].func.name: node for node in loops}
    untold = {name: node for name, node in untold.items() if not any(map(_shapes, functions[name].node_def))}
    if not untold:
        return
    with tf.Graph().as_default():
        known = graph_pb2.GraphDef(library=graph.library, versions=graph.versions)
        tf.graph_util.import_graph_def(known, name="")
        for name, node in untold.items():
            body = function_def_to_graph.function_def_to_graph(
                functions[name], input_shapes=list(node.attr["output_shapes"].list.shape)
            )
            for one in functions[name].node_def:
                outputs = body.get_operation_by_name(one.name).outputs
                one.attr["_output_shapes"].list.shape.extend(output.shape.as_proto() for output in outputs)


def _settle(nodes) -> None:
    """Gives reshapings the shapes that TensorFlow has found for them, in place of what works these out from numbers.

    That is a dozen operations for a product over the last axis; and the converter, which does not follow them, refuses a
    convolution of what Keras has upsampled, since it does not know the number of its channels.
    """
    constants = {f"{node.name}:output:0" for node in nodes if node.op == "Const"}
    for node in [node for node in nodes if node.op == "Reshape" and node.input[1] not in constants]:
        for shape in _shapes(node):
            sizes = [size.size for size in shape.dim]
            if not shape.unknown_rank and is_enough(sizes):
                node.input[1] = _add_shape(nodes, node, sizes)


def _shapes(node) -> list:
    """Returns the shapes that TensorFlow has found for a node's outputs, if it has told them."""
    return list(node.attr["_output_shapes"].list.shape) if "_output_shapes" in node.attr else []  # else asking adds it


def is_enough(sizes: Sequence[int]) -> bool:
    """Returns whether what is not known of a shape, -1, follows from the rest; it does not where there are no numbers."""
    return sizes.count(-1) == 0 or (sizes.count(-1) == 1 and 0 not in sizes)


def _add_shape(nodes, node, sizes: list[int]) -> str:
    """Adds a shape for a reshaping to a function's nodes; returns the name of its output."""
    node.attr["Tshape"].type = tf.int32.as_datatype_enum
    constant = node_def_pb2.NodeDef(name=f"{node.name}_as", op="Const")
    constant.attr["dtype"].type = tf.int32.as_datatype_enum
    constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(sizes, tf.int32, [len(sizes)]))
    nodes.append(constant)
    return f"{constant.name}:output:0"


def _name_elus(nodes) -> dict[str, str]:
    """Has one function's nodes compute ELU as such; returns the new names of their outputs.

    XLA wants both signs of it by one exponential, e = exp(-|x|) - 1: x or e for x, and e or -x for -x. That is nine operations
    for TF-Lite, which has one.
    """
    makers, renamed = {node.name: node for node in nodes}, {}

    def made_by(tensor: str, *operations: str):
        """Returns the last of nodes that made a tensor, each from its first input by the operation that is told."""
        node = None
        for operation in operations:
            node = makers.get((node.input[0] if node else tensor).partition(":")[0])
            if node is None or node.op != operation:
                return None
        return node

    def is_number(tensor: str, number: float) -> bool:
        constant = made_by(tensor, "Const")
        return constant is not None and np.array_equal(tf.make_ndarray(constant.attr["value"].tensor), number)

    def is_below(tensor: str, x: str) -> bool:
        made = made_by(tensor, "Sub", "Exp", "Neg", "Abs")
        return made is not None and made.input[0] == x and is_number(made_by(tensor, "Sub").input[1], 1.0)

    for node in [node for node in nodes if node.op == "SelectV2"]:
        condition, above, otherwise = node.input
        greater, negative = made_by(condition, "Greater"), made_by(otherwise, "Neg")
        if greater is None or not is_number(greater.input[1], 0.0):
            continue
        x = greater.input[0]
        if above == x and is_below(otherwise, x):
            source = x
        elif negative is not None and negative.input[0] == x and is_below(above, x):
            source = otherwise
        else:
            continue
        node.op, node.input[:] = "Elu", [source]  # of the same type and shape
        renamed[f"{node.name}:output:0"] = f"{node.name}:activations:0"
    return renamed


def _call_same(nodes) -> tuple[dict[str, function_pb2.FunctionDef], dict[str, str]]:
    """Has nodes of one function call others; returns these by name, and the new names of the nodes' outputs."""
    added, renamed = {}, {}
    makers = {node.name: node for node in nodes}

    def shape_of(tensor: str) -> list[int] | None:
        name, _, at = tensor.partition(":")
        shapes = _shapes(makers[name]) if name in makers else []
        if at.endswith(":0") and len(shapes) == 1 and not shapes[0].unknown_rank:
            return [size.size for size in shapes[0].dim]
        return None

    for node in nodes:
        same = _SAME.get(node.op)
        if same is None or not same.is_meant(node, shape_of):
            continue
        dtypes = [tf.as_dtype(node.attr[one].type if isinstance(one, str) else one) for one in same.inputs]
        definition = tf.function(same.compute).get_concrete_function(
            *(tf.TensorSpec(None, dtype) for dtype in dtypes)
        ).function_def  # fmt: skip
        added[definition.signature.name] = definition
        renamed[f"{node.name}:{same.output}:0"] = f"{node.name}:output:0"
        node.op = "PartitionedCall"
        node.attr.clear()
        node.attr["f"].func.name = definition.signature.name
        node.attr["Tin"].list.type.extend(dtype.as_datatype_enum for dtype in dtypes)
        node.attr["Tout"].list.type.append(definition.signature.output_arg[0].type)
    return added, renamed
