"""Converts one signature of a SavedModel to TF-Lite, in this process or in one of its own."""

import pathlib
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping

import numpy as np

from tfgen.errors import InputError, first_line
from tfgen.export.lite.finishing import finish
from tfgen.export.lite.models import packed, unpacked
from tfgen.export.lite.separating import separate
from tfgen.export.lite.simplifying import simplify

#: What weights and arithmetic may be: float32; weights kept as float16; weights as int8 with arithmetic that picks its
#: ranges while it runs; int8 with ranges that were calibrated.
PRECISIONS = ("float32", "float16", "dynamic", "int8")


def convert(
    folder: pathlib.Path, signature: str, precision: str, samples: Iterable[dict] | None = None, linked: bool = False
) -> bytes:
    """Returns a model with one signature, of built-in operations only, unless it has placeholders for others.

    Arguments:
        folder: of a SavedModel, after `make_portable`.
        signature: its name.
        precision: of `PRECISIONS`.
        samples: inputs of the signature, name -> array, that show which numbers are to be expected; for `int8`.
        linked: whether placeholders of other signatures may be in it.

    Raises:
        InputError: an operation that TF-Lite does not have.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[signature])
    converter.allow_custom_ops = linked
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        builtins = tf.lite.OpsSet
        converter.target_spec.supported_ops = [builtins.TFLITE_BUILTINS_INT8, builtins.TFLITE_BUILTINS]
        converter.representative_dataset = lambda: ((signature, sample) for sample in samples)
        converter._quantize = _Quantizer(converter)
    try:
        return converter.convert()
    except Exception as error:  # the converter raises what its many parts raise
        lacking = sorted(set(re.findall(r"\ttf\.(\w+)\(", str(error))))
        reason = f"TF-Lite has no {', '.join(lacking)}" if lacking else first_line(error)
        raise InputError(f"{signature}: {reason}") from error


class _Quantizer:
    """Calibrates what the converter has made, and quantises it up to its last weights.

    Arguments:
        converter: of which it is the `_quantize`.
    """

    def __init__(self, converter):
        self._converter, self._calibrate = converter, converter._quantize

    def __call__(self, data: bytes, input_type, output_type, *others) -> bytes:
        from tensorflow.lite.python.convert import mlir_quantize

        # Calibration runs the float32 model as it comes from the converter.
        model = unpacked(data)
        simplify(model)
        separate(model)
        finished = finish(model)
        self._converter._experimental_calibrate_only = True
        model = unpacked(self._calibrate(packed(model), input_type, output_type, *others))
        for graph, place in finished.ranges:
            # What only moves numbers is quantised wherever these have ranges, and softmax wherever its input has.
            model.subgraphs[graph].tensors[place].quantization = None
        return mlir_quantize(
            packed(model),
            input_data_type=input_type,
            output_data_type=output_type,
            denylisted_nodes=finished.operations,
            # Dense layers have one scale, as TF-Lite's 8-bit specification has it; older runtimes know no other, and a scale
            # for each of its channels and of its biases, wherever a layer is called, is a sixteenth of a small file.
            disable_per_channel_for_dense_layers=True,
            debug_options_str=others[-1].SerializeToString(),
        )


def calibrate_apart(folder: pathlib.Path, samples: Mapping[str, Iterable[dict]]) -> dict[str, bytes | str]:
    """Returns what `convert` makes of signatures for `int8`, in a process of its own: calibration can crash.

    Arguments:
        folder: holds a SavedModel for each signature, by its name.
        samples: by signature.

    Returns:
        Signature -> model, or the reason why there is none.
    """
    for name, inputs in samples.items():
        arrays = {f"{at}:{key}": value for at, sample in enumerate(inputs) for key, value in sample.items()}
        np.savez(folder / f"{name}.npz", **arrays)
    found: dict[str, bytes | str] = {}
    while left := [name for name in samples if name not in found]:
        command = [sys.executable, "-m", __name__, str(folder), *left]
        done = subprocess.run(command, capture_output=True, text=True)
        told = dict(re.findall(r"^cannot convert (\w+): (.*)$", done.stderr, re.MULTILINE))
        for name in left:
            model = folder / f"{name}.tflite"
            if model.exists():
                found[name] = model.read_bytes()
            elif name in told:
                found[name] = told[name]
            else:
                found[name] = f"the calibration crashed with exit code {done.returncode}"
                break  # those behind it have not had their turn
    return found


def _main(folder: str, *names: str) -> None:
    for name in names:
        samples: dict[str, dict] = {}
        with np.load(pathlib.Path(folder, f"{name}.npz")) as arrays:
            for key in arrays.files:
                at, _, parameter = key.partition(":")
                samples.setdefault(at, {})[parameter] = arrays[key]
        try:
            data = convert(pathlib.Path(folder, name), name, "int8", samples.values())
        except InputError as error:
            print(f"cannot convert {error}", file=sys.stderr)
        else:
            place = pathlib.Path(folder, f"{name}.tflite")
            place.with_suffix(".part").write_bytes(data)
            place.with_suffix(".part").replace(place)


if __name__ == "__main__":
    _main(*sys.argv[1:])
