"""TF-Lite models as Python objects, which is what their schema's own code makes of them."""

from collections.abc import Hashable, Iterable

import numpy as np


def unpacked(data: bytes):
    """Returns a model, a `ModelT`, from its bytes."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))
    # Of what computes nothing, but hands on what it is given, or constants.
    model.operatorCodes = model.operatorCodes or []
    for graph in model.subgraphs:
        graph.operators = graph.operators or []
        graph.inputs, graph.outputs = (np.array([*listed(ones)], np.int32) for ones in (graph.inputs, graph.outputs))
    for signature in model.signatureDefs:
        signature.inputs, signature.outputs = signature.inputs or [], signature.outputs or []
    return model


def packed(model) -> bytes:
    """Returns a model's bytes, as its schema's code writes them."""
    import flatbuffers

    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def kinds_of(model) -> list[str]:
    """Returns the names of a model's operators by their codes' places: `CONV_2D`, `CUSTOM` and the like."""
    from tensorflow.lite.python import schema_py_generated as schema

    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()}
    return [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]


def keep_codes(model, used: Iterable[int]) -> None:
    """Removes, in place, all codes of operators but some: calibration fails for one that is told and not used.

    Arguments:
        model: a `ModelT`.
        used: places of those that stay.
    """
    kept = sorted(used)
    places = {old: new for new, old in enumerate(kept)}
    model.operatorCodes = [model.operatorCodes[at] for at in kept]
    for graph in model.subgraphs:
        for operator in graph.operators:
            operator.opcodeIndex = places[operator.opcodeIndex]


def keep_used_buffers(model) -> None:
    """Removes, in place, the buffers of a model that nothing uses, but for the first one, which is empty."""
    users = [*(tensor for graph in model.subgraphs for tensor in graph.tensors), *listed(model.metadata)]
    places = {old: new for new, old in enumerate(sorted({0, *(one.buffer for one in users)}))}
    model.buffers = [model.buffers[at] for at in places]
    for one in users:
        one.buffer = places[one.buffer]


def listed(values) -> Iterable:
    """Returns a list of the schema's, for which its Python gives 0 where it is not there."""
    return () if values is None or np.ndim(values) == 0 else values


def scale_of(tensor) -> tuple:
    """Returns what a tensor's whole numbers stand for, for comparison; nothing if it is not quantised."""
    one = tensor.quantization
    if one is None or not len(listed(one.scale)):
        return ()
    return tuple(one.scale), tuple(listed(one.zeroPoint)), one.quantizedDimension


def told(value) -> Hashable:
    """Returns what a part of a model says, for comparison."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, list):
        return tuple(map(told, value))
    if not hasattr(value, "__dict__"):
        return value
    return type(value), *((name, told(one)) for name, one in vars(value).items())


class Writer:
    """Adds to a model.

    Arguments:
        model: a `ModelT`, changed in place.

    Attributes:
        kinds: names of the model's operators by their codes' places, those that were added included.
    """

    def __init__(self, model):
        from tensorflow.lite.python import schema_py_generated as schema

        self._model, self._schema, self.kinds = model, schema, kinds_of(model)
        self._buffers: dict[bytes, int] = {}

    def buffer(self, data: np.ndarray) -> int:
        """Returns the place of a buffer of some data, which is added when it is first asked for."""
        place = self._buffers.setdefault(data.tobytes(), len(self._model.buffers))
        if place == len(self._model.buffers):
            buffer = self._schema.BufferT()
            buffer.data = data.reshape(-1).view(np.uint8)
            self._model.buffers.append(buffer)
        return place

    def tensor(self, graph, shape, dtype: int, buffer: int = 0) -> int:
        """Returns the place of a new tensor in a graph: one that is computed unless it has a buffer."""
        tensor = self._schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer, tensor.hasRank = np.array(shape, np.int32), dtype, buffer, True
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    def like(self, graph, old) -> int:
        """Returns the place of a new tensor that is computed, of the type, shape and scale of a `TensorT`."""
        new = self.tensor(graph, old.shape, old.type)
        graph.tensors[new].shapeSignature, graph.tensors[new].quantization = old.shapeSignature, old.quantization
        return new

    def fix(self, tensor, data: np.ndarray, scale: float) -> None:
        """Gives a `TensorT` other numbers of its type and shape: whole multiples of a scale."""
        tensor.buffer, tensor.quantization = self.buffer(data), self._schema.QuantizationParametersT()
        tensor.quantization.scale = np.array([scale], np.float32)
        tensor.quantization.zeroPoint = np.array([0], np.int64)

    def operator(self, kind: str, inputs: Iterable[int], outputs: Iterable[int], options):
        """Returns a new operator, which is in no graph yet.

        Arguments:
            kind: `CONV_2D` and the like.
            inputs, outputs: places of tensors.
            options: those of its kind, such as an `AddOptionsT`.
        """
        operator = self._schema.OperatorT()
        operator.inputs, operator.outputs = (np.array([*ones], np.int32) for ones in (inputs, outputs))
        self.turn(operator, kind, options)
        return operator

    def turn(self, operator, kind: str, options) -> None:
        """Makes an operator one of another kind."""
        if kind not in self.kinds:
            code = self._schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = getattr(self._schema.BuiltinOperator, kind)
            self.kinds.append(kind)
            self._model.operatorCodes.append(code)
        operator.opcodeIndex, operator.builtinOptions = self.kinds.index(kind), options
        name = "NONE" if options is None else type(options).__name__.removesuffix("T")
        operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, name)
