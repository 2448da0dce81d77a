"""Copies tensors where LiteRT would mix them up.

Where all shapes are known before it runs, LiteRT 2.3 hands tensors from graph to graph in place, one after the other. Then

- a loop whose body gives one of its variables as another's next value gives what the first one was set to just before, and
- a branch that gives one tensor twice leaves one of both unwritten.
"""

from collections.abc import Iterable

import numpy as np


def separate(model) -> None:
    """Adds copies, in place, to the bodies of loops and to branches, so that no tensor stands where it would be mixed up.

    Arguments:
        model: a `ModelT`.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    bodies, branches = set(), set()
    for operator in (operator for graph in model.subgraphs for operator in graph.operators):
        options = operator.builtinOptions
        if operator.builtinOptionsType == schema.BuiltinOptions.WhileOptions:
            bodies.add(options.bodySubgraphIndex)
        elif operator.builtinOptionsType == schema.BuiltinOptions.IfOptions:
            branches |= {options.thenSubgraphIndex, options.elseSubgraphIndex}
    copier = None
    for at in sorted(bodies | branches):
        graph = model.subgraphs[at]
        if places := _mixed(graph.inputs if at in bodies else (), graph.outputs):
            copier = copier or _Copier(model)
            outputs = np.array(graph.outputs)
            for place in places:
                outputs[place] = copier.copy(graph, outputs[place])
            for signature in model.signatureDefs:
                if signature.subgraphIndex == at:
                    _rename(signature, graph.outputs, outputs)
            graph.outputs = outputs


def _mixed(inputs: Iterable[int], outputs: Iterable[int]) -> list[int]:
    """Returns the places of outputs that are an input of another place, or an output of one before."""
    places, seen, of_input = [], set(), {tensor: place for place, tensor in enumerate(inputs)}
    for place, tensor in enumerate(outputs):
        if tensor in seen or of_input.get(tensor, place) != place:
            places.append(place)
        seen.add(tensor)
    return places


def _rename(signature, before, after) -> None:
    """Has a signature name the copies; of a tensor that it names twice, one copy for each name."""
    waiting = {}
    for old, new in zip(before, after, strict=True):
        waiting.setdefault(old, []).append(new)
    for one in signature.outputs:
        one.tensorIndex = waiting[one.tensorIndex].pop(0)


class _Copier:
    """Copies tensors of any type and shape: it selects between a tensor and itself, which nothing takes for nothing.

    Arguments:
        model: gets what that needs.
    """

    def __init__(self, model):
        from tensorflow.lite.python import schema_py_generated as schema

        self._schema = schema
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.SELECT_V2
        self._code, self._true = len(model.operatorCodes), len(model.buffers)
        model.operatorCodes.append(code)
        buffer = schema.BufferT()
        buffer.data = np.array([1], np.uint8)
        model.buffers.append(buffer)

    def copy(self, graph, tensor: int) -> int:
        """Returns the place of a copy, which is made behind all that the graph computes."""
        schema = self._schema
        old, new, condition = graph.tensors[tensor], schema.TensorT(), schema.TensorT()
        condition.shape, condition.type, condition.buffer = np.array([], np.int32), schema.TensorType.BOOL, self._true
        new.shape, new.shapeSignature, new.type = old.shape, old.shapeSignature, old.type
        new.quantization, new.hasRank, new.buffer = old.quantization, old.hasRank, 0
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.builtinOptionsType = self._code, schema.BuiltinOptions.SelectV2Options
        operator.builtinOptions = schema.SelectV2OptionsT()
        place = len(graph.tensors)
        graph.tensors += [condition, new]
        operator.inputs = np.array([place, tensor, tensor], np.int32)
        operator.outputs = np.array([place + 1], np.int32)
        graph.operators.append(operator)
        return place + 1
