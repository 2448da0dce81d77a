"""Puts weights into the branches of a SavedModel that multiply by them, so that they are quantised there.

The converter keeps in 8 bits what it finds as a constant beside its product. It looks for constants in loops, but a branch
of a condition gets its weights as operands, and these stay float32.
"""

import collections
import copy
import pathlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import function_pb2, node_def_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph_def

from tfgen.export.lite.noise import called

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_BRANCHES = ("If", "StatelessIf")
_LOOPS = ("While", "StatelessWhile")

# Attributes that speak of the inputs of a node by their places, and of all arguments of a function.
_PLACES, _SHAPES = "_read_only_resource_inputs", "_input_shapes"


class _Weight(NamedTuple):
    """The value of an argument: an array, or that of a variable which is passed by reference."""

    value: np.ndarray
    is_variable: bool = False


class _Known(NamedTuple):
    """What is said of a tensor whose value follows from weights and constants.

    Attributes:
        node: that computes it; None for an argument.
        size: how many weights it follows from.
    """

    node: node_def_pb2.NodeDef | None
    size: int


def sink_constants(folder: pathlib.Path) -> None:
    """Replaces, in place, what branches are given by constants, where that follows from weights alone.

    Arguments:
        folder: of a SavedModel that `save_graphs` wrote.
    """
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString(path.read_bytes())
    graph, objects = saved.meta_graphs[0].graph_def, saved.meta_graphs[0].object_graph_def
    library = _Library(graph)
    values = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    root = {child.local_name: child.node_id for child in objects.nodes[0].children}
    keys = {
        child.node_id: f"variables_of_endpoints/{child.local_name}/.ATTRIBUTES/VARIABLE_VALUE"
        for child in objects.nodes[root["variables_of_endpoints"]].children
    }
    for name, concrete in objects.concrete_functions.items():
        function = library.functions[name]
        if not concrete.bound_inputs or not keys.keys() >= set(concrete.bound_inputs):
            continue
        bound = function.signature.input_arg[-len(concrete.bound_inputs) :]
        weights = {
            arg.name: _Weight(values.get_tensor(keys[id]), is_variable=True)
            for arg, id in zip(bound, concrete.bound_inputs, strict=True)
        }
        library.sink(function, weights)
    path.write_bytes(saved.SerializeToString())


class _Library:
    """The functions of a graph.

    Arguments:
        graph: is changed in place.
    """

    def __init__(self, graph):
        self.functions = {function.signature.name: function for function in graph.library.function}
        nodes = [*graph.node, *(node for function in self.functions.values() for node in function.node_def)]
        self._uses = collections.Counter(name for node in nodes for name in called(node))

    def sink(self, function: function_pb2.FunctionDef, weights: Mapping[str, _Weight]) -> None:
        """Puts weights into the branches of a function, and of all that it calls.

        Arguments:
            function: is changed in place.
            weights: by the name of an argument.
        """
        known = _known(function, weights)
        for node in list(function.node_def):
            inner = [self.functions[name] for name in called(node) if name in self.functions]
            given = {at: name for at, name in enumerate(node.input) if name in known}
            if not given or any(self._uses[one.signature.name] > 1 for one in inner):
                continue
            if node.op in _CALLS:
                [callee] = inner
                args = [arg.name for arg in callee.signature.input_arg]
                values = _values(function, weights, known, given.values())
                self.sink(callee, {args[at]: values[name] for at, name in given.items()})
            elif node.op in _LOOPS:
                body = self.functions[node.attr["body"].func.name]
                args = [arg.name for arg in body.signature.input_arg]
                given = {at: name for at, name in given.items() if at in _invariant(body)}
                values = _values(function, weights, known, given.values())
                self.sink(body, {args[at]: values[name] for at, name in given.items()})
            elif node.op in _BRANCHES:
                sunk = {at: name for at, name in given.items() if at > 0 and known[name].size}  # 0 is the condition
                values = _values(function, weights, known, sunk.values())
                # What is larger than the weights that it follows from, which it repeats, would make the file larger.
                sunk = {
                    at - 1: values[name].value
                    for at, name in sunk.items()
                    if not values[name].is_variable and values[name].value.size <= known[name].size
                }
                for branch in inner:
                    _take_in(branch, sunk)
                _leave_out(node, sunk)
                for branch in inner:
                    self.sink(branch, {})


def _known(function, weights: Mapping[str, _Weight]) -> dict[str, _Known]:
    """Returns tensors of a function whose values follow from weights and constants, by name."""
    found = {name: _Known(None, one.value.size) for name, one in weights.items()}
    for node in _in_order(function):
        inputs = [name for name in node.input if not name.startswith("^")]
        if not all(name in found for name in inputs):
            continue
        if node.op == "Const":
            dtype, tensor = tf.as_dtype(node.attr["dtype"].type), node.attr["value"].tensor
            size = int(np.prod([one.size for one in tensor.tensor_shape.dim], dtype=np.int64))
            found[f"{node.name}:output:0"] = _Known(node, size if dtype.is_floating and size > 1 else 0)
        elif node.op == "ReadVariableOp":
            found[f"{node.name}:value:0"] = _Known(node, found[inputs[0]].size)
        elif not any(name in weights and weights[name].is_variable for name in inputs) and _is_pure(node):
            size = sum(found[name].size for name in set(inputs))
            found |= {name: _Known(node, size) for name in _outputs(node)}
    return found


