"""Few scales for the weights of a quantised model.

The quantiser gives each channel of a kernel a scale of its own, and each bias: together they take the bytes of eight weights.
Dense layers have one scale, but no two the same.
"""

import math

import numpy as np

from tfgen.export.lite.models import Writer, listed, scale_of

# Layer -> places of its input and of its biases among what it takes. Its weights are the second.
_LAYERS = {"CONV_2D": (0, 2), "FULLY_CONNECTED": (0, 2), "TRANSPOSE_CONV": (2, 3)}
_WEIGHTS = 1

# The power of the noise of rounding with one scale is at most this many times that with one for each channel: one bit.
_MOST = 4.0

# Scales are powers of 2 ** (1 / 4).
_PER_OCTAVE = 4


class Kernels:
    """The weights of a float32 model that is to be quantised.

    Arguments:
        model: a `ModelT`.
    """

    def __init__(self, model):
        self._by_shape: dict[tuple[int, ...], dict[bytes, np.ndarray]] = {}
        for tensor in (tensor for graph in model.subgraphs for tensor in graph.tensors):
            data, shape = bytes(listed(model.buffers[tensor.buffer].data)), tuple(map(int, listed(tensor.shape)))
            if len(shape) > 1 and len(data) == 4 * math.prod(shape):
                self._by_shape.setdefault(shape, {})[data] = np.frombuffer(data, np.float32).reshape(shape)

    def rescale(self, model) -> None:
        """Gives the layers of the quantised model, in place, one round scale each where that costs little.

        The noise of rounding to multiples of s has the power s^2 / 12. A kernel keeps a scale for each channel if with the
        largest of these for all it would have more than four times as much.

        Arguments:
            model: a `ModelT`.
        """
        writer = Writer(model)
        for graph in model.subgraphs:
            of_weights, others = {}, set()
            for operator in graph.operators:
                is_layer = writer.kinds[operator.opcodeIndex] in _LAYERS
                for place, one in enumerate(map(int, operator.inputs)):
                    if is_layer and place == _WEIGHTS:
                        of_weights.setdefault(one, []).append(operator)
                    else:
                        others.add(one)
            for tensor, layers in of_weights.items():
                if tensor not in others:
                    self._rescale(writer, model, graph, graph.tensors[tensor], layers)

    def _rescale(self, writer: Writer, model, graph, weights, layers: list) -> None:
        data, known = listed(model.buffers[weights.buffer].data), scale_of(weights)
        if not len(data) or not known:
            return
        (scales, _, axis), whole = known, np.asarray(data).view(np.int8).reshape(weights.shape)
        scales = np.array(scales, np.float64)
        if scales.max() ** 2 > _MOST * np.mean(scales**2):
            return
        exact = self._exact(whole, scales.reshape([-1 if one == axis else 1 for one in range(whole.ndim)]))
        if exact is None:
            return
        scale = np.float32(2.0 ** (math.ceil(_PER_OCTAVE * math.log2(scales.max())) / _PER_OCTAVE))
        writer.fix(weights, np.clip(np.round(exact / scale), -127, 127).astype(np.int8), scale)
        for layer in layers:
            taken, at = _LAYERS[writer.kinds[layer.opcodeIndex]]
            if len(layer.inputs) > at and layer.inputs[at] >= 0:
                old = graph.tensors[layer.inputs[at]]
                numbers = np.asarray(model.buffers[old.buffer].data).view(np.int32) * (scales / scale)
                layer.inputs = np.array(layer.inputs)
                layer.inputs[at] = writer.like(graph, old)
                [given], *_ = scale_of(graph.tensors[layer.inputs[taken]])
                writer.fix(graph.tensors[layer.inputs[at]], np.round(numbers).astype(np.int32), given * scale)

    def _exact(self, whole: np.ndarray, scales: np.ndarray) -> np.ndarray | None:
        """Returns the weights that were rounded to whole multiples of scales, if they are known."""
        for exact in self._by_shape.get(whole.shape, {}).values():
            if np.all(np.abs(exact - whole * scales) <= 0.501 * scales):
                return exact
        return None
