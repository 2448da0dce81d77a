"""Ranges of numbers that were found by calibration, before 8 bits are made of them."""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from tfgen.export.lite.models import kinds_of, listed, packed, unpacked

# What weights stand in, and what follows them in a layer.
_LAYERS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}

# Bounds are powers of 2 ** (1 / 4), and are made equal if they are at most two such apart.
_PER_OCTAVE, _APART = 4, 2


def level(models: Mapping[str, bytes]) -> dict[str, bytes]:
    """Has a layer take and give numbers of one range wherever it stands, which is all that it was seen to take and give.

    A likelihood and a sampler have the same layers in other graphs. Of the same range their biases are the same whole numbers.
    A loop's variable has one range, too: else each step would turn what the last one gave to another scale.

    Arguments:
        models: float32 models with ranges, by name.
    """
    parts = {name: unpacked(data) for name, data in models.items()}
    alike = [*_alike(parts.values())]
    changed = True
    while changed:  # what one layer gives another one takes
        changed = False
        for ranges in alike:
            low, high = min(one.min[0] for one in ranges), max(one.max[0] for one in ranges)
            for one in ranges:
                if (one.min[0], one.max[0]) != (low, high):
                    one.min, one.max, changed = np.array([low], np.float32), np.array([high], np.float32), True
    return {name: packed(model) for name, model in parts.items()}


def _alike(models: Iterable) -> Iterable[list]:
    """Returns lists of the ranges of what the same layers take, of what they give, and of loops' variables."""
    found: dict[tuple, list] = {}
    for number, model in enumerate(models):
        kinds = kinds_of(model)
        for graph in model.subgraphs:
            for operator in graph.operators:
                kind = kinds[operator.opcodeIndex]
                if kind in _LAYERS:
                    ends = _ends_of_layer(model, graph, operator)
                else:
                    ends = _ends_of_step(model, number, operator) if kind == "WHILE" else ()
                for key, tensor in ends:
                    if has_range(tensor):
                        found.setdefault(key, []).append(tensor.quantization)
    return [ranges for ranges in found.values() if len(ranges) > 1]


def _ends_of_layer(model, graph, operator) -> Iterable[tuple]:
    """Yields what a layer takes and gives, each behind what is the same for the same layer."""
    inputs = [one for one in operator.inputs if one >= 0]
    data = [bytes(listed(model.buffers[graph.tensors[one].buffer].data)) for one in inputs]
    if data[1]:  # else what it multiplies by is computed
        weights, function = tuple(filter(None, data)), operator.builtinOptions.fusedActivationFunction
        yield from (((weights,), graph.tensors[one]) for one, part in zip(inputs, data, strict=True) if not part)
        yield from (((weights, function), graph.tensors[one]) for one in operator.outputs)


def _ends_of_step(model, number: int, loop) -> Iterable[tuple]:
    """Yields what a step of a loop takes and gives, each behind what is the same for the same variable."""
    at = loop.builtinOptions.bodySubgraphIndex
    body = model.subgraphs[at]
    for ends in (body.inputs, body.outputs):
        yield from (((number, at, place), body.tensors[one]) for place, one in enumerate(ends))


def widen(model) -> None:
    """Gives a model's numbers round ranges, in place, that contain what they had.

    So few scales are left, and most tensors of one type and shape are told by the same bytes. Between two powers lie 19
    percent: that takes an eighth of a bit on average, and at most a quarter more where bounds are made equal, and gives
    room to numbers that were not seen in calibration. Whole numbers, such as levels, keep the bounds that hit them.

    Arguments:
        model: a `ModelT`.
    """
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if has_range(tensor):
                low, high = float(tensor.quantization.min[0]), float(tensor.quantization.max[0])
                if not (low.is_integer() and high.is_integer()):
                    low, high = _rounded(low, high)
                    tensor.quantization.min, tensor.quantization.max = (
                        np.array([one], np.float32) for one in (low, high)
                    )


def _rounded(low: float, high: float) -> tuple[float, float]:
    if low >= 0.0 or high <= 0.0:
        return -_power(-low), _power(high)
    below, above = _power(-low), _power(high)
    if max(below / above, above / below) < 2.0 ** ((_APART + 0.5) / _PER_OCTAVE):
        below = above = max(below, above)
    return -below, above


def _power(bound: float) -> float:
    """Returns the next power that is no less, or the bound if it is not on its side of zero."""
    return 2.0 ** (math.ceil(_PER_OCTAVE * math.log2(bound)) / _PER_OCTAVE) if bound > 0.0 else bound


def has_range(tensor) -> bool:
    """Returns whether it was found which numbers a tensor has."""
    one = tensor.quantization
    return one is not None and len(listed(one.min)) == 1
