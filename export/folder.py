"""Folders that appear whole or not at all."""

import contextlib
import ctypes
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Iterator

from tfgen.errors import InputError

# Of linux/fs.h and fcntl.h.
_RENAME_EXCHANGE, _AT_FDCWD = 2, -100


@contextlib.contextmanager
def new_folder(path, *, overwrite: bool = False, marker: str = "card.json") -> Iterator[pathlib.Path]:
    """Gives an empty folder to write into, which takes its place at `path` when the block ends.

    It is filled in a hidden sibling `.NAME.*.tmp`, which an exception removes and a kill leaves behind. On Linux an
    old folder is exchanged for the new one in one step, so that one of the two stands at `path` at every moment;
    where the system can not do that, the old one is moved aside to `.NAME.*.old` for the instant between two renames.

    Arguments:
        path: of the folder; missing parents are made. An empty folder counts as none.
        overwrite: whether a folder that holds `marker` may be replaced. Others never are.
        marker: a file that tells what was written here before from a folder of something else.

    Raises:
        InputError: the path is taken, or can not be written.
    """
    target = pathlib.Path(path).resolve()  # the place that a symbolic link points to, not the link
    _check_free(target, path, overwrite, marker)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        workspace = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        folder = workspace / "new"  # unlike its parent it is open to those whom the umask lets in
        folder.mkdir()
        yield folder
        _check_free(target, path, overwrite, marker)  # somebody else may have come first
        if overwrite and target.exists():
            _replace(target, folder, workspace.with_suffix(".old"))
        else:
            os.rename(folder, target)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _check_free(target: pathlib.Path, path, overwrite: bool, marker: str) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not target.is_dir():
        raise InputError(f"{path}: is a file; choose another path")
    if not (target / marker).is_file():
        raise InputError(f"{path}: holds something else (no {marker}); choose another path")
    if not overwrite:
        raise InputError(f"{path}: exists already; pass overwrite=True to replace it")


def _replace(target: pathlib.Path, folder: pathlib.Path, aside: pathlib.Path) -> None:
    if _exchange(folder, target):
        return
    try:
        os.rename(target, aside)
        os.rename(folder, target)
    except BaseException:
        if aside.exists() and not target.exists():
            os.rename(aside, target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Swaps two folders in one step; returns whether the system could."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    paths = os.fsencode(one), os.fsencode(other)
    return rename is not None and rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0
