"""Takes out of a TF-Lite model what computes nothing new.

The converter leaves operations that hand on what they are given, such as slices of everything and paddings by nothing, chains
of reshapings, and the same operation on the same inputs several times. Each takes a hundred bytes, and time at each step of
a sampler's loop.
"""

from collections.abc import Iterable

import numpy as np

from tfgen.export.lite.graph import is_enough
from tfgen.export.lite.models import keep_codes, kinds_of

# What may have effects, gives other numbers each time or computes by graphs of its own stays as it is.
_KEPT = {
    "ASSIGN_VARIABLE", "CALL", "CALL_ONCE", "CUSTOM", "DELEGATE", "IF", "MULTINOMIAL", "RANDOM_STANDARD_NORMAL",
    "RANDOM_UNIFORM", "READ_VARIABLE", "VAR_HANDLE", "WHILE",
}  # fmt: skip

_RESHAPINGS = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS"}


def simplify(model) -> None:
    """Changes a model, in place, to one that gives the same by fewer operations.

    Arguments:
        model: a `ModelT`.
    """
    kinds = kinds_of(model)
    for at, graph in enumerate(model.subgraphs):
        _Graph(model, graph, kinds).simplify()
        places = _without_unused(graph)
        for signature in model.signatureDefs:
            if signature.subgraphIndex == at:
                for one in (*signature.inputs, *signature.outputs):
                    one.tensorIndex = places[one.tensorIndex]
    keep_codes(model, {operator.opcodeIndex for graph in model.subgraphs for operator in graph.operators})


