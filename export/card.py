"""The card of an artifact: what it is, where it comes from, and how to call it."""

import hashlib
import json
import math
import pathlib
import platform
from collections.abc import Mapping

from tfgen.errors import InputError

NAME = "card.json"

#: File beside the card with the card's own SHA-256, as `sha256sum` writes and checks it.
DIGEST = "card.json.sha256"

#: Raised when a reader of older cards would misread a new one.
FORMAT = 2


def make_card(model, extra: dict | None = None, *, kind: str = "saved_model", functions: Mapping | None = None) -> dict:
    """Returns what is known of a model, ready for JSON.

    Keys: `format`; `kind` of the artifact; `model` (id in the registry, or None), `class`, `arguments` (the
    constructor's, as `model.get_config()` gives them); `specs` (what an example holds: levels, class names); `paper`;
    `weights` (`count` of the scalars that the endpoints use, players whose weights are `averaged`, dtype policy that it
    was `trained_in`); `signatures` (name -> `inputs` and `outputs`, each name -> `dtype` and `shape`, in which None is the
    free batch); `versions`; and `data`, `recipe`, `metrics` from `extra`. The exporter adds `verification` (see
    `tfgen.export.saved_model`) and `files` (see `tfgen.export.check_files`).

    Arguments:
        model: a generative model.
        extra: what only the caller knows: `data`, `recipe` and `metrics`, or more of its own; of JSON's types, NumPy
            numbers and arrays, and paths. A number that JSON has no word for is written as `"nan"` or `"inf"`.
        kind: what `tfgen show` knows how to present.
        functions: signature name -> graph, where the artifact has not all of the model's.

    Raises:
        InputError: a key of `extra` that the model answers for, or a value that is not for JSON.
    """
    from tfgen.export.signatures import captured_variables, describe, signatures

    functions = functions or signatures(model)
    cls = type(model)
    entry = vars(cls).get("entry")  # not that of a base which is registered
    known = {
        "format": FORMAT,
        "kind": kind,
        "model": entry.id if entry else None,
        "class": f"{cls.__module__}.{cls.__qualname__}",
        "arguments": model.get_config(),
        "specs": {key: {"kind": type(spec).__name__} | spec.get_config() for key, spec in model.specs.items()},
        "paper": entry and {key: getattr(entry, key) for key in ("title", "authors", "year", "url")},
        "weights": {
            "count": sum(math.prod(variable.shape) for variable in captured_variables(functions.values())),
            "averaged": list(model.averages),
            "trained_in": model.dtype_policy.name,
        },
        "signatures": {name: describe(function) for name, function in functions.items()},
        "versions": _versions(),
    }
    extra = {"data": None, "recipe": None, "metrics": None} | (extra or {})
    taken = sorted((known.keys() | {"verification", "files"}) & extra.keys())
    if taken:
        raise InputError(f"card: {', '.join(taken)} is filled in by the exporter; remove it")
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
    import numpy as np  # here, because whoever only reads a card does not wait for it

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
    """Writes a card into an artifact's folder, and its SHA-256 beside it."""
    content = (json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    (folder / NAME).write_bytes(content)
    (folder / DIGEST).write_text(_digest_line(content), encoding="ascii")


def _digest_line(content: bytes) -> str:
    return f"{hashlib.sha256(content).hexdigest()}  {NAME}\n"


def read_card(path) -> dict:
    """Returns the card of an artifact, which is as it was written. What else is in the folder is not looked at.

    Arguments:
        path: the artifact's folder.

    Raises:
        InputError: no such folder, no card in it, or one that is damaged or of another format.
    """
    folder = pathlib.Path(path)
    if not folder.is_dir():
        raise InputError(f"{path}: no such artifact; it is the folder that the export wrote")
    content, digest = _read(folder / NAME), _read(folder / DIGEST)
    if content is None:
        raise InputError(f"{path}: no {NAME} in it, so it is not an artifact of tfgen")
    if digest is not None and digest != _digest_line(content).encode():
        raise InputError(f"{folder / NAME}: damaged, its SHA-256 is not that in {DIGEST}; export anew")
    try:
        card = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{folder / NAME}: damaged ({error}); export anew") from error
    if not isinstance(card, dict) or "format" not in card:
        raise InputError(f"{folder / NAME}: not an artifact's card")
    if card["format"] != FORMAT:
        raise InputError(f"{folder / NAME}: format {card['format']}, but this tfgen reads {FORMAT}; export anew")
    if digest is None:
        raise InputError(f"{path}: {DIGEST} is missing, so nothing tells whether {NAME} is whole; export anew")
    return card


def _read(file: pathlib.Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
