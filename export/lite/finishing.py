"""Finds what a quantised model keeps in float32 all the same.

Behind the last weights a model tells what it has found: it compares sums of probabilities with noise, sums logarithms, or
makes levels of pixels. That takes little time and space, and what 8 bits lose of it no later layer makes good: a level that
is drawn once in a thousand times would never be.

A sampler's loop hands on what all of its layers have computed, side by side, and takes it apart again. Of 8 bits that would
have one scale for all; and all of it would be quantised at each step, though a step reads a row of it.
"""

from collections.abc import Iterator
from typing import NamedTuple

from tfgen.export.lite.models import kinds_of, listed

_WEIGHTED = {"BATCH_MATMUL", "CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}

# What puts numbers together for the next step of a loop.
_HANDING = {"CONCATENATION", "DYNAMIC_UPDATE_SLICE", "PACK", "RESHAPE", "TRANSPOSE"}

# Other constants are weights, too, if they are as large as this, and what takes parts of them gives weights.
_LARGE = 1024
_TAKING = {"GATHER", "GATHER_ND", "RESHAPE", "SLICE", "SPLIT", "SPLIT_V", "STRIDED_SLICE", "TRANSPOSE", "UNPACK"}

# What makes numbers between -1 and 1 of levels, and the like.
_SCALING = {"ADD", "DIV", "MUL", "SUB"}

_BY_GRAPHS = {"IF", "WHILE"}

# Of both of its values the quantiser takes the scales apart, and LiteRT copies them as they are: what is off becomes one half.
# What a tensor is filled with is one number for all uses of it. And LiteRT stops where it divides by what 8 bits make zero.
_PLAIN = {"DIV", "FILL", "ONE_HOT"}


class Finish(NamedTuple):
    """What is not to be quantised of a model.

    Arguments:
        ranges: places of the tensors, as graph and place in it, whose ranges are of no use.
        operations: names of operations, which are those of their outputs.
    """

    ranges: set[tuple[int, int]]
    operations: set[str]


def finish(model) -> Finish:
    """Returns what leads to no weights but by way of whole numbers, and what graphs only put together or take apart.

    Tensors are named anew, so that no two have one name.

    Arguments:
        model: a `ModelT`; the names of its own inputs and outputs stay.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    kinds = kinds_of(model)
    told = {signature.subgraphIndex: signature for signature in model.signatureDefs}
    for at, graph in enumerate(model.subgraphs):
        kept = {one.tensorIndex for one in (*told[at].inputs, *told[at].outputs)} if at in told else ()
        for place, tensor in enumerate(graph.tensors):
            if place not in kept:
                tensor.name = f"{at}:{place}".encode()
    is_float = {
        (at, place): tensor.type == schema.TensorType.FLOAT32
        for at, graph in enumerate(model.subgraphs)
        for place, tensor in enumerate(graph.tensors)
    }
    steps: dict[tuple[int, int], set[tuple[int, int]]] = {}  # to a tensor from those that it is made of
    last, leading = [], []
    for at, graph in enumerate(model.subgraphs):
        weights = _large(model, graph)
        for operator in graph.operators:
            kind = kinds[operator.opcodeIndex]
            inputs, outputs = ([(at, one) for one in ones if one >= 0] for ones in (operator.inputs, operator.outputs))
            has_weights = bool(weights.intersection(operator.inputs))
            if has_weights and kind in _TAKING:
                weights.update(operator.outputs)
            if has_weights or kind in _WEIGHTED:
                leading += inputs
            else:
                last.append(outputs)
            for one, other in _steps(model, operator, inputs, outputs):
                if is_float[one] and is_float[other]:
                    steps.setdefault(other, set()).add(one)
    led = set()
    while leading:
        one = leading.pop()
        if one not in led:
            led.add(one)
            leading += steps.get(one, ())
    found = {one for outputs in last if led.isdisjoint(outputs) for one in outputs}
    found |= {(at, one) for at, graph in enumerate(model.subgraphs) for one in _handed_on(graph, kinds)}
    given = {(at, one) for at, graph in enumerate(model.subgraphs) for one in _only_taken_from(graph, kinds)}
    plain = {
        (at, one)
        for at, graph in enumerate(model.subgraphs)
        for operator in graph.operators
        if kinds[operator.opcodeIndex] in _PLAIN
        for one in operator.outputs
    }
    plain |= {(at, one) for at, graph in enumerate(model.subgraphs) for one in _only_scaled(model, graph, kinds)}
    names = {model.subgraphs[at].tensors[place].name.decode() for at, place in found | plain}
    return Finish(found | given, names)


def _handed_on(graph, kinds: list[str]) -> set[int]:
    """Returns the places of what a graph does nothing with but to put it together and to give it out."""
    found, read = set(), set()
    for operator in reversed(graph.operators):
        if kinds[operator.opcodeIndex] in _HANDING and read.isdisjoint(operator.outputs):
            found.update(operator.outputs)
        else:
            read.update(operator.inputs)
    return found


def _only_taken_from(graph, kinds: list[str]) -> set[int]:
    """Returns the places of what a graph is given and reads nothing of but parts, each of which has a range of its own."""
    given, read = set(graph.inputs), set()
    for operator in graph.operators:
        if kinds[operator.opcodeIndex] in _BY_GRAPHS:
            given.update(operator.outputs)
        if kinds[operator.opcodeIndex] not in _TAKING:
            read.update(operator.inputs)
    return given - read


def _only_scaled(model, graph, kinds: list[str]) -> set[int]:
    """Returns the places of what whole numbers, such as levels, become before anything else is done with them."""
    from tensorflow.lite.python import schema_py_generated as schema

    numbers = {
        place
        for place, tensor in enumerate(graph.tensors)
        if tensor.type == schema.TensorType.FLOAT32 and len(listed(model.buffers[tensor.buffer].data)) == 4
    }
    cast, scaled = set(), set()
    for operator in graph.operators:
        kind, inputs = kinds[operator.opcodeIndex], set(operator.inputs)
        if kind == "CAST":
            cast.update(operator.outputs)
        elif kind in _SCALING and inputs <= cast | scaled | numbers:
            scaled.update(operator.outputs)
    return scaled


def _large(model, graph) -> set[int]:
    """Returns the places of a graph's constants that are weights, whatever takes them."""
    from tensorflow.lite.python import schema_py_generated as schema

    def is_large(tensor) -> bool:
        data = model.buffers[tensor.buffer].data
        return tensor.type == schema.TensorType.FLOAT32 and data is not None and len(data) >= 4 * _LARGE

    return {place for place, tensor in enumerate(graph.tensors) if is_large(tensor)}


def _steps(model, operator, inputs: list, outputs: list) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yields pairs of tensors of which the second is made of the first, or is the first in another graph."""
    options = operator.builtinOptions
    if hasattr(options, "bodySubgraphIndex"):
        body = options.bodySubgraphIndex
        into, out = ([(body, one) for one in ones] for ones in _ends(model, body))
        yield from zip(inputs, into, strict=True)
        yield from zip(out, into, strict=True)
        yield from zip(out, outputs, strict=True)
    elif hasattr(options, "thenSubgraphIndex"):
        for branch in (options.thenSubgraphIndex, options.elseSubgraphIndex):
            into, out = ([(branch, one) for one in ones] for ones in _ends(model, branch))
            yield from zip(inputs[1:], into, strict=True)
            yield from zip(out, outputs, strict=True)
    else:
        yield from ((one, other) for one in inputs for other in outputs)


def _ends(model, graph: int):
    return model.subgraphs[graph].inputs, model.subgraphs[graph].outputs
