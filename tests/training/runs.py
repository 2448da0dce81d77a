"""Small runs, what interrupts them, and what it means that two are the same."""

import json
import os
import signal
import zipfile

import keras
import numpy as np

from tfgen.training.callbacks import read_history

SMALL = {
    "vae": {"hidden": (8,), "latent_size": 2},
    "pixel_cnn": {"width": 2, "blocks": 1, "head_width": 4},
    "dcgan": {"width": 4, "latent_size": 4},
    "adagan": {"width": 4, "latent_size": 4, "components": 2},
    "bayesian_gan": {"width": 4, "latent_size": 4, "generator_draws": 2, "chains": 1},
}
OPTIONS = {"epochs": 3, "batch_size": 400, "samples": 4, "verbose": 0, "seed": 5}


class At(keras.callbacks.Callback):
    """Does something once, after a batch of an epoch; both count from 1."""

    def __init__(self, epoch, batch, action):
        super().__init__()
        self.when, self.action, self.epoch = (epoch, batch), action, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch + 1) == self.when:
            self.action()


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def crash():
    raise RuntimeError("crash")


def state(model):
    """Everything that training changes: weights, averages, counters, and every optimizer."""
    arrays = [variable.numpy() for variable in model.variables]
    return arrays + [v.numpy() for optimizer in model.optimizers.values() for v in optimizer.variables]


def history(run):
    rows = read_history(run.path / "history.csv")
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def assert_same(run, other):
    for one, two in zip(state(run.model), state(other.model), strict=True):
        np.testing.assert_array_equal(one, two)
    assert history(run) == history(other)
    assert run.record["metrics"] == other.record["metrics"]
    for picture in (run.path / "samples").iterdir():
        assert picture.read_bytes() == (other.path / "samples" / picture.name).read_bytes()


def as_format(path, number):
    """Makes a checkpoint one of another format, as another version would have written it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    place = json.loads(members["training.json"]) | {"format": number}
    if number == 1:
        del place["format"]  # which it did not say
    members["training.json"] = json.dumps(place).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
