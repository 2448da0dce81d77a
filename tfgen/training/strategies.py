"""Replicas of a training, on the devices of a machine or on several machines. Imports no TensorFlow until one begins."""

import atexit
import contextlib
import functools
import json
import os
import pathlib
import shutil
import tempfile

from tfgen.errors import InputError, unknown

#: `mirrored`: all GPUs of this machine, or its logical CPUs; `multi_worker`: a process for each entry of TF_CONFIG.
STRATEGIES = ("none", "mirrored", "multi_worker")


def check_strategy(name: str | None) -> None:
    """Raises InputError if there is no such strategy, or if TF_CONFIG does not say which workers there are."""
    if name not in (None, *STRATEGIES):
        raise InputError(unknown("strategy", name, STRATEGIES))
    if name == "multi_worker":
        _workers()


def follows(name: str) -> bool:
    """Returns whether this process is a worker that leaves the writing to the first."""
    return name == "multi_worker" and _workers()[0] > 0


def _workers() -> tuple[int, int]:
    """Returns the number of this worker, 0 for the first, and how many there are."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        raise InputError(
            "strategy: multi_worker needs TF_CONFIG, which says where the workers are; see README, Scaling"
        )
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        names = [(kind, index) for kind in ("chief", "worker") for index in range(len(cluster.get(kind, [])))]
        return names.index((task["type"], int(task["index"]))), len(names)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            'TF_CONFIG: expected {"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}} '
            f"with a task of the cluster, not {text[:200]}"
        ) from None


@functools.cache
def make_strategy(name: str):
    """Returns a strategy of TensorFlow, the same on each call; None for `none`.

    Raises:
        InputError: this process has used TensorFlow already, behind which workers cannot find each other.
    """
    if name == "none":
        return None
    import tensorflow as tf

    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        if "startup" not in str(error):
            raise
        raise InputError("strategy: multi_worker begins before TensorFlow is used; start a new process") from None


def scope(name: str) -> contextlib.AbstractContextManager:
    """Within it a model is made whose replicas are those of a strategy."""
    return contextlib.nullcontext() if name == "none" else make_strategy(name).scope()


def check_batch_size(name: str, size: int) -> None:
    """Raises InputError if a batch has not an example for each replica."""
    strategy = make_strategy(name)
    if strategy is not None and size < strategy.num_replicas_in_sync:
        raise InputError(f"batch_size: {size}, but there are {strategy.num_replicas_in_sync} replicas to share it")


def scratch(run: str | os.PathLike | None = None) -> pathlib.Path:
    """Returns a folder for a worker that follows, which is removed when it ends.

    What it does is what the first worker does, so that they never wait for each other; only where they write differs.

    Arguments:
        run: a folder of a run to go on with, which is copied but for pictures and logs.
    """
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tfgen-worker-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if run is not None:
        ignored = shutil.ignore_patterns(".*", "samples", "tensorboard", "export", "model.keras")
        shutil.copytree(run, folder, ignore=ignored, dirs_exist_ok=True)
    return folder