def _in_order(function) -> Iterable[node_def_pb2.NodeDef]:
    """Yields a function's nodes, each behind those whose outputs it takes."""
    nodes, done = {node.name: node for node in function.node_def}, set()
    for start in nodes:
        waiting = [start]
        while waiting:
            name = waiting[-1]
            before = {one.lstrip("^").partition(":")[0] for one in nodes[name].input} & nodes.keys() - done
            if name in done:
                waiting.pop()
            elif before:
                waiting += before
            else:
                done.add(name)
                yield nodes[waiting.pop()]


def _is_pure(node) -> bool:
    definition = op_def_registry.get(node.op)
    dtypes = {arg.type for arg in (*definition.input_arg, *definition.output_arg)} if definition else set()
    foreign = {tf.variant.as_datatype_enum, tf.resource.as_datatype_enum}
    return bool(definition and node.input and not definition.is_stateful and not called(node) and not dtypes & foreign)


def _outputs(node) -> list[str]:
    """Returns the names of what a node gives."""
    names = []
    for arg in op_def_registry.get(node.op).output_arg:
        count = node.attr[arg.number_attr].i if arg.number_attr else 1
        if arg.type_list_attr:
            count = len(node.attr[arg.type_list_attr].list.type)
        names += [f"{node.name}:{arg.name}:{at}" for at in range(count)]
    return names


def _values(function, weights, known: Mapping[str, _Known], names: Iterable[str]) -> dict[str, _Weight]:
    """Returns the values of known tensors."""
    names = list(dict.fromkeys(names))
    found = {name: weights[name] for name in names if name in weights}
    computed = [name for name in names if name not in weights]
    if not computed:
        return found
    part, feeds, renamed = function_pb2.FunctionDef(), {}, {}
    part.signature.name = "part"
    waiting, nodes = list(computed), {}
    while waiting:
        name = waiting.pop()
        node = known[name].node
        reads = node is None or node.op == "ReadVariableOp"
        if reads and name not in renamed:
            argument = name if node is None else node.name
            value = weights[name if node is None else node.input[0]].value
            part.signature.input_arg.add(name=argument, type=tf.as_dtype(value.dtype).as_datatype_enum)
            feeds[f"{argument}:0"], renamed[name] = value, argument
        elif not reads and node.name not in nodes:
            nodes[node.name] = node
            waiting += [one for one in node.input if not one.startswith("^")]
    for node in nodes.values():
        own = part.node_def.add()
        own.CopyFrom(node)
        own.input[:] = [renamed.get(one, one) for one in node.input if not one.startswith("^")]
        own.attr.pop("_output_shapes", None)
    definition, flat = function_def_to_graph_def(part)
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
    fetched = {name: f"{renamed[name]}:0" if name in renamed else flat[name] for name in computed}
    with tf.compat.v1.Session(graph=graph) as session:
        values = session.run(fetched, feeds)
    return found | {name: _Weight(np.asarray(value)) for name, value in values.items()}


def _add_constant(function, near: str, value: np.ndarray) -> str:
    """Adds a constant to a function, named like a tensor of it; returns the name of its output."""
    name = f"{near.replace(':', '_')}_constant"
    node = function.node_def.add(name=name, op="Const")
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    return f"{name}:output:0"


def _invariant(body) -> set[int]:
    """Returns the places of a loop's variables that its body hands on as they are."""
    nodes = {f"{node.name}:output:0": node for node in body.node_def if node.op == "Identity"}
    places = set()
    for at, (arg, result) in enumerate(zip(body.signature.input_arg, body.signature.output_arg, strict=True)):
        name = body.ret[result.name]
        while name in nodes:
            name = nodes[name].input[0]
        if name == arg.name:
            places.add(at)
    return places


def _take_in(branch, values: Mapping[int, np.ndarray]) -> None:
    """Puts constants into a branch in place of its arguments."""
    args = list(branch.signature.input_arg)
    constants = {args[at].name: _add_constant(branch, args[at].name, value) for at, value in values.items()}
    for node in branch.node_def:
        node.input[:] = [constants.get(name, name) for name in node.input]
    for result, name in branch.ret.items():
        branch.ret[result] = constants.get(name, name)
    kept = [at for at in range(len(args)) if at not in values]
    del branch.signature.input_arg[:]
    branch.signature.input_arg.extend(args[at] for at in kept)
    if _SHAPES in branch.attr:
        shapes = list(branch.attr[_SHAPES].list.shape)
        del branch.attr[_SHAPES].list.shape[:]
        branch.attr[_SHAPES].list.shape.extend(shapes[at] for at in kept)
    told = {new: copy.deepcopy(branch.arg_attr[old]) for new, old in enumerate(kept) if old in branch.arg_attr}
    branch.arg_attr.clear()
    for at, one in told.items():
        branch.arg_attr[at].CopyFrom(one)
    ids = {
        new: branch.resource_arg_unique_id[old] for new, old in enumerate(kept) if old in branch.resource_arg_unique_id
    }
    branch.resource_arg_unique_id.clear()
    branch.resource_arg_unique_id.update(ids)


def _leave_out(node, values: Mapping[int, np.ndarray]) -> None:
    """Takes operands of a condition away, by their places behind the condition itself."""
    condition, *rest = node.input
    control = [name for name in rest if name.startswith("^")]
    operands = rest[: len(rest) - len(control)]
    kept = [at for at in range(len(operands)) if at not in values]
    node.input[:] = [condition, *(operands[at] for at in kept), *control]
    types = list(node.attr["Tin"].list.type)
    node.attr["Tin"].list.type[:] = [types[at] for at in kept]
    if _PLACES in node.attr:
        moved = {old + 1: new + 1 for new, old in enumerate(kept)}
        node.attr[_PLACES].list.i[:] = [moved[at] for at in node.attr[_PLACES].list.i]
