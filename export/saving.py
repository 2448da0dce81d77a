"""Writes a model as a SavedModel with a card."""

import pathlib
from collections.abc import Mapping

import tensorflow as tf

from tfgen.export.card import make_card
from tfgen.export.comparison import Case, Report
from tfgen.export.files import seal
from tfgen.export.folder import new_folder
from tfgen.export.full_precision import in_float32
from tfgen.export.reference import NAME as REFERENCE
from tfgen.export.reference import pack_cases, prune
from tfgen.export.signatures import captured_variables, signatures
from tfgen.export.verification import cases, load, run_cases


def saved_model(model, path, *, card: dict | None = None, overwrite: bool = False) -> pathlib.Path:
    """Writes every endpoint of a model as a signature of a SavedModel, which needs TensorFlow alone to run.

    Pictures go in and out as uint8 levels; what draws random numbers takes `seed`, int32 of shape `(2,)`; the batch is
    free. `serving_default` is the model's main endpoint. A model that averages its weights is written with the
    averages, and one that was trained in half precision computes in float32 there. Only the weights that an endpoint reads
    are written, and neither Python code nor gradients.

    Reference cases go along, for batches of 1 and 3: inputs, and the model's answers in Python. Where they would take
    more than 32 MiB, only the smaller of a signature's cases stays. They are run before the artifact takes its place,
    and the card tells under `verification` what came out: `when` (UTC), and all of `Report.to_dict()`.

    Arguments:
        model: a generative model.
        path: folder to make. It appears whole or not at all, and an old artifact stays until the new one stands.
        card: `data`, `recipe`, `metrics` and what else the caller knows, for `card.json` (see `make_card`).
        overwrite: whether an artifact at `path` may be replaced.

    Returns:
        `path`.

    Raises:
        InputError: the path is taken, the card is not for JSON, or an endpoint can not be served by its name.
    """
    with new_folder(path, overwrite=overwrite) as folder:
        model, content = prepare(model, card)
        reference = write_model(model, folder)
        run_and_seal(folder, reference, content, path)
    return pathlib.Path(path)


def prepare(model, card: dict | None) -> tuple[object, dict]:
    """Returns the model that is written, which computes in float32, and the content of its card."""
    full = in_float32(model)
    return full, card_of(model, full, card)


def card_of(model, full, card: dict | None, **options) -> dict:
    """Returns the content of the card of a model that is written as another, of float32.

    Arguments:
        model: as it was trained.
        full: what is written.
        card, options: of `make_card`.
    """
    content = make_card(full, card, **options)
    content["weights"] |= {"averaged": list(model.averages), "trained_in": model.dtype_policy.name}
    return content


def write_model(model, folder: pathlib.Path) -> list[Case]:
    """Writes graphs, weights and reference cases into a folder; returns the cases."""
    save_graphs(model, signatures(model), folder)
    reference = prune(cases(model))
    (folder / REFERENCE).write_bytes(pack_cases(reference))
    return reference


def save_graphs(model, functions: Mapping, folder: pathlib.Path) -> None:
    """Writes graphs by the names of their signatures, with the weights that they read, averaged where there are averages."""
    weights = tf.Module()
    weights.variables_of_endpoints = captured_variables(functions.values())
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with model.averaged_weights():
        tf.saved_model.save(weights, str(folder), signatures=dict(functions), options=options)


def run_and_seal(folder: pathlib.Path, reference: list[Case], card: dict, path) -> Report:
    """Runs what was written on its reference cases, and writes the card, after which no file may be added.

    Arguments:
        folder: with everything but the card.
        reference: the cases.
        card: as `make_card` gives it.
        path: where the folder will be, for the report.
    """
    report = Report(str(path), tuple(run_cases(reference, load(folder).signatures)))
    seal(folder, card | report.to_card())
    return report
