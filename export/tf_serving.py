"""Writes a model where TensorFlow Serving finds it."""

import pathlib
import re

from tfgen.errors import InputError
from tfgen.export.comparison import Report
from tfgen.export.folder import flush, workspace
from tfgen.export.layout import CONFIG, check_config, docker_command, locked, publish, write_config
from tfgen.export.saving import prepare, run_and_seal, write_model
from tfgen.export.warmup import import_protos, write_warmup

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def serving(
    model, root, *, name: str | None = None, card: dict | None = None, warmup: bool = True
) -> tuple[pathlib.Path, Report]:
    """Writes a model as the next version of `ROOT/NAME`, as `saved_model` does, for TensorFlow Serving.

    A version is run on its reference cases before a server can see it, and appears whole or not at all. Old versions
    stay; the server moves on to the newest by itself. Several processes may export at the same time, and get different
    versions. `ROOT/models.config` lists every model of the root. The card's `serving` tells `name` and `docker`, the
    command that serves the root from within it.

    A version holds `assets.extra/tf_serving_warmup_requests`: its reference inputs as requests, which a server answers
    before it takes others, so that no client waits for a graph to be compiled.

    Arguments:
        model: a generative model.
        root: folder of all models; made if it is not there.
        name: of the model for clients: letters, digits, `_`, `.` and `-`. Its id in the registry, or its Keras name,
            unless given.
        card: as in `saved_model`.
        warmup: whether warm-up requests are written, which takes `pip install "tfgen[serving]"`.

    Returns:
        `ROOT/NAME/VERSION`, and what the run on the reference cases gave.

    Raises:
        InputError: as in `saved_model`; a name that is none; tensorflow-serving-api is missing; `models.config` is
            somebody else's; or the artifact answers otherwise than the model, and then nothing is published.
    """
    root = pathlib.Path(root)
    entry = vars(type(model)).get("entry")
    name = name if name is not None else entry.id if entry else model.name
    if not _NAME.fullmatch(name) or name == CONFIG:
        raise InputError(f"name {name!r}: letters, digits, '_', '.' and '-' make a name, and the first two begin it")
    if warmup:
        import_protos()
    check_config(root)
    model, told = prepare(model, {"serving": {"name": name, "docker": docker_command()}} | (card or {}))
    with workspace(root, name) as hidden:
        folder = hidden / "new"
        folder.mkdir()
        reference = write_model(model, folder)
        if warmup:
            write_warmup(folder, name, reference)
        report = run_and_seal(folder, reference, told, root / name)
        if not report.ok:
            row = next(row for row in report.rows if not row.ok)
            raise InputError(f"{root / name}: nothing published; {row.signature}, {row.output}: {row.problem}")
        flush(folder)
        with locked(root):
            path = publish(folder, root / name)
            write_config(root)
    return path, Report(str(path), report.rows)
