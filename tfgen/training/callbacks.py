"""Keras callbacks for looking at a training and for going on with it; each works in any `model.fit`."""

import csv
import io
import math
import os
import pathlib
import time
import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfgen import pictures
from tfgen.endpoints import samples_by_class
from tfgen.errors import InputError, RunWarning, unknown
from tfgen.specs import Points
from tfgen.training.best import Goal
from tfgen.training.building import spread_labels
from tfgen.training.checkpoints import Checkpoints, Place, is_whole, read_place, write_text
from tfgen.training.mishaps import Diverged
from tfgen.training.run import Interrupted


class SampleGrid(keras.callbacks.Callback):
    """Draws a picture of `model.preview` after an epoch, always from the same latents or seeds.

    Pictures become a grid, with a column per class if the model is conditional; points become a scatter plot, or a
    landscape if there are points of the data to compare with and a discriminator.

    Arguments:
        folder: where `epoch_0001.png`, `epoch_0002.png`, ... are written.
        count: number of examples.
        seed: of the latents or draws.
        every: number of epochs between two pictures; the last epoch always has one.
        data: points of the data, float32 `(count, 2)`.
    """

    def __init__(self, folder: str | os.PathLike, count: int = 64, seed: int = 0, every: int = 1, data=None):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.count, self.seed, self.every, self.data = count, seed, every, data

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every and epoch + 1 != self.params["epochs"]:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.data is not None and has_landscape(self.model):
            picture = landscape(self.model, self.data, self.seed)
        else:
            picture = preview_picture(self.model, self.count, self.seed)
        pictures.save(picture, self.folder / f"epoch_{epoch + 1:04d}.png")


