"""Takes out of a TF-Lite model what computes nothing new.

The converter leaves operations that hand on what they are given, such as slices of everything and paddings by nothing, chains
of reshapings, and the same operation on the same inputs several times. Each takes a hundred bytes, and time at each step of
a sampler's loop.
"""

from collections.abc import Iterable

import numpy as np

from tfgen.export.lite.fusing import fuse
from tfgen.export.lite.graph import is_enough
from tfgen.export.lite.models import Writer, keep_codes, listed, told
from tfgen.export.lite.view import View

# What may have effects, gives other numbers each time or computes by graphs of its own stays as it is.
_KEPT = {
    "ASSIGN_VARIABLE", "CALL", "CALL_ONCE", "CUSTOM", "DELEGATE", "IF", "MULTINOMIAL", "RANDOM_STANDARD_NORMAL",
    "RANDOM_UNIFORM", "READ_VARIABLE", "VAR_HANDLE", "WHILE",
}  # fmt: skip

# By which operations numbers of fewer bits become others, and what needs of these only what they are made of.
_TURNS = {"DEQUANTIZE", "QUANTIZE"}
_TURNED = {"DEQUANTIZE": {"QUANTIZE"}, "QUANTIZE": _TURNS, "SHAPE": _TURNS}

# What takes 8 bits of any scales. What has biases does not: these are in units of its input's.
_OF_ANY_SCALES = {"ADD", "MUL", "SUB"}

# What may only add or drop axes of size 1: the first and the last do of one tensor, which is all that they take or give.
_OTHER_RESHAPINGS = {"EXPAND_DIMS", "PACK", "SQUEEZE", "STRIDED_SLICE", "UNPACK"}

_RESHAPINGS = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS"}


def simplify(model) -> None:
    """Changes a model, in place, to one that gives the same by fewer operations.

    Arguments:
        model: a `ModelT`.
    """
    writer = Writer(model)
    for at, graph in enumerate(model.subgraphs):
        _Simplifier(View(model, graph, writer)).simplify()
        places = _without_unused(graph)
        for signature in model.signatureDefs:
            if signature.subgraphIndex == at:
                for one in (*signature.inputs, *signature.outputs):
                    one.tensorIndex = places[one.tensorIndex]
    keep_codes(model, {operator.opcodeIndex for graph in model.subgraphs for operator in graph.operators})


