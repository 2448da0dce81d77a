"""Carries 8 bits through the loops and branches of a quantised TF-Lite model.

The quantiser leaves what goes into other graphs and comes out of them in float32: 8 bits are made float32 before a loop, and 8
bits again at each of its steps. What a graph makes 8 bits of before anything else is given to it so.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from tfgen.export.lite.models import Writer, scale_of


def carry(model) -> bool:
    """Has loops and branches take and give 8 bits where they make such of what they take anyway.

    Arguments:
        model: a `ModelT` with one signature, changed in place: no graph is called from two places.

    Returns:
        Whether anything was changed.
    """
    return _Carrier(model).carry()


class _Carrier:
    """Changes the graphs of a model.

    Arguments:
        model: a `ModelT`.
    """

    def __init__(self, model):
        from tensorflow.lite.python import schema_py_generated as schema

        self._model, self._schema, self._writer = model, schema, Writer(model)

    def carry(self) -> bool:
        self._changed = False
        for graph in self._model.subgraphs:
            for operator in list(graph.operators):
                options = operator.builtinOptions
                if hasattr(options, "bodySubgraphIndex"):
                    body, condition = (
                        self._model.subgraphs[at] for at in (options.bodySubgraphIndex, options.condSubgraphIndex)
                    )
                    for place in range(len(operator.inputs)):
                        self._through_loop(graph, operator, body, condition, place)
                elif hasattr(options, "thenSubgraphIndex"):
                    branches = [
                        self._model.subgraphs[at] for at in (options.thenSubgraphIndex, options.elseSubgraphIndex)
                    ]
                    for place in range(len(branches[0].inputs)):
                        self._into_branches(graph, operator, branches, place)
                    for place in range(len(branches[0].outputs)):
                        self._out_of_branches(graph, operator, branches, place)
        return self._changed

    def _through_loop(self, graph, loop, body, condition, place: int) -> None:
        """Has a loop's variable be the 8 bits that each step makes of it before anything else."""
        given, result = body.inputs[place], body.outputs[place]
        readers = self._readers(body, given)
        like = self._quantised(body, readers)
        others = [one for at, one in enumerate(body.outputs) if at != place]
        if like is None or given in others or self._readers(condition, condition.inputs[place]):
            return
        if result != given and self._source(body, result) is None:
            return
        for reader in readers:
            self._replace(body, reader.outputs[0], given)
            body.operators.remove(reader)
        for one, tensor in ((body, given), (condition, condition.inputs[place])):
            _make(one.tensors[tensor], like)
        if result != given:
            body.outputs[place] = self._as(body, result, like, len(body.operators))
        at = graph.operators.index(loop)
        loop.inputs[place] = self._as(graph, loop.inputs[place], like, at)
        self._dequantise(graph, loop, place, like)

    def _into_branches(self, graph, condition, branches: Sequence, place: int) -> None:
        """Has branches be given the 8 bits of which their input is made, if they make 8 bits of it."""
        source = self._source(graph, condition.inputs[place + 1])
        if source is None:
            return
        for branch in branches:
            given = branch.inputs[place]
            readers = self._readers(branch, given)
            if given in branch.outputs or (readers and not all(self._kind(one) == "QUANTIZE" for one in readers)):
                return
        condition.inputs[place + 1] = source
        for branch in branches:
            given, like = branch.inputs[place], graph.tensors[source]
            _make(branch.tensors[given], like)
            for reader in self._readers(branch, given):
                if scale_of(branch.tensors[reader.outputs[0]]) == scale_of(like):
                    self._replace(branch, reader.outputs[0], given)
                    branch.operators.remove(reader)
        self._changed = True

    def _out_of_branches(self, graph, condition, branches: Sequence, place: int) -> None:
        """Has branches give the 8 bits of which their output is made, or that are made of it."""
        sources = [self._source(branch, branch.outputs[place]) for branch in branches]
        made = [branch.tensors[one] for branch, one in zip(branches, sources, strict=True) if one is not None]
        if not made:
            return
        like = self._quantised(graph, self._readers(graph, condition.outputs[place]))
        if None not in sources and len(set(map(scale_of, made))) == 1:
            like = made[0]
        if like is None:
            return
        for branch in branches:
            branch.outputs[place] = self._as(branch, branch.outputs[place], like, len(branch.operators))
        self._dequantise(graph, condition, place, like)

    def _kind(self, operator) -> str:
        return self._writer.kinds[operator.opcodeIndex]

    def _readers(self, graph, tensor: int) -> list:
        return [one for one in graph.operators if tensor in one.inputs]

    def _source(self, graph, tensor: int) -> int | None:
        """Returns the 8 bits of which a tensor is made, if it is made of such."""
        for one in graph.operators:
            if tensor in one.outputs:
                made = self._kind(one) == "DEQUANTIZE" and self._is_int8(graph, one.inputs[0])
                return one.inputs[0] if made else None
        return None

    def _is_int8(self, graph, tensor: int) -> bool:
        return graph.tensors[tensor].type == self._schema.TensorType.INT8

    def _quantised(self, graph, readers: Iterable):
        """Returns what all of a tensor's readers make of it, if they make the same 8 bits."""
        made = [graph.tensors[one.outputs[0]] for one in readers if self._kind(one) == "QUANTIZE"]
        if not made or len(made) < len(readers) or len({scale_of(one) for one in made}) > 1:
            return None
        return made[0] if made[0].type == self._schema.TensorType.INT8 else None

    def _as(self, graph, tensor: int, like, at: int) -> int:
        """Returns 8 bits of a tensor, of the scale of another, which are made before the operator at a place."""
        source = self._source(graph, tensor)
        if source is not None and scale_of(graph.tensors[source]) == scale_of(like):
            return source
        new = self._new(graph, tensor, like)
        inputs = [tensor if source is None else source]
        graph.operators.insert(at, self._writer.operator("QUANTIZE", inputs, [new], self._schema.QuantizeOptionsT()))
        return new

    def _dequantise(self, graph, operator, place: int, like) -> None:
        """Has an operator give 8 bits, of which those that read it get float32."""
        old = operator.outputs[place]
        operator.outputs[place] = new = self._new(graph, old, like)
        after = self._writer.operator("DEQUANTIZE", [new], [old], self._schema.DequantizeOptionsT())
        graph.operators.insert(graph.operators.index(operator) + 1, after)
        self._changed = True

    def _new(self, graph, tensor: int, like) -> int:
        """Returns the place of a new tensor of the shape of one, and of the type and scale of another."""
        new = self._writer.like(graph, graph.tensors[tensor])
        _make(graph.tensors[new], like)
        return new

    def _replace(self, graph, old: int, new: int) -> None:
        for operator in graph.operators:
            operator.inputs = np.where(np.asarray(operator.inputs) == old, new, operator.inputs).astype(np.int32)
        graph.outputs = np.where(np.asarray(graph.outputs) == old, new, graph.outputs).astype(np.int32)


def _make(tensor, like) -> None:
    """Has a tensor be of the type and scale of another."""
    tensor.type, tensor.quantization = like.type, like.quantization
