import contextlib
import json
import os
import signal
import socket
import time

import pytest
from runs import assert_same
from test_replicas import PROGRAM, assert_equal_after_20_steps, finish, start

from tfgen import training

pytestmark = pytest.mark.slow


def workers(*arguments, temporary):
    """Starts two workers on this machine, each with a temporary folder of its own."""
    with contextlib.ExitStack() as sockets:
        ports = []
        for _ in range(2):
            one = sockets.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            ports.append(one.getsockname()[1])
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    started = []
    for index in range(2):
        folder = temporary / f"worker_{index}"
        folder.mkdir(exist_ok=True)
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        told = [str(argument).replace("INDEX", str(index)) for argument in arguments]
        started.append(start(*told, TF_CONFIG=config, TMPDIR=str(folder)))
    return started


def test_two_workers_with_half_the_batch_equal_one_with_the_whole_batch(tmp_path):
    ids = ("vae", "nade", "wgan_gp")
    finish(start(PROGRAM, "one", tmp_path / "one.npz", *ids))
    finish(*workers(PROGRAM, "workers", tmp_path / "worker_INDEX.npz", *ids, temporary=tmp_path))
    for index in range(2):
        assert_equal_after_20_steps(tmp_path / "one.npz", tmp_path / f"worker_{index}.npz")


def train(out, *more, temporary):
    command = ["train", "vae", "--epochs", 8, "--batch-size", 400, "--samples", 4, "--set", "hidden=(8,)", "--quiet",
               "--set", "latent_size=2", "--validation", "test", "--strategy", "multi_worker", "--out", out]  # fmt: skip
    return workers("-c", "from tfgen.cli import main; main()", *command, *more, temporary=temporary)


def test_a_worker_that_is_killed_ends_the_others_and_all_resume_to_the_same_numbers(tmp_path):
    finish(*train(tmp_path / "whole", temporary=tmp_path))
    first, second = train(tmp_path / "killed", temporary=tmp_path)
    deadline = time.monotonic() + 300
    while not list((tmp_path / "killed" / "checkpoints").glob("epoch_000[2-9].keras")):
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.05)
    os.kill(second.pid, signal.SIGKILL)
    second.communicate()
    told = first.communicate(timeout=300)[0]
    assert first.returncode == 2, told[-3000:]
    assert "another worker has stopped; start all of them again with --resume" in told
    assert not training.Run.open(tmp_path / "killed").finished
    finish(*train(tmp_path / "killed", "--resume", temporary=tmp_path))
    assert_same(training.Run.open(tmp_path / "killed"), training.Run.open(tmp_path / "whole"))
    # The second has a folder of its own, which goes when it ends; what was killed could not remove it.
    assert not list((tmp_path / "worker_0").glob("tfgen-worker-*"))
    assert len(list((tmp_path / "worker_1").glob("tfgen-worker-*"))) == 1
    assert len(list((tmp_path / "whole" / "samples").iterdir())) == 8