class _Simplifier:
    """Changes one graph.

    Arguments:
        view: of the graph.
    """

    def __init__(self, view: View):
        self._view = view

    def simplify(self) -> None:
        self._name_reshapings()
        self._join_constants()
        before = None
        while before != len(self._view.operators):
            before = len(self._view.operators)
            self._shorten()
            self._shorten_turns()
            self._drop_unused()
            fuse(self._view)

    def _join_constants(self) -> None:
        """Has equal shapes, axes and the like be one tensor, but not weights, which get scales of their own."""
        known, same = {}, {}
        for at, tensor in enumerate(self._view.graph.tensors):
            if self._view.is_whole(at) and self._view.data(at) is not None and at not in self._view.fixed:
                same[at] = known.setdefault((tensor.buffer, *self._view.said(at)), at)
        for operator in self._view.operators:
            operator.inputs = np.array([same.get(one, one) for one in operator.inputs], np.int32)

    def _name_reshapings(self) -> None:
        """Has what only adds or drops axes of size 1 be reshapings, so that chains of such are seen."""
        writer, schema = self._view.writer, self._view.schema
        for operator in self._view.operators:
            if self._view.kind(operator) not in _OTHER_RESHAPINGS or len(operator.outputs) > 1:
                continue
            shapes = self._view.shape(operator.inputs[0]), self._view.shape(operator.outputs[0])
            if None in shapes or not shapes[1] or not is_enough(shapes[1]) or _sizes(shapes[0]) != _sizes(shapes[1]):
                continue
            if self._view.kind(operator) == "STRIDED_SLICE" and not self._is_all_strided_slice(operator):
                continue
            shape, options = np.array(shapes[1], np.int32), schema.ReshapeOptionsT()
            target = writer.tensor(self._view.graph, shape.shape, schema.TensorType.INT32, writer.buffer(shape))
            operator.inputs, options.newShape = np.array([operator.inputs[0], target], np.int32), shape
            writer.turn(operator, "RESHAPE", options)

    def _shorten(self) -> None:
        """Has operations read what those before them hand on."""
        makers, computed, same, renamed, kept = {}, {}, {}, {}, []
        for operator in self._view.operators:
            kept.append(operator)
            operator.inputs = np.array([same.get(one, one) for one in operator.inputs], np.int32)
            kind = self._view.kind(operator)
            if kind in _KEPT:
                continue
            if kind in _RESHAPINGS and (source := self._before(operator, makers)) is not None:
                operator.inputs[0] = source
            if kind == "NEG" and (source := self._negated_twice(operator, makers)) is not None:
                same[operator.outputs[0]] = source
            for output in operator.outputs:
                makers[output] = operator
            source, is_fixed = self._handed_on(kind, operator), bool(self._view.fixed.intersection(operator.outputs))
            if source is not None and not is_fixed:
                same[operator.outputs[0]] = source
            elif source in makers and source not in self._view.fixed | renamed.keys():
                # Who made it makes the graph's output.
                renamed[source] = operator.outputs[0]
                kept.pop()
            if source is not None or is_fixed:
                continue
            key = (
                operator.opcodeIndex,
                tuple(operator.inputs),
                told(operator.builtinOptions),
                told(operator.builtinOptions2),
                *map(self._view.said, operator.outputs),
            )
            first = computed.setdefault(key, operator)
            same |= {old: new for old, new in zip(operator.outputs, first.outputs, strict=True) if old != new}
        for operator in kept:
            operator.inputs, operator.outputs = (
                np.array([renamed.get(one, one) for one in ones], np.int32)
                for ones in (operator.inputs, operator.outputs)
            )
        self._view.graph.operators = kept

    def _shorten_turns(self) -> None:
        """Has nothing be made 8 bits to be made float32 or other 8 bits again, and none of it for its shape."""
        makers, same = self._view.makers(), {}

        def unturned(tensor: int) -> int:
            before = makers.get(tensor)
            if before is None or self._view.kind(before) != "QUANTIZE":
                return tensor
            source, turned = (self._view.graph.tensors[one] for one in (before.inputs[0], tensor))
            return before.inputs[0] if source.type == turned.type else tensor

        for operator in self._view.operators:
            operator.inputs = np.array([same.get(one, one) for one in operator.inputs], np.int32)
            if self._view.kind(operator) in _OF_ANY_SCALES:
                operator.inputs = np.array([unturned(one) for one in operator.inputs], np.int32)
            kind, before = self._view.kind(operator), makers.get(operator.inputs[0]) if len(operator.inputs) else None
            if before is None or self._view.kind(before) not in _TURNED.get(kind, ()):
                continue
            [source], [output] = before.inputs, operator.outputs
            if kind == "SHAPE" or not self._view.is_like(source, output):
                operator.inputs = before.inputs
            elif output not in self._view.fixed:
                same[output] = source

    def _drop_unused(self) -> None:
        """Removes operations of which nothing reads an output."""
        used, kept = set(self._view.graph.outputs), []
        for operator in reversed(self._view.operators):
            if self._view.kind(operator) in _KEPT or used.intersection(operator.outputs):
                used.update(operator.inputs)
                kept.append(operator)
        self._view.graph.operators = kept[::-1]

    def _before(self, operator, makers) -> int | None:
        """Returns what was reshaped to be reshaped now."""
        maker = makers.get(operator.inputs[0])
        if maker is None or self._view.kind(maker) not in _RESHAPINGS or self._view.kind(operator) != "RESHAPE":
            return None
        return maker.inputs[0] if self._view.is_like(maker.inputs[0], operator.outputs[0]) else None

    def _negated_twice(self, operator, makers) -> int | None:
        """Returns what an operation gives the negative of the negative of, if it does; what follows reads that."""
        maker = makers.get(operator.inputs[0])
        return maker.inputs[0] if maker is not None and self._view.kind(maker) == "NEG" else None

    def _handed_on(self, kind: str, operator) -> int | None:
        """Returns the tensor that an operation hands on as it is, if it does."""
        check = getattr(self, f"_is_all_{kind.lower()}", None)
        if check is None or len(operator.outputs) != 1:
            return None
        source = operator.inputs[1] if kind in ("SELECT_V2", "SPLIT") else operator.inputs[0]
        [output] = operator.outputs
        alike = self._view.is_like(source, output) and self._view.shape(source) == self._view.shape(output) is not None
        return source if alike and check(operator) else None

    # Of operations whose output has the type, the quantisation and, as far as it is known, the shape of the input:

    def _is_all_reshape(self, operator) -> bool:
        return is_enough(self._view.shape(operator.outputs[0]))

    def _is_all_select_v2(self, operator) -> bool:
        return operator.inputs[1] == operator.inputs[2]

    def _is_all_split(self, operator) -> bool:
        return True

    def _is_all_pad(self, operator) -> bool:
        widths = self._view.data(operator.inputs[1])
        return widths is not None and not np.any(widths)

    def _is_all_slice(self, operator) -> bool:
        begin, size = map(self._view.data, operator.inputs[1:])
        if begin is None or size is None or np.any(begin):
            return False
        return all(
            one == -1 for one, known in zip(size, self._view.shape(operator.inputs[0]), strict=True) if known < 0
        )

    def _is_all_strided_slice(self, operator) -> bool:
        options, (begin, _, strides) = operator.builtinOptions, map(self._view.data, operator.inputs[1:])
        if strides is None or np.any(strides != 1):
            return False
        if options.ellipsisMask or options.newAxisMask or options.offset:
            return False
        for at, size in enumerate(self._view.shape(operator.inputs[0])[: len(strides)]):
            if size >= 0:
                continue  # as many come out as went in
            from_start = options.beginMask >> at & 1 or (begin is not None and begin[at] == 0)
            if not (from_start and options.endMask >> at & 1):
                return False
        return True


def _sizes(shape: Iterable[int]) -> list[int]:
    return [one for one in shape if one != 1]


def _without_unused(graph) -> dict[int, int]:
    """Removes tensors that nothing names; returns the new place of each that stays."""
    used = {-1, *graph.inputs, *graph.outputs}
    for operator in graph.operators:
        used.update(operator.inputs, operator.outputs, listed(operator.intermediates))
    kept = [at for at in range(len(graph.tensors)) if at in used]
    places = {-1: -1} | {old: new for new, old in enumerate(kept)}
    graph.tensors = [graph.tensors[at] for at in kept]
    graph.inputs, graph.outputs = (_placed(ones, places) for ones in (graph.inputs, graph.outputs))
    for operator in graph.operators:
        operator.inputs, operator.outputs = (_placed(ones, places) for ones in (operator.inputs, operator.outputs))
        if len(listed(operator.intermediates)):
            operator.intermediates = _placed(operator.intermediates, places)
    return places


def _placed(tensors: Iterable[int], places: dict[int, int]) -> np.ndarray:
    return np.array([places[one] for one in tensors], np.int32)
