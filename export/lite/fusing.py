"""Has operations of a TF-Lite graph do what follows them, or stands around them, too."""

import copy

import numpy as np

from tfgen.export.lite.graph import is_enough
from tfgen.export.lite.view import View

# What has a bias for each output channel, third of its inputs, and the channels' number first in its weights' shape.
_LAYERS = {"CONV_2D", "FULLY_CONNECTED"}

# Functions of numbers one by one.
_ONE_BY_ONE = {"ELU", "LOGISTIC", "RELU", "TANH"}


def fuse(view: View) -> None:
    """Changes a graph, in place, to one that gives the same by fewer operations.

    Arguments:
        view: of a graph.
    """
    _add_biases(view)
    _keep_axes(view)
    _join_parts(view)


def _add_biases(view: View) -> None:
    """Has layers add their biases, and cut below zero, themselves, also where these stand behind a reshaping.

    The converter sees no bias in what is added behind a slice of everything, or to a row that has lost its axis.
    """
    readers, gone = view.readers(), []
    for layer in view.operators:
        if view.kind(layer) not in _LAYERS or not view.is_float(layer.outputs[0]):
            continue
        if layer.builtinOptions.fusedActivationFunction:
            continue
        last = layer
        while (reader := view.only_reader(last, readers)) is not None and view.kind(reader) == "RESHAPE":
            last = reader
        kind = reader and view.kind(reader)
        if kind == "ADD" and (bias := _bias(view, layer, last, reader)) is not None:
            layer.inputs = np.array([*layer.inputs[:2], bias], np.int32)
            layer.builtinOptions.fusedActivationFunction = reader.builtinOptions.fusedActivationFunction
        elif kind == "RELU":
            layer.builtinOptions.fusedActivationFunction = view.schema.ActivationFunctionType.RELU
        else:
            continue
        last.outputs = reader.outputs
        gone.append(reader)
    view.remove(gone)


def _bias(view: View, layer, last, adding) -> int | None:
    """Returns the bias that is added to what a layer gives, reshaped or not, if it is one and the layer has none."""
    if len(layer.inputs) > 2 and layer.inputs[2] >= 0:
        own = view.data(layer.inputs[2])
        if own is None or np.any(own):  # convolutions have zeros where they have no bias
            return None
    [bias] = [one for one in adding.inputs if one != last.outputs[0]] or [-1]
    if bias < 0 or view.data(bias) is None or not view.is_float(bias):
        return None
    width = view.shape(layer.inputs[1])[:1]
    shapes = view.shape(last.outputs[0]), view.shape(adding.outputs[0])
    alike = shapes[0] == shapes[1] is not None and shapes[0][-1:] == width
    return bias if alike and view.shape(bias) == width else None


def _keep_axes(view: View) -> None:
    """Has dense layers take what has more than two axes as it is, instead of reshaped there and back."""
    readers, makers, gone = view.readers(), view.makers(), []
    for dense in view.operators:
        if view.kind(dense) != "FULLY_CONNECTED":
            continue
        before, after = makers.get(dense.inputs[0]), view.only_reader(dense, readers)
        if before is None or after is None or {view.kind(before), view.kind(after)} != {"RESHAPE"}:
            continue
        source, result = before.inputs[0], after.outputs[0]
        taken, given = view.shape(source), view.shape(result)
        if not taken or not given or not is_enough(taken) or taken[:-1] != given[:-1]:
            continue
        if (given[-1], taken[-1]) == view.shape(dense.inputs[1]) and view.is_like(dense.outputs[0], result):
            dense.inputs = np.array([source, *dense.inputs[1:]], np.int32)
            dense.outputs = after.outputs
            dense.builtinOptions.keepNumDims = True
            gone.append(after)
    view.remove(gone)


def _join_parts(view: View) -> None:
    """Has a function of numbers one by one be computed of what is put together, and not of each part."""
    readers, makers, gone = view.readers(), view.makers(), []
    for at, joint in reversed([*enumerate(view.operators)]):
        if view.kind(joint) != "CONCATENATION" or not view.is_float(joint.outputs[0]):
            continue
        parts = [makers.get(one) for one in joint.inputs]
        if None in parts or len({one.opcodeIndex for one in parts}) > 1 or view.kind(parts[0]) not in _ONE_BY_ONE:
            continue
        if len(parts) > len({id(one) for one in parts}) or None in [view.only_reader(one, readers) for one in parts]:
            continue
        between = view.writer.like(view.graph, view.graph.tensors[joint.outputs[0]])
        function = copy.copy(parts[0])
        function.inputs, function.outputs = np.array([between], np.int32), joint.outputs
        joint.inputs = np.array([one.inputs[0] for one in parts], np.int32)
        joint.outputs = function.inputs
        view.operators.insert(at + 1, function)
        gone += parts
    view.remove(gone)
