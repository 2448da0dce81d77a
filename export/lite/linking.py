"""Puts the graph of another signature where a graph of a TF-Lite model calls it."""

from collections.abc import Iterable

import numpy as np

from tfgen.errors import InputError

#: An operation of this name, and that of a signature behind it, calls the signature: its inputs and outputs sorted by name.
PLACEHOLDER = "tfgen_"


def calls(data: bytes) -> set[str]:
    """Returns the names of the signatures that a model calls which is not linked yet."""
    from tensorflow.lite.python import schema_py_generated as schema

    return set(_called(schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))).values())


def _called(model) -> dict[int, str]:
    """Returns the names of the called signatures by the places of the operations' codes."""
    codes = {at: (code.customCode or b"").decode() for at, code in enumerate(model.operatorCodes)}
    return {at: code.removeprefix(PLACEHOLDER) for at, code in codes.items() if code.startswith(PLACEHOLDER)}


def link(model) -> None:
    """Replaces, in place, calls by conditions that always hold, with the called graph for both branches.

    Arguments:
        model: a `ModelT`.

    Raises:
        InputError: a signature that is called is not there.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    names, signatures = _called(model), {one.signatureKey.decode(): one for one in model.signatureDefs}
    if not names:
        return
    if lacking := set(names.values()) - signatures.keys():
        raise InputError(f"{', '.join(sorted(lacking))}: called by another signature, but not in the file")
    called = {at: signatures[name] for at, name in names.items()}
    condition, true = len(model.operatorCodes), len(model.buffers)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.IF
    model.operatorCodes.append(code)
    buffer = schema.BufferT()
    buffer.data = np.array([1], np.uint8)
    model.buffers.append(buffer)
    for graph in model.subgraphs:
        for operator in [one for one in graph.operators if one.opcodeIndex in called]:
            signature = called[operator.opcodeIndex]
            inner = model.subgraphs[signature.subgraphIndex]
            tensor = schema.TensorT()
            tensor.shape, tensor.type, tensor.buffer = np.array([], np.int32), schema.TensorType.BOOL, true
            graph.tensors.append(tensor)
            inputs = _arranged(operator.inputs, signature.inputs, inner.inputs)
            operator.inputs = np.array([len(graph.tensors) - 1, *inputs], np.int32)
            operator.outputs = np.array(_arranged(operator.outputs, signature.outputs, inner.outputs), np.int32)
            operator.opcodeIndex, operator.customOptions = condition, None
            operator.builtinOptionsType = schema.BuiltinOptions.IfOptions
            operator.builtinOptions = schema.IfOptionsT()
            operator.builtinOptions.thenSubgraphIndex = signature.subgraphIndex
            operator.builtinOptions.elseSubgraphIndex = signature.subgraphIndex
    kept = [at for at in range(len(model.operatorCodes)) if at not in called]
    places = {old: new for new, old in enumerate(kept)}
    model.operatorCodes = [model.operatorCodes[at] for at in kept]
    for graph in model.subgraphs:
        for operator in graph.operators:
            operator.opcodeIndex = places[operator.opcodeIndex]


def _arranged(tensors: Iterable[int], signature, order: Iterable[int]) -> list[int]:
    """Returns tensors, given in the order of a signature's names, in that of its graph."""
    by_name = dict(zip(sorted(one.name for one in signature), tensors, strict=True))
    names = {one.tensorIndex: one.name for one in signature}
    return [by_name[names[at]] for at in order]
