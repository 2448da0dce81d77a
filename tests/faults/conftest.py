"""What faults are provoked with."""

import contextlib
import os
import resource
import subprocess

import pytest

from tests.test_cli import tfgen  # noqa: F401
from tests.training.runs import assert_same
from tfgen.errors import InputError
from tfgen.training import resume, train

# The least that has two players; a few steps in each of three epochs.
GAN = {"width": 4, "latent_size": 2}
OPTIONS = {"arguments": GAN, "epochs": 3, "batch_size": 400, "samples": 4, "verbose": 0, "seed": 5}


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A run to which nothing happened."""
    return train("gan", out=tmp_path_factory.mktemp("whole") / "run", **OPTIONS)


@pytest.fixture
def survives(whole):
    """Trains with a fault on the way, checks that it is told in one line, mends it, and resumes to the same numbers."""

    def run(out, message, *callbacks, mend=lambda: None):
        with pytest.raises(InputError, match=message) as error:
            train("gan", out=out, callbacks=callbacks, **OPTIONS)
        assert "\n" not in str(error.value)
        mend()
        assert not list(out.rglob("*writing*"))
        resumed = resume(out, verbose=0)
        assert_same(resumed, whole)
        return resumed

    return run


@contextlib.contextmanager
def longest_file(size):
    """Within it no file of this process grows beyond a size in bytes: the kernel refuses it as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def flag(tmp_path):
    """Gives `flag("+i", folder, ...)`, after which nothing can be made or removed there, by root neither; "-i" undoes it."""
    sealed = set()

    def change(sign, *folders):
        subprocess.run(["chattr", sign, *folders], check=True, capture_output=True)
        (sealed.update if sign == "+i" else sealed.difference_update)(folders)

    try:
        change("+i", tmp_path)
        change("-i", tmp_path)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to seal a folder, or a file system without flags")
    yield change
    if sealed:
        change("-i", *sealed)


class Disk:
    """A small disk of its own."""

    def __init__(self, path):
        self.path = path

    def fill(self, room=0):
        """Leaves so many bytes free."""
        with open(self.path / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        os.truncate(self.path / "filler", max(os.path.getsize(self.path / "filler") - room, 0))

    def empty(self):
        (self.path / "filler").unlink()

    def lock(self):
        subprocess.run(["mount", "-o", "remount,ro", self.path], check=True)

    def unlock(self):
        subprocess.run(["mount", "-o", "remount,rw", self.path], check=True)


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a disk")
    yield Disk(path)
    subprocess.run(["umount", path], check=True)
