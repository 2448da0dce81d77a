import os
import pathlib
import signal
import subprocess
import sys

import pytest

from tfgen.errors import InputError
from tfgen.training import lock
from tfgen.training.run import Run

HOLD = """
import sys, time
from tfgen.training import lock
with lock.held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of `tmp_path`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_process_is_told_who_the_first_is(tmp_path, holder):
    told = rf"in use by process {holder.pid} on {os.uname().nodename} since \d{{4}}-\d\d-\d\dT"
    with pytest.raises(InputError, match=told) as error, lock.held(tmp_path):
        pass
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=told):
        lock.check_free(tmp_path)


def test_the_lock_of_a_killed_process_is_no_obstacle(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / ".lock").exists()
    lock.check_free(tmp_path)
    with lock.held(tmp_path):
        assert str(os.getpid()) in (tmp_path / ".lock").read_text()
    Run.check_free(tmp_path)


def test_a_folder_that_is_let_go_is_as_it_was_and_free_for_the_next(tmp_path):
    for _ in range(2):
        with lock.held(tmp_path), pytest.raises(InputError, match=f"process {os.getpid()} "), lock.held(tmp_path):
            pass
        assert list(tmp_path.iterdir()) == []


def test_a_lock_that_its_holder_removed_meanwhile_is_made_again(tmp_path, monkeypatch):
    flock, removed = lock.fcntl.flock, []

    def remove_first(file, how):
        if not removed:
            removed.append(file)
            (tmp_path / ".lock").unlink()
        flock(file, how)

    monkeypatch.setattr(lock.fcntl, "flock", remove_first)
    with lock.held(tmp_path), pytest.raises(InputError, match="in use"):
        lock.check_free(tmp_path)
    assert removed


def test_a_folder_of_a_file_cannot_be_locked(tmp_path):
    file = pathlib.Path(tmp_path / "file")
    file.touch()
    with pytest.raises(InputError, match="cannot be written to: Not a directory"), lock.held(file):
        pass
