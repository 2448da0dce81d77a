"""What a SavedModel's graphs may do: compute. TensorFlow has operations that read and write files, too."""

import pathlib
import re
from collections.abc import Iterable

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from tfgen.errors import InputError

# Operations that call Python, touch files or reach other machines.
_FORBIDDEN = re.compile(
    "PyFunc|File|^Save|^Restore|Checkpoint|Reader|Dataset|Iterator|Summary|^Print|Rpc|BigQuery|Bigtable|^Debug"
    "|ImmutableConst|RemapMatrix|Collective|^_?(Host)?(Send|Recv)$"
)

# What an exporter stores beside functions; tables and assets of others are filled by code when they are loaded.
_OBJECTS = {"variable", "user_object", "function", "bare_concrete_function", "constant", "captured_tensor"}


def check_operations(path) -> None:
    """Raises InputError if a SavedModel could do more than compute when it is loaded or called.

    The functions that save and restore the weights are TensorFlow's own and are left out, unless something else calls them.

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
    for node in graph.object_graph_def.nodes:
        if node.WhichOneof("kind") not in _OBJECTS:
            raise InputError(f"{file}: holds a {node.WhichOneof('kind')}, which no export writes; do not trust it")
    library = {function.signature.name: function.node_def for function in graph.graph_def.library.function}
    saver = {graph.saver_def.save_tensor_name.split(":")[0], graph.saver_def.restore_op_name}
    pending = [[node for node in graph.graph_def.node if node.name not in saver]]
    pending += [library.get(name, ()) for name in graph.object_graph_def.concrete_functions]
    seen = set()
    while pending:
        for node in pending.pop():
            if _FORBIDDEN.search(node.op):
                raise InputError(f"{file}: its graphs can do more than compute ({node.op}); do not trust it")
            called = set(_called(node)) - seen
            seen |= called
            pending += [library.get(name, ()) for name in called]


def _called(node) -> Iterable[str]:
    """Returns the names of the functions that a node of a graph calls."""
    if node.op not in ("PartitionedCall", "StatefulPartitionedCall"):
        yield node.op  # as graphs of older versions do
    for value in node.attr.values():
        yield from (function.name for function in [value.func, *value.list.func] if function.name)
