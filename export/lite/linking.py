"""Puts the graph of another signature where a graph of a TF-Lite model calls it."""

from collections.abc import Iterable

import numpy as np

from tfgen.errors import InputError
from tfgen.export.lite.models import Writer, keep_codes, unpacked

#: An operation of this name, and that of a signature behind it, calls the signature: its inputs and outputs sorted by name.
PLACEHOLDER = "tfgen_"


def calls(data: bytes) -> set[str]:
    """Returns the names of the signatures that a model calls which is not linked yet."""
    return set(_called(unpacked(data)).values())


def _called(model) -> dict[int, str]:
    """Returns the names of the called signatures by the places of the operations' codes."""
    codes = {at: (code.customCode or b"").decode() for at, code in enumerate(model.operatorCodes)}
    return {at: code.removeprefix(PLACEHOLDER) for at, code in codes.items() if code.startswith(PLACEHOLDER)}


def link(model) -> None:
    """Replaces, in place, calls by conditions that always hold, with the called graph for both branches.

    The signature that is called gets such a condition, too: what is done to its inputs and outputs is its own then, of
    whatever number of examples another one calls the graph.

    Arguments:
        model: a `ModelT`.

    Raises:
        InputError: a signature that is called is not there.
    """
    names, signatures = _called(model), {one.signatureKey.decode(): one for one in model.signatureDefs}
    if not names:
        return
    if lacking := set(names.values()) - signatures.keys():
        raise InputError(f"{', '.join(sorted(lacking))}: called by another signature, but not in the file")
    linker = _Linker(model)
    bodies = {name: signatures[name].subgraphIndex for name in sorted(set(names.values()))}
    for graph in model.subgraphs:
        for operator in [one for one in graph.operators if one.opcodeIndex in names]:
            name = names[operator.opcodeIndex]
            body = model.subgraphs[bodies[name]]
            inputs = _arranged(operator.inputs, signatures[name].inputs, body.inputs)
            outputs = _arranged(operator.outputs, signatures[name].outputs, body.outputs)
            graph.operators[graph.operators.index(operator)] = linker.call(graph, bodies[name], inputs, outputs)
    for name, body in bodies.items():
        linker.put_before(signatures[name], body)
    keep_codes(model, set(range(len(model.operatorCodes))) - names.keys())


class _Linker:
    """Adds to a model what calls need.

    Arguments:
        model: a `ModelT`, changed in place.
    """

    def __init__(self, model):
        from tensorflow.lite.python import schema_py_generated as schema

        self._model, self._schema, self._writer = model, schema, Writer(model)
        self._true, self._zero = map(self._writer.buffer, (np.array([1], np.uint8), np.array([0], np.int32)))

    def call(self, graph, body: int, inputs: Iterable[int], outputs: Iterable[int]):
        """Returns an operation of a graph that computes another one."""
        options = self._schema.IfOptionsT()
        options.thenSubgraphIndex = options.elseSubgraphIndex = body
        condition = self._writer.tensor(graph, (), self._schema.TensorType.BOOL, self._true)
        return self._writer.operator("IF", [condition, *inputs], outputs, options)

    def put_before(self, signature, body: int) -> None:
        """Gives a signature a graph that calls what was its graph, which has outputs of free sizes from now on."""
        graph, inner = self._schema.SubGraphT(), self._model.subgraphs[body]
        graph.tensors, graph.operators, graph.name = [], [], None
        moved = {}
        for tensor in dict.fromkeys([*inner.inputs, *inner.outputs]):
            moved[tensor] = self._writer.like(graph, inner.tensors[tensor])
        graph.inputs, graph.outputs = (
            np.array([moved[one] for one in ones], np.int32) for ones in (inner.inputs, inner.outputs)
        )
        graph.operators.append(self.call(graph, body, graph.inputs, graph.outputs))
        for one in (*signature.inputs, *signature.outputs):
            one.tensorIndex = moved[one.tensorIndex]
        signature.subgraphIndex = len(self._model.subgraphs)
        self._model.subgraphs.append(graph)
        inner.outputs = np.array([self._freed(inner, one) for one in inner.outputs], np.int32)

    def _freed(self, graph, tensor: int) -> int:
        """Returns a tensor of the same values whose size LiteRT does not know before it has computed them.

        It tells a branch the sizes of its inputs at each call only if it can not know those of its outputs. Else a call that
        follows one from elsewhere, with another number of examples, computes on memory of the wrong size.
        """
        schema, writer, old = self._schema, self._writer, graph.tensors[tensor]
        told, summed = (writer.tensor(graph, [len(old.shape)], schema.TensorType.INT32) for _ in range(2))
        zero, freed = writer.tensor(graph, [1], schema.TensorType.INT32, self._zero), writer.like(graph, old)
        options = schema.ShapeOptionsT()
        options.outType = schema.TensorType.INT32
        graph.operators += [
            writer.operator("SHAPE", [tensor], [told], options),
            writer.operator("ADD", [told, zero], [summed], schema.AddOptionsT()),
            writer.operator("RESHAPE", [tensor, summed], [freed], schema.ReshapeOptionsT()),
        ]
        return freed


def _arranged(tensors: Iterable[int], signature, order: Iterable[int]) -> list[int]:
    """Returns tensors, given in the order of a signature's names, in that of its graph."""
    by_name = dict(zip(sorted(one.name for one in signature), tensors, strict=True))
    names = {one.tensorIndex: one.name for one in signature}
    return [by_name[names[at]] for at in order]
