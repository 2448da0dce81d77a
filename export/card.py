"""The card of an artifact: what it is, where it comes from, and how to call it."""

import json
import math
import pathlib
import platform

import numpy as np

from tfgen.errors import InputError

NAME = "card.json"

#: Raised when a reader of older cards would misread a new one.
FORMAT = 1


def make_card(model, extra: dict | None = None) -> dict:
    """Returns what is known of a model, ready for JSON.

    Keys: `format`; `model` (id in the registry, or None), `class`, `arguments` (the constructor's, as
    `model.get_config()` gives them); `specs` (what an example holds: levels, class names); `paper`; `weights` (number
    of scalars that the endpoints use, players whose weights are moving averages); `signatures` (name -> `inputs` and
    `outputs`, each name -> `dtype` and `shape`, in which None is the free batch); `versions`; and `data`, `recipe`,
    `metrics` from `extra`.

    Arguments:
        model: a generative model.
        extra: what only the caller knows: `data`, `recipe` and `metrics`, or more of its own; of JSON's types, NumPy
            numbers and arrays, and paths. A number that JSON has no word for is written as `"nan"` or `"inf"`.

    Raises:
        InputError: a key of `extra` that the model answers for, or a value that is not for JSON.
    """
    from tfgen.export.signatures import captured_variables, describe, signatures

    functions = signatures(model)
    cls = type(model)
    entry = vars(cls).get("entry")  # not that of a base which is registered
    known = {
        "format": FORMAT,
        "model": entry.id if entry else None,
        "class": f"{cls.__module__}.{cls.__qualname__}",
        "arguments": model.get_config(),
        "specs": {key: {"kind": type(spec).__name__} | spec.get_config() for key, spec in model.specs.items()},
        "paper": entry and {key: getattr(entry, key) for key in ("title", "authors", "year", "url")},
        "weights": {
            "count": sum(math.prod(variable.shape) for variable in captured_variables(functions.values())),
            "averaged": list(model.averages),
        },
        "signatures": {name: describe(function) for name, function in functions.items()},
        "versions": _versions(),
    }
    extra = {"data": None, "recipe": None, "metrics": None} | (extra or {})
    taken = sorted(known.keys() & extra.keys())
    if taken:
        raise InputError(f"card: {', '.join(taken)} is filled in from the model; remove it")
    return jsonable(known | extra)


def _versions() -> dict[str, str]:
    import keras
    import tensorflow as tf
    import tensorflow_probability as tfp

    import tfgen

    modules = {"tfgen": tfgen, "tensorflow": tf, "keras": keras, "tensorflow_probability": tfp}
    return {name: module.__version__ for name, module in modules.items()} | {"python": platform.python_version()}


def jsonable(value, where: str = "card"):
    """Returns a value with the types of strict JSON only.

    Raises:
        InputError: it holds something else.
    """
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, (np.generic, np.ndarray)):
        return jsonable(value.tolist(), where)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, dict):
        return {str(key): jsonable(item, f"{where}: {key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item, where) for item in value]
    raise InputError(f"{where}: {type(value).__name__} is not for JSON; pass numbers, texts, lists and dicts")


def write_card(folder: pathlib.Path, card: dict) -> None:
    """Writes a card into an artifact's folder."""
    (folder / NAME).write_text(json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_card(path) -> dict:
    """Returns the card of an artifact.

    Arguments:
        path: the artifact's folder.

    Raises:
        InputError: no such folder, no card in it, or one that is damaged or of another format.
    """
    folder = pathlib.Path(path)
    if not folder.is_dir():
        raise InputError(f"{path}: no such artifact; it is the folder that the export wrote")
    try:
        card = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no {NAME} in it, so it is not an artifact of tfgen") from None
    except ValueError as error:
        raise InputError(f"{folder / NAME}: damaged ({error}); export anew") from error
    if not isinstance(card, dict) or "format" not in card:
        raise InputError(f"{folder / NAME}: not an artifact's card")
    if card["format"] != FORMAT:
        raise InputError(f"{folder / NAME}: format {card['format']}, but this tfgen reads {FORMAT}; export anew")
    return card
