"""Tells a person what an artifact is, from its card alone: TensorFlow is not imported."""

import json
import math
import pathlib
import shlex
from collections.abc import Callable

from tfgen.errors import InputError
from tfgen.export.card import DIGEST
from tfgen.export.files import check_files

# Examples in the calls that are shown.
_BATCH = 4

# Numbers above which an input is not written out in a request.
_WRITTEN_OUT = 16

_MAIN = "serving_default"

# See `tfgen.export.lite.running.Interpreter`.
_GROWN = (
    "  # another number of examples: another Interpreter, since one that ran on fewer can answer wrongly (LiteRT 2.3)"
)


def present(path) -> str:
    """Returns what an artifact is: signatures, shapes, sizes, what its verification gave, and how to call it.

    Arguments:
        path: the artifact.

    Raises:
        InputError: no such artifact, a damaged card, files that are missing, additional or of another size, or a kind of
            artifact that is not known here.
    """
    path = pathlib.Path(path)
    card = check_files(path, content=False)
    kind = card.get("kind")
    if kind not in _KINDS:
        raise InputError(f"{path}: an artifact of kind {kind!r}; this tfgen knows {', '.join(_KINDS)}")
    try:
        text = _KINDS[kind](path, card)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: the card lacks what a {kind} tells of itself ({error}); export anew") from error
    # A card comes from anywhere, and a terminal obeys what it prints.
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def _saved_model(path: pathlib.Path, card: dict) -> str:
    size = sum(file["size"] for file in card["files"].values())
    weights = card["weights"]["count"]
    head = f"{card['model'] or card['class']}: SavedModel, {weights:,} weights, {size:,} bytes in {len(card['files'])} files"
    return "\n".join(
        [
            head, *origin(card), "",
            "Signatures", *signature_lines(card["signatures"]), "",
            "Checks", *check_lines(path, card), "",
            "Python", *python_lines(path, card["signatures"]), "",
            "TensorFlow Serving", *serving_lines(path, card),
        ]
    )  # fmt: skip


def _lite(path: pathlib.Path, card: dict) -> str:
    asked = {told.partition(":")[0] for told in card["precisions"].values()}
    head = f"{card['model'] or card['class']}: TF-Lite, {' and '.join(sorted(asked))}, {path.stat().st_size:,} bytes"
    others = [f"  {name} is {told}" for name, told in card["precisions"].items() if ":" in told]
    noise = [
        f"  {name} answers with samples if {' and '.join(f'{one} is {kind}' for one, kind in drawn.items())}"
        for name, drawn in card["noise"].items()
    ]
    main = next(iter([*card["noise"], *card["signatures"]]))
    outputs = card["signatures"][main]["outputs"]
    given = [
        f"{key}={_drawn(told, card['noise'].get(main, {}).get(key))}"
        for key, told in card["signatures"][main]["inputs"].items()
    ]
    batch = "any number of examples" if card["batch"] is None else f"{card['batch']} examples"
    return "\n".join(
        [
            f"{head}, {card['weights']['count']:,} weights, {batch} per call", *origin(card), "",
            "Signatures", *signature_lines(card["signatures"]), *others, *noise, "",
            "Checks", *check_lines(path, card), "",
            "Python",
            "  import numpy as np",
            "  from ai_edge_litert.interpreter import Interpreter  # pip install ai-edge-litert",
            "  rng = np.random.default_rng(0)",
            f"  run = Interpreter({json.dumps(str(path))}).get_signature_runner({json.dumps(main)})",
            f"  run({', '.join(given)})[{json.dumps(next(iter(outputs)))}]",
            *([] if card["batch"] else [_GROWN]),
        ]
    )  # fmt: skip


def _drawn(tensor: dict, kind: str | None) -> str:
    """Returns an input for NumPy: random numbers where a sampler wants them, else zeros."""
    shape = tuple(_BATCH if size is None else size for size in tensor["shape"])
    uniform = f"rng.random({shape}, np.float32)"
    drawn = {
        "normal": f"rng.standard_normal({shape}, np.float32)",
        "uniform": uniform,
        "uniform in [-1, 1]": f"2 * {uniform} - 1",
    }
    return drawn.get(kind, f"np.zeros({shape}, np.{tensor['dtype']})")


# Kind of an artifact, as its card tells -> function that presents it.
_KINDS: dict[str, Callable[[pathlib.Path, dict], str]] = {"saved_model": _saved_model, "tflite": _lite}


def origin(card: dict) -> list[str]:
    """Returns lines on paper, data, averaged weights and versions."""
    paper, data, averaged = card["paper"], card["data"], card["weights"]["averaged"]
    lines = [f"{paper['title']}, {paper['authors']}, {paper['year']}", paper["url"]] if paper else []
    if data:
        lines.append(f"trained on {data.get('name', data) if isinstance(data, dict) else data}")
    if averaged:
        lines.append(f"averaged weights of {', '.join(averaged)}")
    return [*lines, ", ".join(f"{name} {version}" for name, version in card["versions"].items())]


