"""Trains with everything on for many epochs, and prints what memory the process holds after each and what was traced.

    python benchmarks/long_runs.py                       # 20 epochs of dcgan, pixel_cnn and iwae on digits
    python benchmarks/long_runs.py iwae --epochs 40

A run of `tfgen.training.train` with pictures, checkpoints (the best one too), TensorBoard's scalars, a validation, the watch
for NaN, averaged weights and, for `dcgan`, the doctor; networks and the part of the data are small, since what leaks does so
once for each epoch or step. Each model has a process of its own. Memory is what Linux calls the resident set, after Python's
garbage is collected and what is free was given back, so that what the allocator keeps is not taken for a leak; a training is
flat if no epoch behind the second has more than 3 % over it. Tracings are those of all functions of TensorFlow in the process;
none should come after the second epoch.
"""

import argparse
import ctypes
import gc
import os
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf
from tensorflow.python.eager.polymorphic_function import tracing_compilation

from tfgen.training import train

MODELS = {
    "dcgan": {"arguments": {"width": 8}, "doctor": True},
    "pixel_cnn": {"arguments": {"width": 8, "blocks": 2, "head_width": 16}},
    "iwae": {"arguments": {"hidden": (64, 64)}},
}
LIMIT = 1.03


class Tracings:
    """Counts what TensorFlow traces, whoever asks for it, while it is within `with`."""

    count = 0

    def __enter__(self):
        self._trace = trace = tracing_compilation._create_concrete_function

        def counted(*args, **kwargs):
            self.count += 1
            return trace(*args, **kwargs)

        tracing_compilation._create_concrete_function = counted
        return self

    def __exit__(self, *error):
        tracing_compilation._create_concrete_function = self._trace


class Curve(keras.callbacks.Callback):
    """Notes memory in MB and the number of tracings after each epoch."""

    def __init__(self, tracings: Tracings):
        super().__init__()
        self.tracings, self.rows = tracings, []

    def on_epoch_begin(self, epoch, logs=None):
        if epoch:
            self.note(epoch)  # behind all that was done after the last one

    def on_train_end(self, logs=None):
        self.note(len(self.rows) + 1)

    def note(self, epoch: int) -> None:
        self.rows.append((epoch, resident(), self.tracings.count))
        print(f"{epoch:5d} {self.rows[-1][1]:9.1f} {self.rows[-1][2]:9d}", flush=True)


def resident() -> float:
    """Returns the memory that the process holds, in MB."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def run(id: str, epochs: int) -> bool:
    """Trains a model, prints its curve, and returns whether it is flat and nothing is traced late."""
    print(f"{id}\nepoch        MB   tracings")
    with tempfile.TemporaryDirectory() as folder, Tracings() as tracings:
        curve = Curve(tracings)
        best = "val_discriminator_loss" if id == "dcgan" else "val_loss"
        train(
            id, out=f"{folder}/run", epochs=epochs, batch_size=64, validation="test", ema=0.99, keep_best=best,
            on_nan="stop", samples=16, verbose=0, callbacks=[curve], **MODELS[id],
        )  # fmt: skip
    after = [memory for _, memory, _ in curve.rows[1:]]
    late = curve.rows[-1][2] - curve.rows[1][2]
    growth = max(after) / after[0] - 1.0
    flat = max(after) <= LIMIT * after[0] and not late
    print(
        f"{id}: at most {growth:+.2%} after the second epoch, {late} tracings behind it{'' if flat else ': NOT FLAT'}",
        flush=True,
    )
    return flat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    if len(options.models) == 1:
        sys.exit(not run(options.models[0], options.epochs))
    print(f"TensorFlow {tf.__version__}", flush=True)
    line = [sys.executable, __file__, "--epochs", str(options.epochs)]
    sys.exit(max([subprocess.run([*line, id], check=False).returncode for id in options.models], default=0))


if __name__ == "__main__":
    main()