class _Graph:
    """A graph of a model while it is simplified.

    Arguments:
        model, graph: a `ModelT` and one of its `SubGraphT`, changed in place.
        kinds: names of the model's operators.
    """

    def __init__(self, model, graph, kinds: list[str]):
        from tensorflow.lite.python import schema_py_generated as schema

        self._float, self._int8 = schema.TensorType.FLOAT32, schema.TensorType.INT8
        self._relu = schema.ActivationFunctionType.RELU
        self._whole = {schema.TensorType.INT32: np.int32, schema.TensorType.INT64: np.int64}
        self._model, self._graph, self._kinds = model, graph, kinds
        self._fixed = {*graph.inputs, *graph.outputs}

    def simplify(self) -> None:
        self._join_constants()
        before = None
        while before != len(self._graph.operators):
            before = len(self._graph.operators)
            self._shorten()
            self._drop_unused()
            self._fuse()
            self._join_elus()

    def _kind(self, operator) -> str:
        return self._kinds[operator.opcodeIndex]

    def _join_constants(self) -> None:
        """Has equal shapes, axes and the like be one tensor, but not weights, which get scales of their own."""
        known, same = {}, {}
        for at, tensor in enumerate(self._graph.tensors):
            if tensor.type in self._whole and self._data(at) is not None and at not in self._fixed:
                same[at] = known.setdefault((tensor.buffer, *self._said(at)), at)
        for operator in self._graph.operators:
            operator.inputs = np.array([same.get(one, one) for one in operator.inputs], np.int32)

    def _shorten(self) -> None:
        """Has operations read what those before them hand on."""
        makers, computed, same, renamed, kept = {}, {}, {}, {}, []
        for operator in self._graph.operators:
            kept.append(operator)
            operator.inputs = np.array([same.get(one, one) for one in operator.inputs], np.int32)
            kind = self._kind(operator)
            if kind in _KEPT:
                continue
            if kind in _RESHAPINGS and (source := self._before(operator, makers)) is not None:
                operator.inputs[0] = source
            for output in operator.outputs:
                makers[output] = operator
            source, is_fixed = self._handed_on(kind, operator), bool(self._fixed.intersection(operator.outputs))
            if source is not None and not is_fixed:
                same[operator.outputs[0]] = source
            elif source in makers and source not in self._fixed | renamed.keys():
                # Who made it makes the graph's output.
                renamed[source] = operator.outputs[0]
                kept.pop()
            if source is not None or is_fixed:
                continue
            told = (
                operator.opcodeIndex,
                tuple(operator.inputs),
                _options(operator),
                *map(self._said, operator.outputs),
            )
            first = computed.setdefault(told, operator)
            same |= {old: new for old, new in zip(operator.outputs, first.outputs, strict=True) if old != new}
        for operator in kept:
            operator.inputs, operator.outputs = (
                np.array([renamed.get(one, one) for one in ones], np.int32)
                for ones in (operator.inputs, operator.outputs)
            )
        self._graph.operators = kept

    def _before(self, operator, makers) -> int | None:
        """Returns what was reshaped to be reshaped now."""
        maker = makers.get(operator.inputs[0])
        if maker is None or self._kind(maker) not in _RESHAPINGS or self._kind(operator) != "RESHAPE":
            return None
        return maker.inputs[0] if self._is_like(maker.inputs[0], operator.outputs[0]) else None

    def _handed_on(self, kind: str, operator) -> int | None:
        """Returns the tensor that an operation hands on as it is, if it does."""
        check = getattr(self, f"_is_all_{kind.lower()}", None)
        if check is None or len(operator.outputs) != 1:
            return None
        source = operator.inputs[1] if kind == "SPLIT" else operator.inputs[0]
        [output] = operator.outputs
        alike = self._is_like(source, output) and self._shape(source) == self._shape(output) is not None
        return source if alike and check(operator) else None

    # Of operations whose output has the type, the quantisation and, as far as it is known, the shape of the input:

    def _is_all_reshape(self, operator) -> bool:
        return is_enough(self._shape(operator.outputs[0]))

    def _is_all_split(self, operator) -> bool:
        return True

    def _is_all_pad(self, operator) -> bool:
        widths = self._data(operator.inputs[1])
        return widths is not None and not np.any(widths)

    def _is_all_slice(self, operator) -> bool:
        begin, size = map(self._data, operator.inputs[1:])
        if begin is None or size is None or np.any(begin):
            return False
        return all(one == -1 for one, known in zip(size, self._shape(operator.inputs[0]), strict=True) if known < 0)

    def _is_all_strided_slice(self, operator) -> bool:
        options, (begin, _, strides) = operator.builtinOptions, map(self._data, operator.inputs[1:])
        if strides is None or np.any(strides != 1):
            return False
        if options.ellipsisMask or options.newAxisMask or options.shrinkAxisMask or options.offset:
            return False
        for at, size in enumerate(self._shape(operator.inputs[0])[: len(strides)]):
            if size >= 0:
                continue  # as many come out as went in
            from_start = options.beginMask >> at & 1 or (begin is not None and begin[at] == 0)
            if not (from_start and options.endMask >> at & 1):
                return False
        return True

    def _fuse(self) -> None:
        """Has dense layers add their biases, and cut below zero, themselves, as convolutions do.

        The converter sees no bias in what is added behind a slice of everything.
        """
        readers, gone = self._readers(), []
        for dense in self._graph.operators:
            if self._kind(dense) != "FULLY_CONNECTED" or self._type(dense.outputs[0]) != self._float:
                continue
            if dense.builtinOptions.fusedActivationFunction:
                continue
            last = dense
            while (reader := self._only_reader(last, readers)) is not None and self._kind(reader) == "RESHAPE":
                last = reader
            kind = reader and self._kind(reader)
            if kind == "ADD" and (bias := self._bias(dense, last, reader)) is not None:
                dense.inputs = np.array([*dense.inputs[:2], bias], np.int32)
                dense.builtinOptions.fusedActivationFunction = reader.builtinOptions.fusedActivationFunction
            elif kind == "RELU":
                dense.builtinOptions.fusedActivationFunction = self._relu
            else:
                continue
            last.outputs = reader.outputs
            gone.append(reader)
        self._graph.operators = [one for one in self._graph.operators if one not in gone]

    def _join_elus(self) -> None:
        """Has ELU look up 8 bits for 8 bits, which LiteRT does and the quantiser does not know."""
        readers, gone = self._readers(), []
        makers = {one: operator for operator in self._graph.operators for one in operator.outputs}
        for elu in [one for one in self._graph.operators if self._kind(one) == "ELU"]:
            before, after = makers.get(elu.inputs[0]), self._only_reader(elu, readers)
            if before is None or after is None or (self._kind(before), self._kind(after)) != ("DEQUANTIZE", "QUANTIZE"):
                continue
            if {self._type(before.inputs[0]), self._type(after.outputs[0])} == {self._int8}:
                elu.inputs, elu.outputs = before.inputs, after.outputs
                gone.append(after)
        self._graph.operators = [one for one in self._graph.operators if one not in gone]

    def _readers(self) -> dict[int, list]:
        readers: dict[int, list] = {}
        for operator in self._graph.operators:
            for one in operator.inputs:
                readers.setdefault(one, []).append(operator)
        return readers

    def _only_reader(self, operator, readers: dict):
        """Returns the operator that reads the output of one, if nothing else does."""
        [output] = operator.outputs
        [reader, *others] = readers.get(output, [None])
        return None if others or output in self._fixed else reader

    def _bias(self, dense, last, adding) -> int | None:
        """Returns the bias that is added to what a dense layer gives, reshaped or not, if it is one."""
        if len(dense.inputs) > 2 and dense.inputs[2] >= 0:
            return None
        [bias] = [one for one in adding.inputs if one != last.outputs[0]] or [-1]
        if bias < 0 or self._data(bias) is None or self._type(bias) != self._float:
            return None
        width = self._shape(dense.inputs[1])[:1]
        shapes = self._shape(last.outputs[0]), self._shape(adding.outputs[0])
        alike = shapes[0] == shapes[1] is not None and shapes[0][-1:] == width
        return bias if alike and self._shape(bias) == width else None

    def _drop_unused(self) -> None:
        """Removes operations of which nothing reads an output."""
        used, kept = set(self._graph.outputs), []
        for operator in reversed(self._graph.operators):
            if self._kind(operator) in _KEPT or used.intersection(operator.outputs):
                used.update(operator.inputs)
                kept.append(operator)
        self._graph.operators = kept[::-1]

    def _type(self, tensor: int) -> int:
        return self._graph.tensors[tensor].type

    def _shape(self, tensor: int) -> tuple[int, ...] | None:
        """Returns the sizes of a tensor, -1 where one is free; None if not even their number is known."""
        one = self._graph.tensors[tensor]
        shape = _listed(one.shapeSignature) if len(_listed(one.shapeSignature)) else _listed(one.shape)
        return tuple(map(int, shape)) if one.hasRank else None

    def _said(self, tensor: int) -> tuple:
        one = self._graph.tensors[tensor]
        return one.type, self._shape(tensor), _quantization(one)

    def _is_like(self, one: int, other: int) -> bool:
        one, other = self._graph.tensors[one], self._graph.tensors[other]
        return one.type == other.type and _quantization(one) == _quantization(other)

    def _data(self, tensor: int) -> np.ndarray | None:
        """Returns the bytes of a constant, or its numbers if they are whole ones."""
        one = self._graph.tensors[tensor]
        data = _listed(self._model.buffers[one.buffer].data)
        return np.asarray(data, np.uint8).view(self._whole.get(one.type, np.uint8)) if len(data) else None


