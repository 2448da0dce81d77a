"""Disks that are full, read-only or foreign."""

import pathlib
import shutil

import pytest

from tests.faults.conftest import OPTIONS, longest_file
from tests.training.runs import At, as_format, assert_same, crash
from tfgen.errors import InputError, RunWarning
from tfgen.training import Run, resume, train


def test_a_checkpoint_that_may_not_grow_leaves_the_one_before(tmp_path, survives):
    limit = longest_file(20_000)
    run = survives(
        tmp_path / "run", "run: File too large; the last checkpoint is kept; --resume", At(2, 1, limit.__enter__),
        mend=lambda: limit.__exit__(None, None, None),
    )  # fmt: skip
    assert run.finished


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 30_000], ids=["not even the record", "half a checkpoint"])
def test_a_full_disk_leaves_the_checkpoint_before(disk, survives, room):
    out = disk.path / "run"

    def mend():
        assert [path.name for path in (out / "checkpoints").iterdir()] == ["epoch_0001.keras"]
        disk.empty()

    survives(out, "run: No space left on device; the last", At(2, 1, lambda: disk.fill(room)), mend=mend)


def test_a_read_only_folder_is_said_at_once(disk, tfgen):
    disk.lock()
    for arguments in (["vae", "--out", disk.path / "run"], ["vae", "--out", disk.path, "--force"]):
        code, _, err = tfgen("train", *arguments)
        assert (code, err.count("\n")) == (2, 1)
        assert err.endswith("cannot be written to: Read-only file system\n")


@pytest.mark.slow
def test_a_run_on_a_disk_that_became_read_only_goes_on_when_it_can_be_written_again(disk, whole, tfgen, capfd):
    out = disk.path / "run"
    with pytest.raises(RuntimeError, match="crash"):
        train("gan", out=out, callbacks=[At(2, 2, crash)], **OPTIONS)
    disk.lock()
    capfd.readouterr()
    code, _, err = tfgen("train", "--resume", "--out", out)
    assert (code, err) == (2, f"tfgen: {out}: cannot be written to: Read-only file system\n")
    disk.unlock()
    assert_same(resume(out, verbose=0), whole)


@pytest.mark.slow
def test_a_folder_that_becomes_read_only_during_a_training_keeps_the_checkpoint_before(tmp_path, survives, flag):
    out = tmp_path / "run"
    folders, message = (out, out / "checkpoints"), r"writing: Operation not permitted; the last checkpoint is kept"
    survives(out, message, At(2, 1, lambda: flag("+i", *folders)), mend=lambda: flag("-i", *folders))


def test_a_folder_below_a_file_is_said(tmp_path, tfgen):
    (tmp_path / "file").touch()
    code, _, err = tfgen("train", "gan", "--out", tmp_path / "file" / "run")
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot be written to: Not a directory" in err


@pytest.mark.slow
def test_a_folder_of_tensorboard_that_may_not_be_written_costs_one_warning(tmp_path, whole, flag):
    board = tmp_path / "run" / "tensorboard"

    def seal():
        board.mkdir()
        flag("+i", board)

    with pytest.warns(RunWarning, match="tensorboard: nothing is written for TensorBoard any more: ") as warnings:
        run = train("gan", out=tmp_path / "run", callbacks=[At(1, 1, seal)], **OPTIONS)
    assert len([one for one in warnings if one.category is RunWarning]) == 1
    assert not any(board.iterdir())
    assert_same(run, whole)


@pytest.mark.slow
def test_without_tensorboard_the_training_goes_on_with_one_warning(tmp_path, whole):
    board = tmp_path / "run" / "tensorboard"
    with pytest.warns(RunWarning, match="tensorboard: nothing is written for TensorBoard any more: ") as warnings:
        run = train("gan", out=tmp_path / "run", callbacks=[At(1, 1, board.touch)], **OPTIONS)
    assert len([one for one in warnings if one.category is RunWarning]) == 1
    assert board.is_file()
    assert_same(run, whole)


@pytest.mark.parametrize(("number", "age"), [(1, "an older"), (9, "a newer")])
def test_checkpoints_of_another_version_are_refused_and_left_alone(tmp_path, whole, tfgen, number, age):
    out = tmp_path / "run"
    shutil.copytree(whole.path, out)
    record = Run.open(out)
    record.write(status="interrupted")
    newest = record.checkpoints.newest()
    as_format(newest, number)
    before = newest.read_bytes()
    code, _, err = tfgen("train", "--resume", "--out", out)
    assert (code, err.count("\n")) == (2, 1)
    assert f"{newest}: a checkpoint of format {number}, written by {age} version" in err
    assert "begin anew with --force" in err
    assert newest.read_bytes() == before


def test_a_run_that_an_older_version_wrote_is_refused_and_left_alone(tmp_path, tfgen):
    """The folder was written by the last version that had checkpoints of format 1."""
    out = tmp_path / "run"
    shutil.copytree(pathlib.Path(__file__).with_name("older_version"), out)
    before = {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}
    code, _, err = tfgen("train", "--resume", "--out", out)
    assert (code, err.count("\n")) == (2, 1)
    assert "epoch_0001.keras: a checkpoint of format 1, written by an older version of tfgen" in err
    assert {path: path.read_bytes() for path in before} == before


def test_a_record_of_another_version_is_refused(tmp_path, whole, tfgen):
    shutil.copytree(whole.path, tmp_path / "run")
    Run.open(tmp_path / "run").write(format=9)
    code, _, err = tfgen("train", "--resume", "--out", tmp_path / "run")
    assert (code, err.count("\n")) == (2, 1)
    assert "a record of format 9, written by another version of tfgen, where this one has format 1" in err


@pytest.mark.slow
def test_a_flipped_byte_costs_the_epochs_since_the_checkpoint_before(tmp_path, whole, tfgen):
    out = tmp_path / "run"
    shutil.copytree(whole.path, out)
    Run.open(out).write(status="running")
    newest = out / "checkpoints" / "epoch_0003.keras"
    content = bytearray(newest.read_bytes())
    content[len(content) // 3] ^= 16
    newest.write_bytes(content)
    code, _, err = tfgen("train", "--resume", "--quiet", "--out", out)
    assert (code, err) == (0, f"tfgen: {newest} is damaged; the checkpoint before it is used\n")
    assert_same(Run.open(out), whole)


def test_the_model_of_a_finished_run_says_that_it_is_damaged(tmp_path, whole):
    shutil.copytree(whole.path, tmp_path / "run")
    file = tmp_path / "run" / "model.keras"
    content = bytearray(file.read_bytes())
    content[-200] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.keras: damaged, its checksum does not hold"):
        _ = Run.open(tmp_path / "run").model
    assert resume(tmp_path / "run").finished
