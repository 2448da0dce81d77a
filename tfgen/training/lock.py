"""One process at a time trains in a run's folder."""

import contextlib
import datetime
import fcntl
import json
import os
import pathlib
import socket
import time
from collections.abc import Iterator

from tfgen.errors import InputError

_NAME = ".lock"


@contextlib.contextmanager
def held(folder: str | os.PathLike) -> Iterator[None]:
    """Within it this process holds the lock of a folder, which is there.

    The kernel frees the lock of a process that has ended, however it did.

    Raises:
        InputError: another holds it, or the folder cannot be written to.
    """
    path = pathlib.Path(folder) / _NAME
    try:
        file = _acquire(path)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written to: {error.strerror}") from None
    try:
        yield
    finally:
        # While it is still held: whoever opens the file now finds that it has gone, and makes another.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(file)


@contextlib.contextmanager
def changing(folder: str | os.PathLike) -> Iterator[None]:
    """Within it no other process changes what is written in a moment, as a record; waits for one that does.

    Who trains in the folder holds another lock.
    """
    file = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def check_free(folder: str | os.PathLike) -> None:
    """Raises InputError if a process holds the lock of a folder."""
    path = pathlib.Path(folder) / _NAME
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(_holder(path)) from None
    finally:
        os.close(file)


def is_lock(path: pathlib.Path) -> bool:
    """Returns whether a file of a run's folder is its lock."""
    return path.name == _NAME


def _acquire(path: pathlib.Path) -> int:
    """Returns the descriptor of the locked file."""
    deadline = time.monotonic() + 0.2
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its holder may have removed it between the two.
            if os.stat(path).st_ino == os.fstat(file).st_ino:
                since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
                os.ftruncate(file, 0)
                os.pwrite(
                    file, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}).encode(), 0
                )
                return file
        except FileNotFoundError:
            pass
        except BlockingIOError:
            # For a moment those hold it too who only look.
            if time.monotonic() > deadline:
                os.close(file)
                raise InputError(_holder(path)) from None
            time.sleep(0.02)
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _holder(path: pathlib.Path) -> str:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        who = f"process {told['pid']} on {told['host']} since {told['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process"
    return f"{path.parent}: in use by {who}; wait for it, or train in another folder"
