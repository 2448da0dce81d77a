"""Copies tensors where LiteRT would mix them up.

Where all shapes are known before it runs, LiteRT 2.3 hands tensors from graph to graph in place, one after the other. Then

- a loop whose body gives one of its variables as another's next value gives what the first one was set to just before, and
- a branch that gives one tensor twice leaves one of both unwritten.

TensorFlow's own interpreter, which calibrates, also crashes where a loop hands on one of its variables as it is.
"""

from collections.abc import Iterable

import numpy as np

from tfgen.export.lite.models import Writer


def separate(model, *, to_calibrate: bool = False) -> None:
    """Adds copies, in place, to the bodies of loops and to branches, so that no tensor stands where it would be mixed up.

    Arguments:
        model: a `ModelT`.
        to_calibrate: whether to copy, too, what a loop hands on as it is; `simplify` takes copies out again.
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
        if places := _mixed(graph.inputs if at in bodies else (), graph.outputs, to_calibrate):
            copier = copier or _Copier(model)
            outputs = np.array(graph.outputs)
            for place in places:
                outputs[place] = copier.copy(graph, outputs[place])
            for signature in model.signatureDefs:
                if signature.subgraphIndex == at:
                    _rename(signature, graph.outputs, outputs)
            graph.outputs = outputs


def _mixed(inputs: Iterable[int], outputs: Iterable[int], of_its_own: bool) -> list[int]:
    """Returns the places of outputs that are an input of another place, or of their own, or an output of one before."""
    places, seen, of_input = [], set(), {tensor: place for place, tensor in enumerate(inputs)}
    for place, tensor in enumerate(outputs):
        if tensor in seen or (tensor in of_input and (of_its_own or of_input[tensor] != place)):
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

        self._schema, self._writer = schema, Writer(model)

    def copy(self, graph, tensor: int) -> int:
        """Returns the place of a copy, which is made behind all that the graph computes."""
        true = self._writer.buffer(np.array([1], np.uint8))
        condition = self._writer.tensor(graph, (), self._schema.TensorType.BOOL, true)
        new = self._writer.like(graph, graph.tensors[tensor])
        inputs, options = [condition, tensor, tensor], self._schema.SelectV2OptionsT()
        graph.operators.append(self._writer.operator("SELECT_V2", inputs, [new], options))
        return new