def signature_lines(signatures: dict) -> list[str]:
    """Returns a line per signature: what goes in and what comes out."""
    main = signatures.get(_MAIN)
    named = {name: told for name, told in signatures.items() if name != _MAIN}
    width = max(map(len, named), default=0)
    return [
        f"  {name:{width}}  {_tensors(told['inputs'])} -> {_tensors(told['outputs'])}"
        + (f"  (also {_MAIN})" if name == _main_name(signatures) and main else "")
        for name, told in named.items()
    ]


def _main_name(signatures: dict) -> str:
    """Returns the signature that `serving_default` is another name of."""
    alike = [name for name, told in signatures.items() if name != _MAIN and told == signatures.get(_MAIN)]
    return "sample" if "sample" in alike else (alike or [_MAIN])[0]


def _tensors(tensors: dict) -> str:
    return ", ".join(f"{name} {tensor['dtype']} {_shape(tensor['shape'])}" for name, tensor in tensors.items())


def _shape(sizes: list[int | None]) -> str:
    """Returns `(batch, 8, 8, 1)`; what is free behind the first axis, unless that is one, is `*`."""
    first = next((axis for axis, size in enumerate(sizes) if size != 1), 0)
    free = ("batch" if axis == first else "*" for axis in range(len(sizes)))
    return f"({', '.join(name if size is None else str(size) for name, size in zip(free, sizes, strict=True))})"


def check_lines(path: pathlib.Path, card: dict) -> list[str]:
    """Returns lines on what was checked, when, and what may be checked now."""
    told = card["verification"]
    rows = told["rows"]
    errors = [float(row["max_error"]) for row in rows if row["max_error"] is not None and row["equal"] is None]
    shares = [row["equal"] for row in rows if row["equal"] is not None]
    found = [f"largest error of a float {max(errors):.1e}"] if errors else []
    found += [f"integers {math.floor(min(shares) * 1000) / 10:g}% equal"] if shares else []
    failed = (f"{row['signature']} {row['output'] or ''}: {row['problem']}" for row in rows if not row["ok"])
    lossy = any(kept.partition(":")[0] != "float32" for kept in card.get("precisions", {}).values())
    lost = max((row["loss"] for row in rows if row["loss"] is not None), default=0.0)
    good = f"loses at most {lost:.1%} of an output's range on average" if lossy else "equal to Python"
    verdict = good if told["ok"] else f"DIFFERS from Python: {'; '.join(failed)}"
    return [
        f"  when written, {told['when']}: {len({row['signature'] for row in rows})} signatures run, {verdict}"
        + (f" ({', '.join(found)})" if found else ""),
        f"  now: names and sizes are as in the card; tfgen verify {shlex.quote(str(path))} reads and runs all of it",
        *(
            [f"  SHA-256 of the card: {(path / DIGEST).read_text(encoding='ascii').split()[0]}"]
            if path.is_dir()
            else []
        ),
    ]


def python_lines(path: pathlib.Path, signatures: dict) -> list[str]:
    """Returns a program that calls the main signature."""
    name = _main_name(signatures)
    arguments = [f"{key}={_literal(key, told)}" for key, told in signatures[name]["inputs"].items()]
    outputs = list(signatures[name]["outputs"])
    return [
        "  import tensorflow as tf",
        f"  model = tf.saved_model.load({json.dumps(str(path))})",
        f"  model.signatures[{json.dumps(name)}]({', '.join(arguments)})[{json.dumps(outputs[0])}]",
    ]


def _literal(name: str, tensor: dict) -> str:
    shape = [_BATCH if size is None else size for size in tensor["shape"]]
    if tensor["dtype"] == "int32" and math.prod(shape) <= _WRITTEN_OUT:
        return f"tf.constant({_example(tensor)})"
    return f"tf.zeros({tuple(shape)}, tf.{tensor['dtype']})"


def _example(tensor: dict):
    """Returns an input as JSON would hold it: a number of examples, or zeros."""
    shape = [_BATCH if size is None else size for size in tensor["shape"]]
    value = 0 if shape or tensor["dtype"] != "int32" else _BATCH
    for size in reversed(shape):
        value = [value] * size
    return value


def serving_lines(path: pathlib.Path, card: dict) -> list[str]:
    """Returns commands that serve an artifact, and ask for its main signature by REST."""
    from tfgen.export.layout import docker_command

    served = card.get("serving")
    name = served["name"] if served else card["model"] or "model"
    folder = path.resolve()
    docker = (
        docker_command(folder.parent.parent)
        if served
        else f"docker run --rm -p 8501:8501 -v {shlex.quote(str(folder))}:/models/{shlex.quote(name)}/1 "
        f"-e MODEL_NAME={shlex.quote(name)} tensorflow/serving"
    )
    main = _main_name(card["signatures"])
    inputs = card["signatures"][main]["inputs"]
    large = [key for key, told in inputs.items() if math.prod(size or _BATCH for size in told["shape"]) > _WRITTEN_OUT]
    request = {
        "signature_name": main,
        "inputs": {key: "..." if key in large else _example(inputs[key]) for key in inputs},
    }
    lines = [f"  {docker}", f"  curl http://localhost:8501/v1/models/{shlex.quote(name)}:predict -d "
             f"{shlex.quote(json.dumps(request))}"]  # fmt: skip
    return lines + ([f"  with nested lists of numbers for {', '.join(large)}"] if large else [])
