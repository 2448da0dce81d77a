"""Writes a model as a SavedModel with a card."""

import pathlib

import tensorflow as tf

from tfgen.export.card import make_card, write_card
from tfgen.export.folder import new_folder
from tfgen.export.signatures import captured_variables, signatures


def saved_model(model, path, *, card: dict | None = None, overwrite: bool = False) -> pathlib.Path:
    """Writes every endpoint of a model as a signature of a SavedModel, which needs TensorFlow alone to run.

    Pictures go in and out as uint8 levels; what draws random numbers takes `seed`, int32 of shape `(2,)`; the batch is
    free. `serving_default` is the model's main endpoint. A model that averages its weights is written with the
    averages. Only the weights that an endpoint reads are written, and neither Python code nor gradients.

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
        content = make_card(model, card)
        functions = signatures(model)
        weights = tf.Module()
        weights.variables_of_endpoints = captured_variables(functions.values())
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        with model.averaged_weights():
            tf.saved_model.save(weights, str(folder), signatures=functions, options=options)
        write_card(folder, content)
    return pathlib.Path(path)
