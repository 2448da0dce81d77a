"""Proves that an artifact answers as its model does in Python."""

import pathlib
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.export.card import NAME, read_card
from tfgen.export.comparison import Arrays, Case, Report, Row, compare
from tfgen.export.signatures import describe, describe_tensors, served

#: Reference inputs are drawn with these numbers of examples.
BATCH_SIZES = (1, 3)


def verify(path, model) -> Report:
    """Loads a SavedModel anew and compares each of its signatures with the model in Python.

    Inputs are drawn by the endpoints' kinds, for batches of 1 and of 3. Integers must be equal but for a share of
    0.001; floats may differ by 1e-4, times the expected number's size where that is above 1.

    Arguments:
        path: the artifact's folder.
        model: what it was exported from. Its averaged weights answer, where it has them.

    Returns:
        A report whose `ok` is False if a signature is missing, unknown to the model, can not be called, or answers
        with another shape, dtype or number, or if the card tells of other signatures than there are.

    Raises:
        InputError: no such artifact, or one that can not be loaded.
    """
    card, endpoints = read_card(path), served(model)
    loaded = load(path).signatures
    problems = {name: "no endpoint of the model" for name in loaded if name not in endpoints}
    for name, mark in endpoints.items():
        if name not in loaded:
            problems[name] = "missing in the artifact"
            continue
        expected = describe_tensors({spec.name: spec for spec in mark.parameters(model).values()})
        actual = describe(loaded[name])["inputs"]
        if actual != expected:
            problems[name] = f"takes {_listed(actual)}; expected {_listed(expected)}"
    if card.get("signatures") != {name: describe(function) for name, function in loaded.items()}:
        problems[NAME] = "tells of other signatures than the artifact has"
    rows = [Row(name, problem=problem) for name, problem in problems.items()]
    sound = [name for name in endpoints if name not in problems]
    rows += compare(cases(model, sound), lambda name, inputs: _run(loaded[name], inputs))
    return Report(str(path), tuple(sorted(rows, key=lambda row: row.signature)))


def _listed(tensors: dict[str, dict]) -> str:
    return ", ".join(f"{name} {tensor['dtype']} {tensor['shape']}" for name, tensor in tensors.items()) or "nothing"


def _run(function, inputs: Arrays) -> Arrays:
    try:
        outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
    except (TypeError, ValueError, tf.errors.OpError) as error:
        raise InputError(_first_line(error)) from error
    return {name: tensor.numpy() for name, tensor in outputs.items()}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def load(path):
    """Returns a loaded SavedModel.

    Raises:
        InputError: there is none, or it is damaged.
    """
    if not (pathlib.Path(path) / "saved_model.pb").is_file():
        raise InputError(f"{path}: no saved_model.pb in it; export anew")
    try:
        return tf.saved_model.load(str(path))
    except Exception as error:  # there is no end to what a damaged file can raise
        raise InputError(f"{path}: damaged, can not be loaded ({_first_line(error)}); export anew") from error


def cases(model, names: Iterable[str] | None = None, batch_sizes: Iterable[int] = BATCH_SIZES) -> Iterator[Case]:
    """Draws reference inputs, and asks the model in Python.

    Arguments:
        model: a generative model.
        names: of signatures; all unless given.
        batch_sizes: a case is made for each.
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
            answer = getattr(model, mark.name)(**arguments)
            answer = answer if isinstance(answer, dict) else {mark.output(model): answer}
            yield Case(
                name,
                {outer[parameter]: value for parameter, value in arguments.items()},
                {output: np.asarray(tensor) for output, tensor in answer.items()},
            )
