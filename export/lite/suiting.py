"""Has TF-Lite's quantiser make 8 bits of what LiteRT can compute in 8 bits, and the quantiser knows nothing of."""

import numpy as np

from tfgen.export.lite.models import Writer, keep_codes, listed

# A slope below zero that no network has.
_ALPHA = float(np.float32(1.2345e-30))


def suit(model) -> None:
    """Changes a float32 model, in place, to one that gives the same by operations that can have 8 bits.

    - What is negated is multiplied by -1, for NEG has no 8 bits.
    - A convolution of single pixels is a dense layer. So it has one scale, as it has where a sampler computes it for one
      pixel; else its weights would be in a file twice.

    Arguments:
        model: a `ModelT`.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    writer = Writer(model)
    for graph in model.subgraphs:
        for operator in graph.operators:
            kind, is_float = writer.kinds[operator.opcodeIndex], schema.TensorType.FLOAT32
            if kind == "NEG" and graph.tensors[operator.outputs[0]].type == is_float:
                minus = writer.tensor(graph, (), is_float, writer.buffer(np.array(-1.0, np.float32)))
                operator.inputs = np.array([*operator.inputs, minus], np.int32)
                writer.turn(operator, "MUL", schema.MulOptionsT())
            elif kind == "CONV_2D" and _is_of_single_pixels(model, graph, operator):
                old, options = graph.tensors[operator.inputs[1]], schema.FullyConnectedOptionsT()
                kernel = writer.tensor(graph, (old.shape[0], old.shape[3]), old.type, old.buffer)
                operator.inputs = np.array([operator.inputs[0], kernel, *operator.inputs[2:]], np.int32)
                options.keepNumDims = True
                options.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
                writer.turn(operator, "FULLY_CONNECTED", options)


def _is_of_single_pixels(model, graph, convolution) -> bool:
    options, kernel = convolution.builtinOptions, graph.tensors[convolution.inputs[1]]
    if not len(listed(model.buffers[kernel.buffer].data)):
        return False  # it is computed
    # A kernel of fewer channels than its input has groups.
    channels = graph.tensors[convolution.inputs[0]].shape[3]
    sizes = *kernel.shape[1:3], options.strideH, options.strideW
    return set(map(int, sizes)) == {1} and kernel.shape[3] == channels


def disguise(model) -> None:
    """Has ELUs of a calibrated model pass for another function of numbers one by one, which the quantiser knows.

    Arguments:
        model: a `ModelT`, changed in place.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    options = schema.LeakyReluOptionsT()
    options.alpha = _ALPHA
    _turn(model, "ELU", "LEAKY_RELU", options)


def reveal(model) -> None:
    """Turns what `disguise` has changed to what it was, in 8 bits now where it was quantised.

    Arguments:
        model: a `ModelT`, changed in place.
    """
    _turn(model, "LEAKY_RELU", "ELU", None)


def _turn(model, old: str, new: str, options) -> None:
    writer = Writer(model)
    operators = [one for graph in model.subgraphs for one in graph.operators]
    for operator in operators:
        if writer.kinds[operator.opcodeIndex] == old and getattr(operator.builtinOptions, "alpha", _ALPHA) == _ALPHA:
            writer.turn(operator, new, options)
    keep_codes(model, {one.opcodeIndex for one in operators})
