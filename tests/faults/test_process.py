"""Processes that are stopped, killed, crowded, or whose clock is set back."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.faults.conftest import GAN, OPTIONS
from tests.test_cli import command
from tests.training.runs import SMALL, At, assert_same, press_ctrl_c
from tfgen.training import Interrupted, Run, resume, train


def test_the_second_of_two_processes_on_a_folder_is_told_who_the_first_is(tmp_path, whole, tfgen):
    hold = "import sys, time; from tfgen.training import lock\nwith lock.held(sys.argv[1]): print(flush=True); time.sleep(999)"
    process = subprocess.Popen([sys.executable, "-c", hold, tmp_path], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        (tmp_path / "run.json").write_bytes((whole.path / "run.json").read_bytes())
        Run.open(tmp_path).write(status="running")
        for arguments in (["--resume"], ["gan"], ["gan", "--force"]):
            code, _, err = tfgen("train", *arguments, "--out", tmp_path)
            assert (code, err.count("\n")) == (2, 1)
            assert f"{tmp_path}: in use by process {process.pid} on {os.uname().nodename} since 2" in err
        assert (tmp_path / "run.json").exists()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_run_is_not_disturbed_by_others_in_its_folder(tmp_path, whole, tfgen):
    out, codes = tmp_path / "run", []

    def intrude():
        for arguments in (["--resume"], ["gan", "--force"]):
            codes.append(tfgen("train", *arguments, "--out", out)[0])

    assert_same(train("gan", out=out, callbacks=[At(2, 2, intrude)], **OPTIONS), whole)
    assert codes == [2, 2]


@pytest.mark.slow
def test_ctrl_c_twice_stops_at_once_and_costs_the_epoch(tmp_path, whole, capfd):
    def press_twice():
        press_ctrl_c()
        press_ctrl_c()

    with pytest.raises(Interrupted, match="at once; its last checkpoint is kept"):
        train("gan", out=tmp_path, callbacks=[At(2, 2, press_twice)], **OPTIONS)
    assert capfd.readouterr().err == "\nstopping after this step; Ctrl-C again stops at once\n"
    stopped = Run.open(tmp_path)
    assert stopped.record["status"] == "interrupted"
    assert stopped.checkpoints.newest().name == "epoch_0001.keras"
    assert_same(resume(tmp_path, verbose=0), whole)


def test_a_clock_that_runs_backwards_does_not_end_a_run_before_it_began(tmp_path, whole, monkeypatch):
    hours = itertools.count()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600.0 * next(hours))
    began = time.monotonic()
    run = train("gan", out=tmp_path, **OPTIONS)
    assert run.record["started"] <= run.record["ended"]
    assert 0.0 < run.record["seconds"] <= time.monotonic() - began
    assert next(hours) >= 2
    assert_same(run, whole)


# Without oneDNN, whose kernels take a refused allocation for granted and crash.
CROWDED = """
import os, resource
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
from tfgen.cli import main
resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, resource.RLIM_INFINITY))
main()
"""


@pytest.mark.slow
def test_a_batch_that_does_not_fit_in_memory_is_said_with_its_size(tmp_path):
    # Weights of some hundred megabytes, activations of 80 gigabytes.
    sizes = ["--set", "hidden=(2000000,)", "--set", "latent_size=1", "--batch-size", "10000"]
    line = ["train", "vae", "--data", "ring", "--data-dir", tmp_path / "sets", *sizes, "--out", tmp_path / "run"]
    process = subprocess.run(
        [sys.executable, "-c", CROWDED, *map(str, line)], capture_output=True, text=True, check=False, timeout=300
    )
    told = [text for text in process.stderr.splitlines() if text.startswith("tfgen: ")]
    assert process.returncode == 2, process.stderr
    assert told == [f"tfgen: {tmp_path / 'run'}: out of memory with --batch-size 10000; begin anew with a smaller one"]
    assert "Traceback" not in process.stderr


KILLED = {
    "vae": SMALL["vae"],
    "pixel_cnn": SMALL["pixel_cnn"],
    "gan": GAN,
    # What else a model can have to remember: an equilibrium variable, and the noise of dropout.
    "began": {"width": 4, "code_size": 2, "latent_size": 2},
    "pixel_cnn_pp": {"width": 4, "blocks": 1, "resolutions": 1, "mixtures": 1, "dropout": 0.3},
}
AVERAGED = ["--ema", "0.9", "--validation", "test", "--keep-best", "val_elbo"]


@pytest.mark.slow
@pytest.mark.parametrize("id", KILLED)
def test_a_run_that_is_killed_at_random_moments_ends_where_an_uninterrupted_one_ends(tmp_path, id):
    """Ten trainings are killed, half of them while they write, and an export; what each wrote is where the next goes on."""
    out, moments = tmp_path / "run", random.Random(7)
    half_written = out / "checkpoints" / ".writing.keras"
    sizes = [part for name, value in KILLED[id].items() for part in ("--set", f"{name}={value}")]
    line = ["train", id, *sizes, "--epochs", "30", "--batch-size", "400", "--samples", "4", "--quiet"]
    line += AVERAGED if id == "vae" else ["--on-nan", "stop"]
    further, writing = [*line, "--out", out], 0
    for kill in range(10):
        newest = Run.open(out).checkpoints.newest() if kill else None
        process = command(*further)
        further = ["train", "--resume", "--quiet", "--out", out]
        # Each comes one epoch further, so that ten kills fit into the run however fast the machine is.
        wait_until(lambda newest=newest: newer(out / "checkpoints", newest), process)
        if kill % 2:
            wait_until(half_written.exists, process)
        else:
            time.sleep(moments.uniform(0.0, 0.3))
        process.kill()
        _, err = process.communicate()
        assert (process.returncode, err) == (-signal.SIGKILL, "")
        writing += half_written.exists()
        if kill == 5:
            killed_export(out)
    assert writing > 0
    assert Run.open(out).record["status"] == "running"
    for arguments in (further, [*line, "--out", tmp_path / "whole"]):
        process = command(*arguments)
        _, err = process.communicate()
        assert (process.returncode, err) == (0, "")
    run, whole = Run.open(out), Run.open(tmp_path / "whole")
    assert_same(run, whole)
    assert run.record.get("best") == whole.record.get("best")
    _, report = run.export()
    assert report.ok
    assert not list(out.glob(".export.*"))


def killed_export(out):
    """Kills an export of an unfinished run while it writes, which leaves no artifact."""
    process = command("export", out)
    wait_until(lambda: any(out.glob(".export.*.tmp/*/*")), process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (out / "export").exists()


def newer(folder, newest):
    """Whether there is a checkpoint that is newer than another, or than none."""
    return any(file.name > (newest.name if newest else "") for file in folder.glob("epoch_*.keras"))


def wait_until(true, process):
    deadline = time.monotonic() + 300
    while not true():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.001)
