"""Proves that an artifact answers as its model does in Python."""

import pathlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from tfgen.endpoints import Example
from tfgen.errors import InputError, first_line
from tfgen.export.card import NAME
from tfgen.export.comparison import Arrays, Case, Report, Row, compare
from tfgen.export.files import check_files
from tfgen.export.full_precision import in_float32
from tfgen.export.operations import check_operations
from tfgen.export.reference import NAME as REFERENCE
from tfgen.export.reference import unpack_cases
from tfgen.export.signatures import describe, describe_tensors, served

#: Reference inputs are drawn with these numbers of examples.
BATCH_SIZES = (1, 3)


def verify(path, model=None) -> Report:
    """Loads an artifact anew and compares each of its signatures with what its model answers in Python.

    First come the checks of `check_files`: what is not as the card says is not loaded. Without a model, the reference
    cases that travel with the artifact have to come out. With one, inputs are drawn by the endpoints' kinds, for batches
    of 1 and of 3, and the model is asked. Integers must be equal but for a share of 0.001; floats may differ by 1e-4,
    times the expected number's size where that is above 1.

    Arguments:
        path: the artifact: a SavedModel's folder, or a TF-Lite file.
        model: what it was exported from, if that is at hand. Its averaged weights answer, where it has them, in float32.

    Returns:
        A report whose `ok` is False if a signature is missing, unknown, can not be called, or answers with another
        shape, dtype or number, or if the card tells of other signatures than there are.

    Raises:
        InputError: no such artifact, or one that is damaged or can not be loaded.
    """
    if pathlib.Path(path).suffix == ".tflite":
        from tfgen.export.lite.running import verify_lite

        return verify_lite(path)
    card = check_files(path)
    loaded = load(path).signatures
    actual = {name: describe(function) for name, function in loaded.items()}
    if model is None:
        reference = read_reference(path)
        problems = _unlike_card(card, {case.signature for case in reference}, actual)
    else:
        model = in_float32(model)
        problems = _unlike_model(model, actual)
        reference = cases(model, [name for name in served(model) if name not in problems])
    if card.get("signatures") != actual:
        problems[NAME] = "tells of other signatures than the artifact has"
    rows = [Row(name, problem=problem) for name, problem in problems.items()]
    rows += run_cases((case for case in reference if case.signature not in problems), loaded)
    return Report(str(path), tuple(sorted(rows, key=lambda row: row.signature)))


def _unlike_card(card: dict, asked: set[str], actual: dict[str, dict]) -> dict[str, str]:
    """Returns signature -> problem where there is not one in the card, the artifact and the reference cases."""
    told = card.get("signatures")
    told = set(told) if isinstance(told, dict) else set()
    return {
        **dict.fromkeys((asked | actual.keys()) - told, "not in the card"),
        **dict.fromkeys(told - asked, f"no case in {REFERENCE}"),
        **dict.fromkeys(told - actual.keys(), "missing in the artifact"),
    }


def _unlike_model(model, actual: dict[str, dict]) -> dict[str, str]:
    """Returns signature -> problem where the artifact has other ones than the model, or they take other tensors."""
    endpoints = served(model)
    problems = {name: "no endpoint of the model" for name in actual if name not in endpoints}
    for name, mark in endpoints.items():
        if name not in actual:
            problems[name] = "missing in the artifact"
            continue
        expected = describe_tensors({spec.name: spec for spec in mark.parameters(model).values()})
        if actual[name]["inputs"] != expected:
            problems[name] = f"takes {_listed(actual[name]['inputs'])}; expected {_listed(expected)}"
    return problems


def _listed(tensors: dict[str, dict]) -> str:
    return ", ".join(f"{name} {tensor['dtype']} {tensor['shape']}" for name, tensor in tensors.items()) or "nothing"


def read_reference(path) -> list[Case]:
    """Returns the reference cases of an artifact.

    Raises:
        InputError: there are none, or they are damaged.
    """
    file = pathlib.Path(path) / REFERENCE
    try:
        return unpack_cases(file.read_bytes(), str(file))
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); export anew") from error


def run_cases(reference: Iterable[Case], loaded: Mapping) -> list[Row]:
    """Compares the answers of loaded signatures with the expected ones; a row per output."""
    return compare(reference, lambda name, inputs: _run(loaded[name], inputs))


def _run(function, inputs: Arrays) -> Arrays:
    try:
        outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
    except (TypeError, ValueError, tf.errors.OpError) as error:
        raise InputError(first_line(error)) from error
    return {name: tensor.numpy() for name, tensor in outputs.items()}


def load(path):
    """Returns a loaded SavedModel.

    Raises:
        InputError: there is none, it is damaged, or it could do more than compute (see `check_operations`).
    """
    check_operations(path)
    try:
        return tf.saved_model.load(str(path))
    except Exception as error:  # there is no end to what a damaged file can raise
        raise InputError(f"{path}: damaged, can not be loaded ({first_line(error)}); export anew") from error


def cases(
    model,
    names: Iterable[str] | None = None,
    batch_sizes: Iterable[int] = BATCH_SIZES,
    examples: np.ndarray | None = None,
) -> Iterator[Case]:
    """Draws reference inputs, and asks the model in Python.

    Arguments:
        model: a generative model.
        names: of signatures; all unless given.
        batch_sizes: a case is made for each.
        examples: those that stand for the model's data; examples of random numbers unless given.
    """
    marks = served(model)
    for name in marks if names is None else names:
        mark = marks[name]
        outer = {parameter: spec.name for parameter, spec in mark.parameters(model).items()}
        for count in batch_sizes:
            # Each parameter has a seed of its own: two codes must not be the same one.
            arguments = {
                parameter: mark.inputs[parameter].reference(model, count, seed) for seed, parameter in enumerate(outer)
            }
            if examples is not None:
                taken = [parameter for parameter in outer if isinstance(mark.inputs[parameter], Example)]
                arguments |= {p: np.take(examples, at + np.arange(count), 0, mode="wrap") for at, p in enumerate(taken)}
            answer = getattr(model, mark.name)(**arguments)
            answer = answer if isinstance(answer, dict) else {mark.output(model): answer}
            yield Case(
                name,
                {outer[parameter]: value for parameter, value in arguments.items()},
                {output: np.asarray(tensor) for output, tensor in answer.items()},
            )