def preview_picture(model, count: int = 64, seed: int = 0):
    """Returns a PIL picture of `model.preview(count, seed)`; conditional models have a column per class.

    Arguments:
        model: of the zoo.
        count: number of examples; rounded up to whole rows of classes.
        seed: of the latents or draws.
    """
    if not samples_by_class(model):
        return pictures.of_examples(model.example, model.preview(count, seed).numpy())
    classes = min(model.label.count, 16)
    rows = -(-count // classes)
    labels = tf.tile(tf.range(classes), [rows])
    return pictures.of_examples(
        model.example, model.preview(classes * rows, seed, label=labels).numpy(), columns=classes
    )


def has_landscape(model) -> bool:
    """Returns whether a model plays in the plane, with a score for each point of it."""
    asked = model.endpoints().get("discriminate")
    return model.example == Points(2) and asked is not None and "label" not in asked.parameters(model)


def landscape(model, data, seed: int = 0):
    """Returns a PIL picture of a game in the plane: density of the data, samples, and the discriminator's surface.

    The surface is how real the discriminator finds each place, from dark to light. A white line goes between what it
    takes for generated and for real, where it has such a boundary.

    Arguments:
        model: adversarial, of points of the plane.
        data: points of the data, float32 `(count, 2)`; as many samples are drawn.
        seed: of the samples.
    """
    data = np.asarray(data, np.float32)
    labels = spread_labels(model, len(data))
    samples = model.sample(len(data), seed, **({} if labels is None else {"label": labels})).numpy()
    reach = pictures.reach_of(data)
    counts, *_ = np.histogram2d(data[:, 1], data[:, 0], 100, [[-reach, reach]] * 2)
    places = pictures.cells(reach)
    scores = model.discriminate(places.reshape(-1, 2).astype(np.float32))
    surface = np.nan_to_num(np.reshape(model.realness(scores), places.shape[:2]))
    shown = np.clip(surface, *np.quantile(surface, [0.02, 0.98]))  # or corners far from all data take all colours
    boundary = 0.0 if model.has_boundary else None
    line = f"from {surface.min():.3g} to {surface.max():.3g}"
    return pictures.sheet(
        [
            ("data", f"density of {len(data)} points", pictures.heat(np.sqrt(counts), reach)),
            ("samples", f"{len(samples)} points", pictures.scatter(samples, reach=reach)),
            ("discriminator", line, pictures.heat(shown, reach, line=boundary)),
        ]
    )


class RunCheckpoint(keras.callbacks.Callback):
    """Writes atomic checkpoints after epochs, and within one when it is asked to stop.

    Put it last, so that a checkpoint means that all other callbacks have finished the epoch.

    Arguments:
        folder: of the checkpoints.
        keep: how many are kept.
        every: number of epochs between two; the last epoch always has one.
        start: where this `fit` began, if it began within an epoch or keeps the best.
        stop: asked after each batch and epoch whether to save and raise `Interrupted`.
        best: a metric, as `val_loss`, or with its direction, as `nats:min`: the checkpoint of its best epoch is kept as
            `best.keras` beside the newest, whatever `every` is.
        found: told `metric`, `value` and `epoch` of the best when it is there.

    Raises:
        InputError: an epoch has no such metric; found behind the first.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        keep: int = 2,
        every: int = 1,
        start: Place | None = None,
        stop: Callable[[], bool] = lambda: False,
        best: str | None = None,
        found: Callable[[dict], None] = lambda best: None,
    ):
        super().__init__()
        self.checkpoints = Checkpoints(folder, keep)
        self.goal, self.found = best and Goal.parse(best), found
        self.every, self.start, self.stop = every, start or Place(), stop
        self._epoch = self._skipped = 0
        former = self.start.best
        self._best = former if former and self.goal and former["metric"] == self.goal.metric else None

    def on_train_begin(self, logs=None):
        if self.goal is None:
            return
        best, start = self.checkpoints.best, self.start
        there = read_place(best).best if best.exists() and is_whole(best) else None
        # Killed between the two: where this begins is the best, and not yet in its place.
        begun = self._best and start.best == self._best and (start.epoch, start.step) == (self._best["epoch"], 0)
        if begun and there != self._best:
            self.checkpoints.save_best(self.model, start, self.checkpoints.path(start))
            there = self._best
        if there and there["metric"] == self.goal.metric:
            self.found(there)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._skipped = self.start.step if epoch == self.start.epoch else 0

    def on_train_batch_end(self, batch, logs=None):
        if batch == 0 and self._skipped:
            self.start.restore_metrics(self.model)
        # Behind the first step of a resumed epoch its metrics are whole again, and the last step reports them: there
        # have to be two. Before that an epoch may as well end.
        if (self.params["steps"] or math.inf) - (batch + 1) >= 2 and self.stop():
            self.checkpoints.save(self.model, self._place(self._epoch, self._skipped + batch + 1))
            raise Interrupted(f"in epoch {epoch_of(self._epoch, self.params)}; saved")

    def on_epoch_end(self, epoch, logs=None):
        stop = self.stop()
        value = float((logs or {}).get(self.goal.metric, math.nan)) if self.goal else math.nan
        better = self.goal is not None and self.goal.is_better(value, self._best)
        if better:
            self._best = {"metric": self.goal.metric, "value": value, "epoch": epoch + 1}
        path, place = None, self._place(epoch + 1)
        if stop or (epoch + 1) % self.every == 0 or epoch + 1 == self.params["epochs"] or self.model.stop_training:
            path = self.checkpoints.save(self.model, place)
        if better:
            self.checkpoints.save_best(self.model, place, path)
            self.found(self._best)
        if self.goal and self.goal.metric not in (logs or {}):
            raise InputError(f"keep_best: {unknown('metric', self.goal.metric, logs or {})}")
        if stop and epoch + 1 != self.params["epochs"]:
            raise Interrupted(f"after epoch {epoch_of(epoch, self.params)}; saved")

    def _place(self, epoch: int, step: int = 0) -> Place:
        return Place.of(self.model, epoch, step, best=self._best, rollbacks=self.start.rollbacks)


def epoch_of(epoch: int, params: dict) -> str:
    """Returns "3 of 10" for the third epoch, whose index is 2."""
    return f"{epoch + 1} of {params['epochs']}"


class Progress(keras.callbacks.ProgbarLogger):
    """Keras' bar, or line per epoch, with examples per second, and behind each epoch the time that is left of all.

    Examples per second are those of the epoch's steps behind the first, which may be traced; the time that is left counts
    what is done between epochs too. Put it last.

    Arguments:
        batch_size: examples in a step.
        epochs: how many the whole training has.
        unit: what the examples are.
    """

    def __init__(self, batch_size: int, epochs: int, unit: str = "images"):
        super().__init__()
        self.batch_size, self.in_all, self.unit = batch_size, epochs, unit
        self._first, self._rate, self._took = None, {}, []

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._began = time.monotonic()
        self._first, self._rate = None, {}

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        self._first = self._first or (batch, now)
        steps, seconds = batch - self._first[0], now - self._first[1]
        if steps and seconds > 0.0:
            self._rate = {f"{self.unit}/s": round(steps * self.batch_size / seconds, 1)}
        super().on_train_batch_end(batch, (logs or {}) | self._rate)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, (logs or {}) | self._rate)
        self._took.append(time.monotonic() - self._began)
        left = self.in_all - epoch - 1
        if self.verbose and left:
            typical = self._took[1:] or self._took  # in the first, graphs are traced
            print(
                f"epoch {epoch + 1} of {self.in_all}, {duration(left * sum(typical) / len(typical))} left", flush=True
            )


def duration(seconds: float) -> str:
    """Returns "2 h 05 min", "3 min 20 s" or "7 s"."""
    seconds = max(round(seconds), 0)
    for unit, small, size in (("h", "min", 3600), ("min", "s", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // (size // 60):02d} {small}"
    return f"{seconds} s"


class FaultWatch(keras.callbacks.Callback):
    """Ends a `fit` at the first number that is none, before anything is saved.

    Put it first. The model's `watch_faults` has to be on.

    Arguments:
        rollbacks: how often the training was taken back; from the first on, part of each epoch's metrics.

    Raises:
        Diverged: at the end of the step.
    """

    def __init__(self, rollbacks: int = 0):
        super().__init__()
        self.rollbacks = rollbacks

    def on_train_batch_end(self, batch, logs=None):
        fault = self.model.faults.first
        if fault is not None:
            raise Diverged(fault)

    def on_epoch_end(self, epoch, logs=None):
        if self.rollbacks and logs is not None:
            logs["rollbacks"] = float(self.rollbacks)


class HistoryLog(keras.callbacks.Callback):
    """Writes a row of metrics per epoch; an epoch that is trained again replaces its row.

    Arguments:
        path: of the CSV file; `epoch` counts from 1, `seconds` is the epoch's wall time, floats are exact.
    """

    def __init__(self, path: str | os.PathLike):
        super().__init__()
        self.path = pathlib.Path(path)
        self._began = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1, "seconds": round(time.monotonic() - self._began, 3)}
        row |= {name: repr(float(value)) for name, value in (logs or {}).items()}
        rows = [old for old in read_history(self.path) if int(old["epoch"]) <= epoch] + [row]
        columns = list(dict.fromkeys(name for one in rows for name in one))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path, text.getvalue())


def read_history(path: str | os.PathLike) -> list[dict[str, str]]:
    """Returns the rows of a history file; none if there is no file."""
    if not pathlib.Path(path).exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class ScalarLog(keras.callbacks.Callback):
    """Writes an epoch's metrics for TensorBoard; where that cannot be done, the training goes on with one warning.

    Keras' own callback needs the tensorboard package to write; TensorFlow alone can write what it reads.

    Arguments:
        folder: to point TensorBoard at.
    """

    def __init__(self, folder: str | os.PathLike):
        super().__init__()
        self.folder = str(folder)
        self._writer, self._failed = None, False

    def on_epoch_end(self, epoch, logs=None):
        if self._failed:
            return
        try:
            self._write(epoch + 1, logs or {})
        except (OSError, tf.errors.OpError) as error:
            self._failed = True
            reason = getattr(error, "message", None) or str(error)
            warnings.warn(
                f"{self.folder}: nothing is written for TensorBoard any more: {reason.strip().splitlines()[0]}",
                RunWarning,
                stacklevel=2,
            )

    def _write(self, step: int, logs) -> None:
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(self.folder)
        kind = tf.compat.v1.SummaryMetadata(
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"), data_class="DATA_CLASS_SCALAR"
        )
        with self._writer.as_default():
            for name, value in logs.items():
                tf.summary.write(name, tf.constant(float(value)), step=step, metadata=kind)
        self._writer.flush()

    def on_train_end(self, logs=None):
        if self._writer is not None and not self._failed:
            self._writer.close()
            self._writer = None