def _without_unused(graph) -> dict[int, int]:
    """Removes tensors that nothing names; returns the new place of each that stays."""
    used = {-1, *graph.inputs, *graph.outputs}
    for operator in graph.operators:
        used.update(operator.inputs, operator.outputs, _listed(operator.intermediates))
    kept = [at for at in range(len(graph.tensors)) if at in used]
    places = {-1: -1} | {old: new for new, old in enumerate(kept)}
    graph.tensors = [graph.tensors[at] for at in kept]
    graph.inputs, graph.outputs = (_placed(ones, places) for ones in (graph.inputs, graph.outputs))
    for operator in graph.operators:
        operator.inputs, operator.outputs = (_placed(ones, places) for ones in (operator.inputs, operator.outputs))
        if len(_listed(operator.intermediates)):
            operator.intermediates = _placed(operator.intermediates, places)
    return places


def _placed(tensors: Iterable[int], places: dict[int, int]) -> np.ndarray:
    return np.array([places[one] for one in tensors], np.int32)


def _listed(values) -> Iterable:
    # The schema's Python gives 0 for a list that is not there.
    return () if values is None or np.ndim(values) == 0 else values


def _quantization(tensor) -> tuple:
    one = tensor.quantization
    if one is None or not len(_listed(one.scale)):
        return ()
    return tuple(one.scale), tuple(_listed(one.zeroPoint)), one.quantizedDimension


def _options(operator) -> tuple:
    options = (operator.builtinOptions, operator.builtinOptions2)
    return tuple((type(one), *(map(str, vars(one).items()))) for one in options if one is not None)
