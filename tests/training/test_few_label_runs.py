"""Runs on data of which few examples have a label."""

import json
import os
import signal
import sys

import keras
import numpy as np
import pytest

from tfgen import cli
from tfgen.errors import InputError
from tfgen.training import Interrupted, Run, resume, train
from tfgen.training.callbacks import read_history

SMALL = {"hidden": (6,), "latent_size": 3}
OPTIONS = {
    "epochs": 2, "batch_size": 400, "samples": 4, "verbose": 0, "seed": 5, "arguments": SMALL,
    "data_options": {"labels_per_class": 3, "labelled": 50},
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train("improved_gan", out=tmp_path_factory.mktemp("few") / "run", **OPTIONS)


def test_a_model_that_can_learn_from_labels_gets_the_few_without_being_told_to(run):
    assert run.record["model"]["conditional"] is True
    assert run.record["data"]["specs"]["label"]["partial"] is True
    assert run.model.label.partial
    assert "discriminator_labelled" in run.record["metrics"]
    # 1407 without a label, 350 in a batch.
    assert int(run.model.optimizers["generator"].iterations) == 2 * 5


def test_it_is_measured_on_the_labels_of_the_test_split(run):
    source = Run.open(run.path).source()
    assert source.arrays("test")["label"].min() == 0
    figures = run.evaluate("test")
    found = np.argmax(run.model.classify(source.arrays("test")["image"]), -1)
    assert figures["accuracy"] == pytest.approx(np.mean(found == source.arrays("test")["label"]), abs=1e-6)
    assert figures["accuracy_se"] > 0.0


def test_its_samples_are_of_no_class_that_could_be_asked_for(run):
    examples, labels = run.sample(3)
    assert examples.shape == (3, 8, 8, 1)
    assert labels is None
    with pytest.raises(InputError, match="samples no class that is asked for"):
        run.sample(3, labels=[0, 1, 2])


class StopAt(keras.callbacks.Callback):
    """Stops as Ctrl-C does, after a batch of the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 1):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_that_was_interrupted_goes_on_with_the_same_examples(run, tmp_path):
    with pytest.raises(Interrupted):
        train("improved_gan", out=tmp_path / "run", callbacks=[StopAt()], **OPTIONS)
    resumed = resume(tmp_path / "run", verbose=0)
    uninterrupted = Run.open(run.path).model  # from its file, as it was before it was measured
    for one, two in zip(resumed.model.variables, uninterrupted.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy(), one.path)
    last, expected = (read_history(r.path / "history.csv")[-1] for r in (resumed, run))
    assert {**last, "seconds": 0} == {**expected, "seconds": 0}


@pytest.mark.parametrize(
    ("id", "options", "message"),
    [
        ("vae", {}, "vae takes no labels; leave --labels-per-class out"),
        ("improved_gan", {"conditional": False}, "improved_gan takes no labels; leave --labels-per-class out"),
        ("am_gan", {}, "am_gan needs the labels of all examples; leave --labels-per-class out"),
        ("gated_pixel_cnn", {"conditional": True}, "gated_pixel_cnn needs the labels of all examples"),
        ("catgan", {"batch_size": 50}, "50 labelled examples in a batch of 50"),
        ("catgan", {"data_options": {"labels_per_class": 200}}, "class 0 has 142 examples, fewer than 200"),
    ],
)
def test_what_does_not_go_with_few_labels_is_said(tmp_path, id, options, message):
    with pytest.raises(InputError, match=message):
        train(id, out=tmp_path, **OPTIONS | {"arguments": {}} | options)


def test_few_labels_are_asked_for_on_the_command_line(tmp_path, monkeypatch, capfd):
    options = ["--labels-per-class", "3", "--labelled", "40", "--conditional", "--epochs", "1", "--batch-size", "400"]
    sizes = ["--set", "hidden=(6,)", "--set", "latent_size=3", "--samples", "4", "--quiet"]
    out = ["--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["tfgen", "train", "catgan", *options, *sizes, *out])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0, capfd.readouterr().err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["data"]["options"] == {"labels_per_class": 3, "labelled": 40}
