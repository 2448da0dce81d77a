"""A folder is written whole or not at all."""

import json
import subprocess
import sys

import pytest

from tfgen.errors import InputError
from tfgen.export import folder as folders
from tfgen.export.folder import new_folder

# Writes a folder of two files once for each line of code that doing so takes, in a process of its own that is
# killed in front of that line, and tells what is left each time.
KILLED_AT_EVERY_LINE = """
import json, os, pathlib, shutil, signal, sys
from tfgen.export import folder as folders

root, old = pathlib.Path(sys.argv[1]), sys.argv[2] == "old"

def write(path, content):
    (path / "card.json").write_text(content)
    (path / "weights").write_text(content)

def save(path):
    with folders.new_folder(path, overwrite=old) as folder:
        write(folder, "new")

def trace(frame, event, argument):
    global left
    if frame.f_code.co_filename not in (folders.__file__, shutil.__file__, "<string>"):
        return None
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return trace

found, moment, killed = [], 0, True
while killed:
    moment += 1
    path = root / str(moment) / "artifact"
    path.parent.mkdir()
    if old:
        path.mkdir()
        write(path, "old")
    child = os.fork()
    if not child:
        left = moment
        sys.settrace(trace)
        save(path)
        os._exit(0)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    found.append({file.name: file.read_text() for file in path.iterdir()} if path.exists() else None)
    others = [other.name for other in path.parent.iterdir() if other.name != "artifact"]
    assert all(name.startswith(".artifact.") for name in others), others
    assert killed or not others, others
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that exchanges folders")
@pytest.mark.parametrize("before", ["nothing", "old"])
def test_a_kill_in_front_of_any_line_leaves_the_old_folder_or_the_new_one(tmp_path, before):
    command = [sys.executable, "-c", KILLED_AT_EVERY_LINE, str(tmp_path), before]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    old = {"card.json": "old", "weights": "old"} if before == "old" else None
    new = {"card.json": "new", "weights": "new"}
    turned = found.index(new)
    assert len(found) > 20
    assert found == [old] * turned + [new] * (len(found) - turned)
    assert turned > 10


def make_artifact(path):
    path.mkdir()
    (path / "card.json").write_text("old")
    return path


def replace(path, overwrite=True, meanwhile=lambda: None):
    with new_folder(path, overwrite=overwrite) as folder:
        (folder / "card.json").write_text("new")
        meanwhile()


def interrupt():
    raise KeyboardInterrupt


def test_an_exception_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        replace(tmp_path / "new", meanwhile=interrupt)
    assert not list(tmp_path.iterdir())


def test_without_an_exchange_the_old_folder_comes_back_when_the_new_one_can_not_be_placed(tmp_path, monkeypatch):
    target = make_artifact(tmp_path / "artifact")
    rename, calls = folders.os.rename, []

    def fail_second(*paths):
        calls.append(paths)
        if len(calls) == 2:
            raise OSError("disk")
        rename(*paths)

    monkeypatch.setattr(folders, "_exchange", lambda *_: False)
    monkeypatch.setattr(folders.os, "rename", fail_second)
    with pytest.raises(OSError, match="disk"):
        replace(target)
    assert len(calls) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]
    assert (target / "card.json").read_text() == "old"


def test_without_an_exchange_the_new_folder_takes_the_place(tmp_path, monkeypatch):
    target = make_artifact(tmp_path / "artifact")
    monkeypatch.setattr(folders, "_exchange", lambda *_: False)
    replace(target)
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]
    assert (target / "card.json").read_text() == "new"


def test_an_artifact_is_replaced_only_when_asked(tmp_path):
    target = make_artifact(tmp_path / "artifact")
    with pytest.raises(InputError, match="exists already; pass overwrite=True"):
        replace(target, overwrite=False, meanwhile=interrupt)
    replace(target)
    assert (target / "card.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_what_is_no_artifact_is_never_replaced(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("mine")
    for name, message in {
        "file": "is a file",
        "home": "holds something else",
        "file/below": "cannot be written",
    }.items():
        with pytest.raises(InputError, match=message), new_folder(tmp_path / name, overwrite=True):
            pytest.fail("the block must not run")
    assert (tmp_path / "home" / "thesis.tex").read_text() == "mine"


def test_what_somebody_else_writes_in_the_meantime_is_kept(tmp_path):
    with pytest.raises(InputError, match="exists already"):
        replace(tmp_path / "one", overwrite=False, meanwhile=lambda: make_artifact(tmp_path / "one"))
    assert (tmp_path / "one" / "card.json").read_text() == "old"
    with pytest.raises(InputError, match="is a file"):
        replace(tmp_path / "two", meanwhile=lambda: (tmp_path / "two").write_text("mine"))
    assert (tmp_path / "two").read_text() == "mine"


def test_an_empty_folder_and_missing_parents_are_as_good_as_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "a" / "b"):
        replace(path, overwrite=False)
        assert (path / "card.json").read_text() == "new"


def test_others_may_read_the_folder_as_the_umask_says(tmp_path):
    plain = tmp_path / "plain"
    plain.mkdir()
    replace(tmp_path / "artifact")
    assert (tmp_path / "artifact").stat().st_mode == plain.stat().st_mode


def test_a_link_to_an_artifact_stays_a_link(tmp_path):
    target = make_artifact(tmp_path / "version_1")
    link = tmp_path / "current"
    link.symlink_to(target)
    replace(link)
    assert link.is_symlink()
    assert (target / "card.json").read_text() == "new"


HELD = """
import pathlib, sys, time
from tfgen.export.folder import workspace
with workspace(pathlib.Path(sys.argv[1]), "artifact") as hidden:
    (hidden / "half").write_text("written")
    print(hidden, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_process_left_behind_is_removed_and_what_is_in_use_is_not(tmp_path):
    start = lambda: subprocess.Popen([sys.executable, "-c", HELD, tmp_path], stdout=subprocess.PIPE, text=True)
    processes = [start(), start()]
    try:
        killed, used = (tmp_path / process.stdout.readline().strip() for process in processes)
        other = tmp_path / ".other.abc.tmp"
        other.mkdir()
        processes[0].kill()
        processes[0].wait()
        assert (killed / "half").exists()
        replace(tmp_path / "artifact")
        assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "artifact", used, other])
        assert (used / "half").exists()
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    replace(tmp_path / "artifact")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "artifact", other])


def test_a_workspace_that_is_taken_for_abandoned_at_once_is_made_anew(tmp_path, monkeypatch):
    hold, seen = folders._hold, []

    def late(folder):
        seen.append(folder)
        if len(seen) == 1:
            folder.rmdir()  # as the cleaning of another process would do
        return hold(folder)

    monkeypatch.setattr(folders, "_hold", late)
    with folders.workspace(tmp_path, "artifact") as hidden:
        assert hidden.exists()
        assert list(tmp_path.iterdir()) == [hidden]
    assert len(seen) == 2
