"""A model's endpoints as the named signatures of an artifact."""

from collections.abc import Iterable

import tensorflow as tf

from tfgen.endpoints import Endpoint
from tfgen.errors import InputError

#: Name under which the main endpoint answers a client that names none.
DEFAULT = "serving_default"

# `serve` is the tag of the graph, and an endpoint of this name makes Keras' exporter drop its neighbours.
_RESERVED = {DEFAULT, "serve"}


def served(model) -> dict[str, Endpoint]:
    """Returns signature name -> endpoint; the main one stands under its own name and under `serving_default`.

    Raises:
        InputError: not a generative model, its main endpoint is missing, or an endpoint bears a reserved name.
    """
    if not callable(getattr(model, "endpoints", None)):
        raise InputError(f"{type(model).__name__} has no endpoints; pass a model of tfgen")
    endpoints = model.endpoints()
    reserved = sorted(_RESERVED & endpoints.keys())
    if reserved:
        raise InputError(f"{model.name}: {reserved[0]!r} can not be served as a name; rename the method")
    if model.main_endpoint not in endpoints:
        raise InputError(
            f"{model.name}: main_endpoint is {model.main_endpoint!r}, but it offers {', '.join(endpoints) or 'nothing'}"
        )
    return endpoints | {DEFAULT: endpoints[model.main_endpoint]}


def signatures(model) -> dict[str, tf.types.experimental.ConcreteFunction]:
    """Returns signature name -> graph, traced once for every batch size: the one that answers in Python."""
    return {name: model.compiled_endpoint(mark) for name, mark in served(model).items()}


def captured_variables(functions: Iterable) -> list[tf.Variable]:
    """Returns the variables that graphs read, each once."""
    return list({variable.ref(): variable for function in functions for variable in function.variables}.values())


def describe(function) -> dict[str, dict[str, dict]]:
    """Returns `inputs` and `outputs` of a graph, traced or loaded: name -> `dtype` and `shape`, None where free."""
    inputs, outputs = function.structured_input_signature[1], function.structured_outputs
    return {"inputs": describe_tensors(inputs), "outputs": describe_tensors(outputs)}


def describe_tensors(tensors: dict) -> dict[str, dict]:
    """Returns name -> `dtype` and `shape` of tensors or their specs, sorted by name."""
    return {
        name: {"dtype": tensor.dtype.name, "shape": tensor.shape.as_list()} for name, tensor in sorted(tensors.items())
    }
