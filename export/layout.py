"""Where TensorFlow Serving finds models: a folder per model, and in it a folder per version."""

import contextlib
import json
import os
import pathlib
import re
import shlex
from collections.abc import Iterator

from tfgen.errors import InputError
from tfgen.export.folder import fcntl, sync

#: File in the root that lists the models for `--model_config_file`.
CONFIG = "models.config"

_HEADER = "# Written by tfgen; every export here writes it anew.\n"


def docker_command(root=None) -> str:
    """Returns the command that serves a root, by default the folder where it is called: gRPC on 8500, REST on 8501."""
    folder = '"$PWD"' if root is None else shlex.quote(str(pathlib.Path(root).resolve()))
    return (
        f"docker run --rm -p 8500:8500 -p 8501:8501 -v {folder}:/models tensorflow/serving "
        f"--model_config_file=/models/{CONFIG} --model_config_file_poll_wait_seconds=60"
    )


def versions(folder) -> list[int]:
    """Returns the versions in a model's folder, in order; other names are no versions for TensorFlow Serving either."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return sorted(int(path.name) for path in pathlib.Path(folder).iterdir() if re.fullmatch(r"[0-9]+", path.name))
    return []


def publish(folder: pathlib.Path, home: pathlib.Path) -> pathlib.Path:
    """Moves a complete folder to the next version of a model's folder; a version that is there is never replaced.

    Raises:
        InputError: the model's folder can not be written.
    """
    try:
        home.mkdir(exist_ok=True)
        path = home / str(max(versions(home), default=0) + 1)
        os.rename(folder, path)
        sync(home)
    except OSError as error:
        raise InputError(f"{home}: cannot be written ({error.strerror})") from error
    return path


@contextlib.contextmanager
def locked(root: pathlib.Path) -> Iterator[None]:
    """Keeps other exporters from choosing a version, or listing the models, at the same time."""
    if fcntl is None:
        yield
        return
    held = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def check_config(root: pathlib.Path) -> None:
    """Raises InputError if the root holds a `models.config` of somebody else."""
    file = root / CONFIG
    try:
        own = file.read_text(encoding="utf-8", errors="replace").startswith(_HEADER)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    if not own:
        raise InputError(f"{file}: not written by tfgen, so it is not overwritten; move it away")


def write_config(root: pathlib.Path) -> None:
    """Lists every folder that holds a version in `models.config`; to be called while the root is locked."""
    homes = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    models = [
        f'  config {{ name: {json.dumps(name)} base_path: {json.dumps(f"/models/{name}")} model_platform: "tensorflow" }}\n'
        for name in homes
        if versions(root / name)
    ]
    check_config(root)
    new = root / f".{CONFIG}.new"
    new.write_text(f"{_HEADER}model_config_list {{\n{''.join(models)}}}\n", encoding="utf-8")
    os.replace(new, root / CONFIG)
