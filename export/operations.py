"""What a SavedModel's graphs may do: compute. TensorFlow has operations that read and write files, too."""

import pathlib
import re
from collections.abc import Iterable, Mapping, Set

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

from tfgen.errors import InputError
from tfgen.export.files import walk

# Operations that call Python or foreign code, touch files or reach other machines and devices.
_FORBIDDEN = re.compile(
    "Py|File|Save|Restore|Checkpoint|Reader|Dataset|Iterator|Summary|^Print|Rpc|BigQuery|Bigtable|^Debug|^Dump"
    "|ImmutableConst|RemapMatrix|Collective|Send|Recv|Xla|Mlir|TPU|Proto|Remote|Custom"
)

# Those of all operations with effects that compute. New ones of TensorFlow are not known to, until they stand here.
_COMPUTING = {
    "Assert", "Case", "CheckNumerics", "CheckNumericsV2", "Empty", "If", "ReadVariableOp", "ResourceGather",
    "ResourceGatherNd", "StatefulPartitionedCall", "StatelessRandomGetAlg", "VarHandleOp", "VarIsInitializedOp",
    "VariableShape", "While",
}  # fmt: skip

# What TensorFlow's own functions that save and restore the weights do besides.
_SAVING = {
    "AssignVariableOp", "DisableCopyOnRead", "MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename",
}  # fmt: skip

# What an exporter stores beside functions; tables and assets of others are filled by code when they are loaded.
_OBJECTS = {"variable", "user_object", "function", "bare_concrete_function", "constant", "captured_tensor"}

# What an export writes into a SavedModel's folder. Beside others of these names there can be graphs that one runtime
# loads and another does not.
_FILES = re.compile(
    r"saved_model\.pb|fingerprint\.pb|variables/variables\.(index|data-\d{5}-of-\d{5})|reference\.npz|card\.json(\.sha256)?"
    r"|assets\.extra/tf_serving_warmup_requests"
)


def check_operations(path) -> None:
    """Raises InputError if a SavedModel could do more than compute when it is loaded or called, by whatever runtime.

    The functions that save and restore the weights may do that too, unless something else calls them.

    Arguments:
        path: of the SavedModel's folder.
    """
    file = pathlib.Path(path) / "saved_model.pb"
    try:
        (graph,) = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
    except (DecodeError, ValueError) as error:
        raise InputError(f"{file}: damaged, can not be loaded; export anew") from error
    except OSError as error:
        raise InputError(f"{path}: no saved_model.pb in it; export anew") from error
    for name in walk(pathlib.Path(path)):
        if not _FILES.fullmatch(name):
            raise InputError(f"{pathlib.Path(path, name)}: no file that an export writes; do not trust it")
    for node in graph.object_graph_def.nodes:
        if node.WhichOneof("kind") not in _OBJECTS:
            raise InputError(f"{file}: holds a {node.WhichOneof('kind')}, which no export writes; do not trust it")
    if graph.asset_file_def:
        raise InputError(f"{file}: names {graph.asset_file_def[0].filename!r}, which no export does; do not trust it")
    library = {function.signature.name: function.node_def for function in graph.graph_def.library.function}
    saver = {graph.saver_def.save_tensor_name.split(":")[0], graph.saver_def.restore_op_name}
    roots = [node for node in graph.graph_def.node if node.name not in saver]
    roots += [node for name in graph.object_graph_def.concrete_functions for node in library.get(name, ())]
    _check(file, roots, library, frozenset())
    _check(file, [node for node in graph.graph_def.node if node.name in saver], library, _SAVING)


def _check(file: pathlib.Path, roots: list, library: Mapping, allowed: Set[str]) -> None:
    """Raises InputError if nodes, or those of functions that they call, could do more than compute and what is allowed."""
    pending, seen = [roots], set()
    while pending:
        for node in pending.pop():
            if node.op not in library and node.op not in allowed and not _computes(node.op):
                raise InputError(f"{file}: its graphs can do more than compute ({node.op}); do not trust it")
            called = set(_called(node)) - seen
            seen |= called
            pending += [library.get(name, ()) for name in called]


def _computes(operation: str) -> bool:
    known = op_def_registry.get(operation)
    stateful = known is None or known.is_stateful
    return not _FORBIDDEN.search(operation) and (not stateful or operation in _COMPUTING)


def _called(node) -> Iterable[str]:
    """Returns the names of the functions that a node of a graph calls."""
    if node.op not in ("PartitionedCall", "StatefulPartitionedCall"):
        yield node.op  # as graphs of older versions do
    for value in node.attr.values():
        yield from (function.name for function in [value.func, *value.list.func] if function.name)
