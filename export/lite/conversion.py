"""Converts one signature of a SavedModel to TF-Lite, in this process or in one of its own."""

import pathlib
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping

import numpy as np

from tfgen.errors import InputError, first_line
from tfgen.export.lite.quantizing import prepare, quantize
from tfgen.export.lite.ranges import level

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

    if precision == "int8":
        return quantize(calibrate(folder, signature, samples))
    converter = _converter(folder, signature)
    converter.allow_custom_ops = linked
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return _converted(converter, signature)


def calibrate(folder: pathlib.Path, signature: str, samples: Iterable[dict]) -> bytes:
    """Returns a float32 model with one signature that tells which numbers its tensors had, for `quantize`.

    Arguments and errors are those of `convert`.
    """
    import tensorflow as tf

    converter, builtins = _converter(folder, signature), tf.lite.OpsSet
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [builtins.TFLITE_BUILTINS_INT8, builtins.TFLITE_BUILTINS]
    converter.representative_dataset = lambda: ((signature, sample) for sample in samples)
    converter._experimental_calibrate_only = True
    # It runs the float32 model as it comes from the converter.
    run = converter._quantize
    converter._quantize = lambda data, *others: run(prepare(data), *others)
    return _converted(converter, signature)


def _converter(folder: pathlib.Path, signature: str):
    import tensorflow as tf

    return tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[signature])


def _converted(converter, signature: str) -> bytes:
    try:
        return converter.convert()
    except Exception as error:  # the converter raises what its many parts raise
        lacking = sorted(set(re.findall(r"\ttf\.(\w+)\(", str(error))))
        reason = f"TF-Lite has no {', '.join(lacking)}" if lacking else first_line(error)
        raise InputError(f"{signature}: {reason}") from error


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
        waiting = [name for name in left if name not in found]
        if waiting and done.returncode:
            # Those behind the one that crashed have not had their turn; quantising comes when all are calibrated.
            begun = [name for name in waiting if not (folder / f"{name}.calibrated").exists()]
            last = done.stderr.strip().rpartition("\n")[2] if done.returncode > 0 else ""
            found[(begun or waiting)[0]] = ": ".join(
                filter(None, [f"the calibration crashed with exit code {done.returncode}", last])
            )
    return found


def _main(folder: str, *names: str) -> None:
    place, calibrated = pathlib.Path(folder), {}
    for name in names:
        known = place / f"{name}.calibrated"
        if not known.exists():
            samples: dict[str, dict] = {}
            with np.load(place / f"{name}.npz") as arrays:
                for key in arrays.files:
                    at, _, parameter = key.partition(":")
                    samples.setdefault(at, {})[parameter] = arrays[key]
            try:
                _write(known, calibrate(place / name, name, samples.values()))
            except InputError as error:
                print(f"cannot convert {error}", file=sys.stderr)
                continue
        calibrated[name] = known.read_bytes()
    for name, data in level(calibrated).items():
        try:
            _write(place / f"{name}.tflite", quantize(data))
        except Exception as error:  # the quantiser raises what its many parts raise
            print(f"cannot convert {name}: {first_line(error)}", file=sys.stderr)


def _write(path: pathlib.Path, data: bytes) -> None:
    path.with_suffix(".part").write_bytes(data)
    path.with_suffix(".part").replace(path)


if __name__ == "__main__":
    _main(*sys.argv[1:])
