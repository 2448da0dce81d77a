"""Folders that appear whole or not at all."""

import contextlib
import ctypes
import glob
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Iterator

from tfgen.errors import InputError

try:
    import fcntl
except ImportError:  # not a Unix: nothing is locked, and nothing that was left behind is removed
    fcntl = None

# Of linux/fs.h and fcntl.h.
_RENAME_EXCHANGE, _AT_FDCWD = 2, -100


@contextlib.contextmanager
def new_folder(path, *, overwrite: bool = False, marker: str = "card.json") -> Iterator[pathlib.Path]:
    """Gives an empty folder to write into, which takes its place at `path` when the block ends.

    It is filled in a hidden sibling (see `workspace`), and is on the disk before it takes its place. On Linux an old
    folder is exchanged for the new one in one step, so that one of the two stands at `path` at every moment; where the
    system can not do that, the old one is moved aside to `.NAME.*.old` for the instant between two renames.

    Arguments:
        path: of the folder; missing parents are made. An empty folder counts as none.
        overwrite: whether a folder that holds `marker` may be replaced. Others never are.
        marker: a file that tells what was written here before from a folder of something else.

    Raises:
        InputError: the path is taken, or can not be written.
    """
    target = pathlib.Path(path).resolve()  # the place that a symbolic link points to, not the link
    _check_free(target, path, overwrite, marker)
    with workspace(target.parent, target.name, where=path) as hidden:
        folder = hidden / "new"  # unlike its parent it is open to those whom the umask lets in
        folder.mkdir()
        yield folder
        flush(folder)
        _check_free(target, path, overwrite, marker)  # somebody else may have come first
        if overwrite and target.exists():
            _replace(target, folder, hidden.with_suffix(".old"))
        else:
            os.rename(folder, target)
        sync(target.parent)


@contextlib.contextmanager
def workspace(parent: pathlib.Path, name: str, *, where=None) -> Iterator[pathlib.Path]:
    """Gives a hidden folder `.NAME.*.tmp` to work in, which is removed when the block ends.

    A kill leaves it behind, and the next workspace of that name beside it removes it: a lock, which ends with the process,
    tells which are in use.

    Arguments:
        parent: folder to make it in; made if it is not there.
        name: of what is made.
        where: what the user called the place, for messages; `parent` unless given.

    Raises:
        InputError: the parent can not be written.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(parent, name)
        path, held = _new_workspace(parent, name)
    except OSError as error:
        raise InputError(f"{where or parent}: cannot be written ({error.strerror})") from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if held is not None:
            os.close(held)


def _new_workspace(parent: pathlib.Path, name: str) -> tuple[pathlib.Path, int | None]:
    while True:
        path = pathlib.Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".tmp", dir=parent))
        if fcntl is None:
            return path, None
        held = _hold(path)
        # Before it was held, another process could take it for one that was left behind.
        if held is not None and path.exists():
            return path, held
        if held is not None:
            os.close(held)


def _remove_abandoned(parent: pathlib.Path, name: str) -> None:
    if fcntl is None:
        return
    for path in parent.glob(f".{glob.escape(name)}.*.tmp"):
        held = _hold(path)
        if held is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(held)


def _hold(folder: pathlib.Path) -> int | None:
    """Locks a folder until the process ends or closes what is returned; None if another holds it, or it is gone."""
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        return None
    return held


def flush(folder: pathlib.Path) -> None:
    """Waits until a folder and all that is in it is on the disk."""
    for parent, _, files in os.walk(folder):
        for name in files:
            sync(pathlib.Path(parent, name))
        sync(pathlib.Path(parent))


def sync(path: pathlib.Path) -> None:
    """Waits until a file's content, or the names in a folder, are on the disk."""
    if sys.platform == "win32":
        return  # there is no handle of a folder to flush
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


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
