"""Writes a model as one TF-Lite file."""

import dataclasses
import pathlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfgen.endpoints import Count, Endpoint, Example, Label, Seed, Tensor
from tfgen.errors import InputError, unknown
from tfgen.export.comparison import SAMPLES, Arrays, Case, Report
from tfgen.export.full_precision import in_float32
from tfgen.export.lite.constants import sink_constants
from tfgen.export.lite.conversion import PRECISIONS, calibrate_apart, convert
from tfgen.export.lite.files import check_free, merge, write_file
from tfgen.export.lite.graph import make_portable
from tfgen.export.lite.linking import calls
from tfgen.export.lite.noise import NoiseTwin, noise_twin
from tfgen.export.lite.running import check, import_litert
from tfgen.export.lite.sharing import combined
from tfgen.export.reference import prune
from tfgen.export.saving import card_of, save_graphs
from tfgen.export.signatures import describe
from tfgen.export.verification import BATCH_SIZES, cases

#: Examples that show an int8 model which numbers are to be expected, and how many at a time.
_CALIBRATION, _PART = 128, 8

# Weights between which graphs are shared in int8: 0.5 to 4 MB in float32.
_SHARED = (125_000, 1_000_000)

# Folder of graphs that call others.
_LINKED = "linked"

# Endpoints that draw examples from random numbers which a caller passes.
_BY_NOISE = {"sample_from_noise", "generate"}


def lite_endpoints(model, batch: int | None = None) -> dict[str, Endpoint]:
    """Returns what a TF-Lite file offers, by name.

    That is what needs no random numbers, of which TF-Lite has none; and `sample`, which takes them as inputs, unless
    something else draws examples from noise. What the model's entry in the registry excepts is left out, unless the
    number of examples is fixed.
    """
    endpoints = model.endpoints()
    entry = getattr(type(model), "entry", None)
    by_noise = endpoints.keys() & _BY_NOISE
    return {
        name: mark
        for name, mark in endpoints.items()
        if (not _is_random(mark) or (name == "sample" and not by_noise))
        and (batch is not None or entry is None or name not in entry.without_lite)
    }


def _drawn_examples(model) -> np.ndarray:
    """Returns a few examples that a model draws, conditional on reference inputs where it is conditional."""
    [case] = cases(model, ["sample"], (max(BATCH_SIZES) + 1,))
    return case.outputs[model.endpoints()["sample"].output(model)]


def _drawn(model, mark: Endpoint, twin: NoiseTwin | None) -> dict[str, str]:
    """Returns input -> how it has to be drawn so that an endpoint answers with samples of the model."""
    if twin:
        return {name: one.kind for name, one in twin.noise.items()}
    names = {parameter: spec.name for parameter, spec in mark.parameters(model).items()}
    return {names[one]: kind.drawn(model) for one, kind in mark.inputs.items() if isinstance(kind, Tensor)}


def _chosen(model, names: Sequence[str]) -> dict[str, Endpoint]:
    offered = {name: mark for name, mark in model.endpoints().items() if name == "sample" or not _is_random(mark)}
    for name in names:
        if name not in offered:
            raise InputError(f"{model.name}: {unknown('endpoint', name, offered)}")
    return {name: offered[name] for name in names}


def _is_random(mark: Endpoint) -> bool:
    return any(isinstance(kind, Seed) for kind in mark.inputs.values())


