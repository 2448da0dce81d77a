"""Measures how much two workers on a core each gain over one worker on one core, for the same batches.

    python benchmarks/scaling.py                                     # dcgan and pixel_cnn, cores 0 and 1
    python benchmarks/scaling.py vae --batch 256 --cores 2 3 --repeats 5

A row is a model: images per second of one worker with whole batches and of two workers with half of each, by
`MultiWorkerMirroredStrategy` on loopback; their ratio; and the efficiency, half of it. Workers are processes that are pinned
to their core, with one thread for an operation. The two are measured in turn, `repeats` times; a time is that of the fastest
epoch but for the first of a process, in which graphs are made, and a figure the median of the repeats. The cores have to be
idle, and no two threads of one.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time

#: Of a model: what its constructor takes, at about the sizes of its recipe.
MODELS = {
    "dcgan": {"width": 32},
    "pixel_cnn": {"width": 32, "blocks": 4},
    "vae": {"hidden": (500,), "latent_size": 20},
}
EPOCHS = 4


def work(id: str, batch: int, steps: int) -> None:
    """Trains as one of the workers of TF_CONFIG, or alone, and prints the seconds of each epoch."""
    import numpy as np
    import tensorflow as tf

    workers = "TF_CONFIG" in os.environ
    scope = tf.distribute.MultiWorkerMirroredStrategy().scope() if workers else contextlib.nullcontext()
    import keras

    import tfgen
    from tfgen.specs import Images

    example = Images((32, 32, 1))
    images = np.random.default_rng(0).integers(0, example.levels, (steps * batch, *example.shape)).astype(np.uint8)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    data = tf.data.Dataset.from_tensor_slices({"image": images}).batch(batch, drop_remainder=True).with_options(options)
    with scope:
        model = tfgen.create(id, example=example, **MODELS[id])
        model.compile()
    seconds = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            seconds.append(time.perf_counter() - self.began)

    model.fit(data, epochs=EPOCHS, verbose=0, callbacks=[Watch()])
    print(json.dumps(seconds))


def measure(id: str, batch: int, steps: int, cores: list[int]) -> float:
    """Returns images per second of a worker on each of some cores."""
    with contextlib.ExitStack() as sockets:
        ports = []
        for _ in cores:
            one = sockets.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            ports.append(one.getsockname()[1])
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    processes = []
    for index, core in enumerate(cores):
        environment = os.environ | {
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_NUM_INTEROP_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        environment.pop("TF_CONFIG", None)
        if len(cores) > 1:
            environment["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        command = ["taskset", "--cpu-list", str(core), sys.executable, __file__, id, "--work"]
        command += ["--batch", str(batch), "--steps", str(steps)]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    told = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit(f"{id}: a worker on cores {cores} failed")
    # Workers wait for each other in every step; the slowest says how long it took.
    epochs = zip(*(json.loads(text.splitlines()[-1])[1:] for text in told), strict=True)
    return steps * batch / min(max(epoch) for epoch in epochs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help=", ".join(MODELS))
    parser.add_argument("--batch", type=int, default=64, help="examples of all workers together")
    parser.add_argument("--steps", type=int, default=30, help="of an epoch")
    parser.add_argument("--cores", type=int, nargs=2, default=[0, 1])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.models[0], options.batch, options.steps)
        return
    print(f"{'model':<12} {'batch':>6} {'one core':>10} {'two cores':>10} {'ratio':>6} {'efficiency':>11}")
    for id in options.models or ["dcgan", "pixel_cnn"]:
        rows = []
        for _ in range(options.repeats):
            rows.append(
                [measure(id, options.batch, options.steps, cores) for cores in (options.cores[:1], options.cores)]
            )
        one, two = (statistics.median(column) for column in zip(*rows, strict=True))
        ratio = statistics.median(row[1] / row[0] for row in rows)
        print(f"{id:<12} {options.batch:>6} {one:>10.0f} {two:>10.0f} {ratio:>6.2f} {ratio / 2:>11.0%}", flush=True)


if __name__ == "__main__":
    main()
