"""`tfgen demo`: three models on the handwritten digits of scikit-learn, from training to a verified artifact."""

import dataclasses
import json
import math
import os
import pathlib
import statistics
import sys
import time

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.svm import SVC

from tfgen import pictures
from tfgen.data import open_source
from tfgen.evaluation import Coverage, label_coverage
from tfgen.registry import get_entry
from tfgen.training import Run, train
from tfgen.training.callbacks import preview_picture, read_history
from tfgen.training.checkpoints import write_text

MODELS = ("vae", "pixel_cnn", "dcgan")

_IMPORTANCE_SAMPLES = 500
_COVERAGE_SAMPLES = 1000
_DIMENSIONS = 64
_SHOWN = 36


@dataclasses.dataclass(frozen=True)
class Result:
    """What the demo found out about a model.

    Attributes:
        id: of the model.
        parameters: number of trained weights.
        seconds: of the training, compilation included.
        epoch_seconds: median over the epochs.
        figures: of the test split; empty for a model without a likelihood.
        coverage: of the digits by its samples.
        verified: whether the artifact, loaded back, answers as the model.
    """

    id: str
    parameters: int
    seconds: float
    epoch_seconds: float
    figures: dict[str, float]
    coverage: Coverage
    verified: bool

    @property
    def cells(self) -> dict[str, str]:
        """The row of the table, by heading; empty where a model has no such figure."""
        nats = self.figures.get("nats")
        shares = self.coverage.shares
        return {
            "model": self.id,
            "parameters": f"{self.parameters:,}",
            "seconds": f"{self.seconds:.1f}",
            "s/epoch": f"{self.epoch_seconds:.2f}",
            "ELBO": self._figure("elbo"),
            "nats": self._figure("nats"),
            "bits/dim": "" if nats is None else f"{nats / (_DIMENSIONS * math.log(2.0)):.3f}",
            "digits": f"{self.coverage.covered} of {len(shares)}",
            "rarest": f"{int(shares.argmin())}: {self.coverage.smallest:.1%}",
            "SavedModel": "verified" if self.verified else "DIFFERS",
        }

    @property
    def line(self) -> str:
        """The likelihood of the test split, or for a model without one how its samples cover the digits."""
        cells = self.cells
        bound = f"ELBO {cells['ELBO']}; " if cells["ELBO"] else ""
        if cells["nats"]:
            return f"{bound}{cells['nats']} nats, {cells['bits/dim']} bits/dim"
        return f"digits covered: {cells['digits']}, the rarest is {cells['rarest']}"

    def _figure(self, name: str) -> str:
        return f"{self.figures[name]:.2f} ± {self.figures[name + '_se']:.2f}" if name in self.figures else ""


def run_demo(out: str | os.PathLike, *, quick: bool = False, verbose: int = 1) -> bool:
    """Trains, evaluates, exports and verifies the models, and prints a table; returns whether all were verified.

    Writes to `out`: a run per model with its artifact in `export/`, `<id>.png` with samples of each, `digits.png` with
    real digits, `demo.png` with all side by side, and `demo.json` with the numbers.

    Arguments:
        out: folder; former results in it are overwritten.
        quick: one epoch each.
        verbose: of Keras.
    """
    out = pathlib.Path(out)
    began = time.monotonic()
    console = Console() if sys.stdout.isatty() else Console(width=120)
    source = open_source("digits")
    classifier = Classifier(source)
    console.print(source.describe())
    console.print(f"an independent classifier is right on {classifier.accuracy:.1%} of the test digits")
    results, panels = [], [("digits", "real", _real(source))]
    for id in MODELS:
        console.rule(id)
        result, picture = _one(id, out / id, classifier, quick, verbose)
        results.append(result)
        panels.append((id, result.line, picture))
        console.print(f"{id}: {result.line}")
    for name, _, picture in panels:
        pictures.save(picture, out / f"{name}.png")
    pictures.save(pictures.sheet(panels, "Real digits, and what three models make of noise"), out / "demo.png")
    write_text(out / "demo.json", json.dumps([_record(result) for result in results], indent=2) + "\n")
    console.print(_table(results))
    for name in ("demo.png", "demo.json", *(f"{id}/export" for id in MODELS)):
        console.print(f"  {out / name}", highlight=False, soft_wrap=True)
    console.print(f"{time.monotonic() - began:.0f} seconds in all")
    return all(result.verified for result in results)


class Classifier:
    """A support vector machine that tells digits; it has seen real ones only.

    Arguments:
        source: of the digits; fitted on its training split.
    """

    def __init__(self, source):
        train, test = source.arrays("train"), source.arrays("test")
        self._machine = SVC(gamma=0.001, C=10.0).fit(self._flat(train["image"]), train["label"])
        #: Share of the test split that is told right.
        self.accuracy = float(np.mean(self(test["image"]) == test["label"]))

    def __call__(self, images) -> np.ndarray:
        """Returns a label for each picture, `(count,)`."""
        return self._machine.predict(self._flat(images))

    @staticmethod
    def _flat(images) -> np.ndarray:
        return np.reshape(images, (len(images), -1)).astype(np.float64)


def _one(id: str, path: pathlib.Path, classifier: Classifier, quick: bool, verbose: int):
    epochs = 1 if quick else get_entry(id).recipe("digits")["epochs"]
    run = train(id, data="digits", out=path, epochs=epochs, every=-(-epochs // 4), verbose=verbose, force=True)
    figures = _figures(run, quick)
    samples, _ = run.sample(_COVERAGE_SAMPLES, seed=1)
    coverage = label_coverage(classifier(samples), 10)
    _, report = run.export(force=True)
    print(str(report).splitlines()[-1] if report.ok else report)
    seconds = [float(row["seconds"]) for row in read_history(path / "history.csv")]
    result = Result(
        id, run.record["parameters"], run.record["seconds"], statistics.median(seconds), figures, coverage, report.ok
    )
    return result, preview_picture(run.model, _SHOWN, seed=0)


def _figures(run: Run, quick: bool) -> dict[str, float]:
    if run.record["model"]["id"] == "dcgan":
        return {}  # the losses of a game tell nothing about its generator
    samples = (16 if quick else _IMPORTANCE_SAMPLES) if run.record["model"]["id"] == "vae" else 0
    return run.evaluate("test", importance_samples=samples)


def _real(source):
    return pictures.of_examples(source.example, source.arrays("test")["image"][:_SHOWN])


def _record(result: Result) -> dict:
    return {
        "model": result.id,
        "parameters": result.parameters,
        "seconds": result.seconds,
        "seconds_per_epoch": result.epoch_seconds,
        "figures": result.figures,
        "shares": result.coverage.shares.tolist(),
        "covered": result.coverage.covered,
        "verified": result.verified,
    }


def _table(results: list[Result]) -> Table:
    table = Table(
        title="Digits: 8x8 pixels of 17 levels",
        caption=f"nats: exact for pixel_cnn, importance-weighted with {_IMPORTANCE_SAMPLES} samples for vae",
    )
    for name in results[0].cells:
        table.add_column(name, justify="left" if name == "model" else "right")
    for result in results:
        table.add_row(*result.cells.values())
    return table