def tflite(
    model,
    path,
    *,
    precision: str = "float32",
    endpoints: Sequence[str] | None = None,
    batch: int | None = None,
    data: Mapping[str, np.ndarray] | None = None,
    max_loss: float | None = None,
    card: dict | None = None,
    overwrite: bool = False,
) -> pathlib.Path:
    """Writes every endpoint of a model that can do without random numbers as a signature of a TF-Lite file.

    Samplers take noise: `generate` takes codes, `sample_from_noise` and `complete_from_noise` take uniforms, and `sample`
    what it would have drawn from its seed. The file needs built-in operations only. It was run on the reference cases that
    it carries before it takes its place; its card tells what came out.

    Arguments:
        model: a generative model. Its averaged weights are written, where it has them.
        path: of the file, ends in `.tflite`.
        precision: `float32`; `float16` and `dynamic` for weights of 16 and 8 bits; or `int8`, for arithmetic too.
        endpoints: the names of some, for a smaller file; also of those that the registry excepts, to see why.
        batch: number of examples that every call takes, for runtimes that want fixed shapes; any number unless given.
        data: examples as the model reads them, by key; `int8` looks at the first 128 for the ranges of numbers.
        max_loss: how much of its outputs' range an endpoint may be off on average, in [0, 1]; one that is off by more
            stays float32, as does one that LiteRT does not run with fewer bits.
        card: `data`, `recipe`, `metrics` and what else the caller knows (see `tfgen.export.make_card`).
        overwrite: whether a file of tfgen at `path` may be replaced.

    Returns:
        `path`.

    Raises:
        InputError: a wrong argument, `int8` without data, a path that is taken, or an endpoint that cannot be
            converted, or a converted one that answers otherwise than the model; or LiteRT is not installed.
    """
    path = _check(path, precision, batch, data and model.example.key in data, max_loss)
    check_free(path, overwrite)
    import_litert()  # which will run it
    full = in_float32(model)
    marks = lite_endpoints(full, batch) if endpoints is None else _chosen(full, endpoints)
    traced = {name: _trace(full, mark, batch) for name, mark in marks.items()}
    with full.averaged_weights():
        twins = {name: _twin(full, name, traced[name], batch) for name, mark in marks.items() if _is_random(mark)}
        functions = traced | {name: twin.function for name, twin in twins.items()}
    certain = {name: mark for name, mark in marks.items() if not _is_random(mark)}
    combinations = combined(full, certain, traced) if _shares(precision, batch, functions.values()) else {}
    # Of fewer bits is asked what they lose of such pictures as the model knows: it draws them itself, for the data are not
    # to travel with the file. Beyond the ranges that int8 was shown, any number is wrong.
    examples = None if precision == "float32" else _drawn_examples(full)
    asked = list(cases(full, marks, BATCH_SIZES if batch is None else (batch,), examples))
    if precision != "float32":
        # Enough samples to tell how far their distribution moves, in whole batches.
        several = -(-SAMPLES // (batch or SAMPLES)) * (batch or SAMPLES)
        asked += cases(full, marks.keys() & (_BY_NOISE | twins.keys()), (several,))
    reference = [
        dataclasses.replace(case, inputs=_taken(case.inputs, functions[case.signature], twins.get(case.signature)))
        for case in prune(asked)
    ]
    with tempfile.TemporaryDirectory() as workspace:
        place = pathlib.Path(workspace)
        for name, function in functions.items():
            save_graphs(full, {name: function}, place / name)
            sink_constants(place / name)
            make_portable(place / name)
        for name, function in combinations.items():
            save_graphs(full, {name: function}, place / _LINKED / name)
            make_portable(place / _LINKED / name)
        quantized = {}
        if precision == "int8":
            samples = {
                name: [
                    _taken(sample, functions[name], twins.get(name)) for sample in _calibration(full, mark, data, batch)
                ]
                for name, mark in marks.items()
                if name not in combinations
            }
            quantized = calibrate_apart(place, samples)
        parts, precisions = {}, {}
        for name in sorted(marks, key=combinations.__contains__):  # what is called comes first
            own = [case for case in reference if case.signature == name]
            if name in combinations:
                parts[name], precisions[name] = _combine(place / name, precision, parts, precisions, own, max_loss)
            else:
                parts[name], precisions[name] = _choose(place / name, precision, quantized.get(name), own, max_loss)
    # With weights of a quarter of the size graphs are a good part of a file.
    merged = merge(parts, compact=precision == "int8")
    peak = model.example.levels - 1 if hasattr(model.example, "levels") else None
    report = check(path.name, merged, reference, precisions, peak)
    if not report.ok:
        raise InputError(f"{path}: not written, since it does not answer as the model does\n{report}")
    content = card_of(model, full, card, kind="tflite", functions=traced)
    about = {
        "signatures": {name: describe(function) for name, function in functions.items()},
        "precisions": precisions,
        "batch": batch,
        "peak": peak,
        "noise": {
            name: _drawn(full, mark, twins.get(name))
            for name, mark in marks.items()
            if name in _BY_NOISE | twins.keys()
        },
    }
    write_file(path, merged, content | about | report.to_card(), reference)
    return path


def _check(path, precision, batch, has_data, max_loss) -> pathlib.Path:
    path = pathlib.Path(path)
    if path.suffix != ".tflite":
        raise InputError(f"{path}: the name of a TF-Lite file ends in .tflite")
    if precision not in PRECISIONS:
        raise InputError(unknown("precision", precision, PRECISIONS))
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
        raise InputError(f"batch: {batch!r}, expected a whole number of at least 1")
    if precision == "int8" and not has_data:
        raise InputError(
            "int8: pass data, examples by the key that the model reads; they tell the ranges of its numbers"
        )
    if max_loss is not None and not 0.0 <= max_loss <= 1.0:
        raise InputError(f"max_loss: {max_loss}, expected a share in [0, 1]")
    return path


def _trace(model, mark: Endpoint, batch: int | None):
    if batch is None or _is_random(mark):
        return model.compiled_endpoint(mark)
    # Not the graph but what it was traced from, which works out shapes from numbers.
    run, fixed, free = mark.bind(model).python_function, {}, {}
    for parameter, spec in mark.parameters(model).items():
        if isinstance(mark.inputs[parameter], Count):
            fixed[spec.name] = tf.constant(batch, tf.int32)
        else:
            shape = [batch if size is None else size for size in spec.shape]
            free[spec.name] = tf.TensorSpec(shape, spec.dtype, spec.name)
    return tf.function(lambda **given: run(**given, **fixed), autograph=False).get_concrete_function(**free)


def _shares(precision: str, batch: int | None, functions: Iterable) -> bool:
    """Returns whether endpoints that combine others have no graphs of their own.

    That is smaller, and slower: LiteRT hands what is called from graph to graph, and computes it without XNNPack. So it is for
    int8, which is to be 3.5 times smaller than float32 from 500 kB of weights on, as long as graphs are a good part of a
    file. Of a fixed batch only what takes this batch could be called.
    """
    weights = {id(variable): tf.size(variable).numpy() for function in functions for variable in function.variables}
    least, most = _SHARED
    return precision == "int8" and batch is None and least <= sum(weights.values()) < most


def _twin(model, name: str, function, batch: int | None) -> NoiseTwin:
    [count] = [parameter for parameter, kind in model.endpoints()[name].inputs.items() if isinstance(kind, Count)]
    return noise_twin(function, *(case.inputs for case in cases(model, [name], (2, 3))), count, batch)


def _taken(inputs: Arrays, function, twin: NoiseTwin | None) -> Arrays:
    """Returns those of an endpoint's inputs that its graph takes, noise in place of the seed where it has a twin."""
    if twin is not None:
        return twin.inputs(inputs)
    return {name: inputs[name] for name in function.structured_input_signature[1]}


def _calibration(model, mark: Endpoint, data: Mapping[str, np.ndarray], batch: int | None) -> Iterator[dict]:
    """Yields inputs of an endpoint, some at a time: examples and their classes from the data, others as they are drawn."""
    names = {parameter: spec.name for parameter, spec in mark.parameters(model).items()}
    count = min(_CALIBRATION, len(data[model.example.key]))
    part = batch or _PART
    for number, start in enumerate(range(0, count - count % part or count, part)):
        rows = np.arange(start, start + part) % count
        sample = {}
        for at, (parameter, name) in enumerate(names.items()):
            kind = mark.inputs[parameter]
            if isinstance(kind, Example):
                # Two examples of one endpoint are not the same.
                sample[name] = model.example.validate(data[model.example.key][(rows + at) % count])
            elif isinstance(kind, Label) and model.label is not None and model.label.key in data:
                sample[name] = np.maximum(np.asarray(data[model.label.key], np.int32)[rows], 0)
            else:
                sample[name] = kind.reference(model, part, 1000 * (number + 1) + at)
        yield sample


def _choose(folder: pathlib.Path, precision: str, quantized, cases: list[Case], max_loss: float | None):
    """Returns an endpoint's model, and the precision that it has, with the reason where that is not what was asked for."""
    name, told, data = folder.name, precision, quantized
    if isinstance(quantized, str):
        told, data = f"dynamic: {quantized}", None  # weights of 8 bits need no calibration
    if data is None:
        data = convert(folder, name, told.partition(":")[0])
    if precision != "float32" and (objection := _objection(check(name, data, cases, {name: told}), name, max_loss)):
        told = f"float32: {told} {objection}"
        data = convert(folder, name, "float32")
    return data, told


def _combine(
    folder: pathlib.Path, precision: str, parts: Mapping, precisions: Mapping, cases: list[Case], max_loss: float | None
):
    """Returns the model of an endpoint that calls others, and the precision that it gets from them.

    Where it does not answer well enough by these it has a graph of its own, in float32.
    """
    name = folder.name
    data = convert(folder.parent / _LINKED / name, name, "float32", linked=True)
    called = sorted(calls(data))
    told = next((precisions[one] for one in called if not precisions[one].startswith("float32")), "float32")
    told = told.partition(":")[0]
    if told == "float32" != precision:
        told = f"float32: as {' and '.join(called)}"
    report = check(name, merge({one: parts[one] for one in called} | {name: data}), cases, {name: told})
    if objection := _objection(report, name, max_loss):
        return convert(folder, name, "float32"), f"float32: {told.partition(':')[0]} {objection}"
    return data, told


def _objection(report: Report, name: str, max_loss: float | None) -> str:
    """Returns why an endpoint's model can not be taken, if it can not."""
    rows = [row for row in report.rows if row.signature in (name, "-")]
    lost = max(1.0 if row.loss is None else row.loss for row in rows)
    problem = next((row.problem for row in rows if row.problem), "")
    return problem or (f"loses {lost:.2g}" if max_loss is not None and lost > max_loss else "")
