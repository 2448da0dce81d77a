"""TF-Lite models as Python objects, which is what their schema's own code makes of them."""

from collections.abc import Iterable


def unpacked(data: bytes):
    """Returns a model, a `ModelT`, from its bytes."""
    from tensorflow.lite.python import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))


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
