"""Makes an int8 model of a float32 one: what comes before calibration, and what comes after it."""

from tfgen.export.lite.carrying import carry
from tfgen.export.lite.finishing import finish
from tfgen.export.lite.kernels import Kernels
from tfgen.export.lite.models import keep_used_buffers, packed, unpacked
from tfgen.export.lite.ranges import widen
from tfgen.export.lite.separating import separate
from tfgen.export.lite.simplifying import simplify
from tfgen.export.lite.suiting import disguise, reveal, suit


def prepare(data: bytes) -> bytes:
    """Returns a float32 model, as it comes from the converter, in the form that is calibrated."""
    model = unpacked(data)
    simplify(model)  # what is negated twice, before it becomes products
    suit(model)
    simplify(model)
    separate(model, to_calibrate=True)
    return packed(model)


def quantize(data: bytes) -> bytes:
    """Returns a calibrated model with arithmetic of 8 bits up to its last weights.

    Arguments:
        data: a float32 model with one signature that tells which numbers its tensors had.
    """
    from tensorflow.lite.python.convert import mlir_quantize

    model = unpacked(data)
    simplify(model)
    finished = finish(model)
    for graph, place in finished.ranges:
        # What only moves numbers is quantised wherever these have ranges, and softmax wherever its input has.
        model.subgraphs[graph].tensors[place].quantization = None
    widen(model)
    disguise(model)
    kernels = Kernels(model)
    quantized = mlir_quantize(
        packed(model),
        denylisted_nodes=finished.operations,
        # Dense layers have one scale, as TF-Lite's 8-bit specification has it; older runtimes know no other, and a scale
        # for each of its channels and of its biases, wherever a layer is called, is a sixteenth of a small file.
        disable_per_channel_for_dense_layers=True,
    )
    model = unpacked(quantized)
    kernels.rescale(model)
    reveal(model)
    simplify(model)
    while carry(model):
        simplify(model)
    separate(model)
    keep_used_buffers(model)
    return packed(model)
