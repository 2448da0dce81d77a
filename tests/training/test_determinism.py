"""The same numbers twice, to the last bit, from processes that know nothing of each other."""

import json
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from tests.training.runs import SMALL, assert_same
from tfgen.errors import InputError
from tfgen.training import Run, train


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Gives a function that begins `tfgen` as a user does, with as many threads as there are cores."""
    for name in ("TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)

    def begin(*arguments):
        line = [sys.executable, "-c", "from tfgen.cli import main; main()", *map(str, arguments)]
        return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    return begin


def end(process):
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err


@pytest.mark.slow
@pytest.mark.parametrize("id", ["vae", "pixel_cnn", "dcgan"])
def test_two_processes_train_to_the_same_last_bit(id, begin, tmp_path):
    settings = [f"--set={name}={json.dumps(value)}" for name, value in SMALL[id].items()]
    common = [*settings, "--ema=0.9", "--batch-size=100", "--samples=4", "--seed=5", "--validation=test", "--quiet"]
    both = [
        begin("train", id, *common, "--epochs=2", "--deterministic", "--out", tmp_path / str(which))
        for which in range(2)
    ]
    for process in both:
        end(process)
    one, two = (Run.open(tmp_path / str(which)) for which in range(2))
    assert one.record["training"]["deterministic"]
    assert_same(one, two)


@pytest.mark.slow
def test_a_deterministic_run_is_resumed_as_one(begin, tmp_path):
    settings = [f"--set={name}={json.dumps(value)}" for name, value in SMALL["vae"].items()]
    common = ["vae", *settings, "--batch-size=100", "--samples=4", "--quiet", "--deterministic"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for process in (
        begin("train", *common, "--epochs=2", "--out", whole),
        begin("train", *common, "--epochs=1", "--out", parts),
    ):
        end(process)
    # What it was begun with need not be said again, and holds.
    end(begin("train", "--resume", "--epochs=2", "--quiet", "--out", parts))
    one, two = Run.open(whole), Run.open(parts)
    assert two.record["training"]["deterministic"]
    assert_same(one, two)


def test_tensorflow_that_runs_already_with_several_threads_is_no_place_for_it(tmp_path, monkeypatch):
    monkeypatch.delenv("TF_NUM_INTEROP_THREADS", raising=False)
    tf.zeros(1)  # whichever test is the first
    with pytest.raises(InputError, match="deterministic: TensorFlow runs already, with several threads"):
        train("vae", out=tmp_path / "run", arguments=SMALL["vae"], deterministic=True)
    assert not os.listdir(tmp_path)
