"""A run: the folder of a training. Looking into one does not import TensorFlow."""

import contextlib
import json
import os
import pathlib
import shutil

from tfgen.errors import InputError
from tfgen.training import lock
from tfgen.training.checkpoints import Checkpoints, check_model, write_text

#: Raised when a reader of older folders would misread a new one.
FORMAT = 1

_CONTENT = ("run.json", "model.keras", "history.csv", "checkpoints", "samples", "tensorboard")


class Interrupted(KeyboardInterrupt):
    """A training was stopped by the user, and what it had learned is saved; the message says where it stopped."""


class Run:
    """A folder with everything that is needed to look at a training, to resume it and to repeat it.

    It holds `run.json` (the record), `model.keras` once the training has finished, `checkpoints/`, `history.csv`
    (a row per epoch), `samples/epoch_0001.png`, ... and `tensorboard/`.

    Arguments:
        path: of the folder.
        record: what `run.json` holds: `model` (id, arguments, class's conditioning), `data` (name, options, specs),
            `training` (epochs, batch size, seed, precision, ...), `optimizers`, `versions`, `command`, `started`,
            `ended` (UTC), `seconds` (of training), `status` (`running`, `interrupted`, `failed`, `finished`),
            `metrics` (the last epoch's), `evaluations` (split -> figures), `best` (`metric`, `value`, `epoch` and
            `path` of the best checkpoint, if one is kept) and `rollbacks` (each with the `step`, `player`, `term` and
            `tensor` of its fault, the `epoch` and `step_of_epoch` that the training returned to, and the `factor` of
            the learning rates), if there were any.
    """

    def __init__(self, path: str | os.PathLike, record: dict):
        self.path = pathlib.Path(path)
        self.record = record
        self._model = None

    @classmethod
    def open(cls, path: str | os.PathLike) -> "Run":
        """Returns the run in a folder.

        Raises:
            InputError: there is none, or its record cannot be read.
        """
        file = pathlib.Path(path) / "run.json"
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"{path}: no run here (there is no run.json); `tfgen train` makes one") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: cannot be read: {error}") from None
        if not isinstance(record, dict) or "format" not in record:
            raise InputError(f"{file}: not a record of format {FORMAT}, nor of any other")
        if record["format"] != FORMAT:
            raise InputError(
                f"{file}: a record of format {record['format']}, written by another version of tfgen, where this one "
                f"has format {FORMAT}; use that version, or begin anew with --force"
            )
        return cls(path, record)

    @classmethod
    def claim(cls, path: str | os.PathLike, *, force: bool = False) -> "Run":
        """Returns a run without a record in a folder that is empty or may be overwritten.

        Arguments:
            path: made if it is not there.
            force: removes the files of a former run; files of others stay.

        Raises:
            InputError: the folder holds something, or cannot be written to.
        """
        cls.check_free(path, force=force)
        path = pathlib.Path(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            for name in _CONTENT:
                _remove(path / name)
            probe = path / ".writing"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise _unwritable(path, error) from None
        return cls(path, {})

    @staticmethod
    def make(path: str | os.PathLike) -> None:
        """Makes a folder for a run; raises InputError if that cannot be done."""
        try:
            pathlib.Path(path).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(path, error) from None

    @staticmethod
    def check_free(path: str | os.PathLike, *, force: bool = False) -> None:
        """Raises InputError if the folder holds something that is not to be overwritten, or is a file."""
        path = pathlib.Path(path)
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: is a file; choose another folder")
        if not force and path.exists() and not all(lock.is_lock(file) for file in path.iterdir()):
            hint = (
                "--resume goes on with it, --force overwrites it"
                if (path / "run.json").exists()
                else ("--force writes into it")
            )
            raise InputError(f"{path}: not empty; {hint}")

    def write(self, **changes) -> None:
        """Changes the record, and writes it; what other processes have written in it meanwhile stays."""
        file = self.path / "run.json"
        with lock.changing(self.path):
            record = self.record
            with contextlib.suppress(FileNotFoundError, ValueError):
                record = json.loads(file.read_text(encoding="utf-8"))
            text = json.dumps(record | changes, indent=2) + "\n"
            write_text(file, text)
        self.record = json.loads(text)  # as another process would read it

    @property
    def checkpoints(self) -> Checkpoints:
        """Of the training."""
        return Checkpoints(self.path / "checkpoints")

    @property
    def finished(self) -> bool:
        """Whether all epochs that were asked for are done."""
        return self.record["status"] == "finished"

    @property
    def example(self):
        """The spec of what the model makes."""
        from tfgen import specs

        key = "image" if "image" in self.record["data"]["specs"] else "point"
        config = dict(self.record["data"]["specs"][key])
        return getattr(specs, config.pop("kind")).from_config(config)

    @property
    def model(self):
        """The trained model, or that of the newest checkpoint of an unfinished run; read once.

        Raises:
            InputError: the run has no model yet, or it is damaged.
        """
        if self._model is None:
            path = self.path / "model.keras" if self.finished else self.checkpoints.newest()
            if path is None:
                raise InputError(f"{self.path}: no checkpoint yet; go on with `tfgen train --out {self.path} --resume`")
            from tfgen.registry import load_model
            from tfgen.training.building import precision_policy

            check_model(path)
            with precision_policy(self.record["training"]["precision"]):
                self._model = load_model(path)
        return self._model

    @model.setter
    def model(self, model):
        self._model = model

    def source(self):
        """Returns the data source that the run was trained on.

        Raises:
            InputError: it is gone, or it holds other examples than then.
        """
        from tfgen.data import open_source
        from tfgen.training.building import describe_specs

        data = self.record["data"]
        # JSON has no tuples.
        options = {key: tuple(value) if isinstance(value, list) else value for key, value in data["options"].items()}
        source = open_source(data["name"], **options)
        now = json.loads(json.dumps(describe_specs(source)))
        if now != data["specs"]:
            raise InputError(f"{self.path}: {data['name']} is not what it was: {now}, then {data['specs']}")
        return source

    def sample(self, count: int = 64, seed: int = 0, labels=None, *, verbose: int = 0):
        """Returns samples of the model, uint8 levels or float32 points, and their labels or None.

        Arguments:
            count: how many.
            seed: the same seed gives the same samples.
            labels: a class for each sample of a conditional model; one for all; or nothing for all classes in turn.
            verbose: 1 shows progress.

        Raises:
            InputError: labels for a model that takes none, of another number, or out of range.
        """
        import keras
        import numpy as np

        from tfgen.training.building import spread_labels

        labels = spread_labels(self.model, count, labels)
        chosen = {} if labels is None else {"label": labels}
        progress, parts = keras.utils.Progbar(count, verbose=verbose, unit_name="sample"), []
        for part in self.model.sample_parts(count, seed, **chosen):
            parts.append(part)
            progress.add(len(part))
        return np.concatenate(parts), labels

    def complete(
        self, count: int = 8, *, completions: int = 3, known: float = 0.5, split: str = "test", seed: int = 0
    ) -> dict:
        """Returns what the model makes of the lower part of pictures, given the upper.

        Arguments:
            count: how many pictures.
            completions: of each picture.
            known: share of the rows that is kept, in (0, 1).
            split: of the data that the pictures come from.
            seed: the same seed gives the same completions.

        Returns:
            `original`, uint8 levels; `known`, bool `(height,)`; `completed`, `(completions, count, ...)`; and
            `entropy`, nats `(count, height, width)` of each pixel of the original given those before it, or None where
            it has no closed form or the model has no order of pixels.

        Raises:
            InputError: the model completes nothing, or the share leaves nothing known or nothing to draw.
        """
        import numpy as np

        model = self.model
        if "complete" not in model.endpoints():
            raise InputError(f"{self.path}: {self.record['model']['id']} does not complete pictures")
        height = self.example.shape[0]
        rows = round(known * height)
        if not 0 < rows < height:
            raise InputError(f"known: {known} is {rows} of {height} rows; some have to be known, and some not")
        batches = self.source().dataset(split, count, shuffle=False, keys=tuple(model.specs))
        batch = next(batches.as_numpy_iterator())
        x = batch.pop("image")
        kept = np.arange(height) < rows
        mask = np.broadcast_to(kept[:, None], x.shape[:3]).astype(np.float32)
        entropy = None
        if hasattr(model, "pixel_entropy"):
            with contextlib.suppress(NotImplementedError):
                entropy = model.pixel_entropy(x, **batch).numpy()
        completed = [model.complete(x, mask, (seed, index), **batch).numpy() for index in range(completions)]
        return {"original": x, "known": kept, "completed": np.stack(completed), "entropy": entropy}

    def evaluate(
        self, split: str = "test", *, importance_samples: int = 0, probe: bool = False, verbose: int | str = 0
    ) -> dict[str, float]:
        """Returns the model's figures on a split, and keeps them in the record.

        Arguments:
            split: of the data, as `test` or `train[:10%]`.
            importance_samples: k of the importance-weighted bound, for models with latent variables.
            probe: adds `probe_accuracy` of a `tfgen.evaluation.linear_probe` that learned from `train`, and `raw_accuracy`.
            verbose: as in Keras.

        Raises:
            InputError: no such split, importance samples for a model without latent variables, or a probe without classes,
                of the examples that it learns from, or of a model without features.
        """
        model, source, extra = self.model, self.source(), {}
        probed = self._probe(source, split) if probe else {}
        if importance_samples:
            from tfgen.models import LatentVariableModel

            if not isinstance(model, LatentVariableModel):
                id = self.record["model"]["id"]
                raise InputError(f"importance samples: {id} has no latent variables to weight; leave them out")
            extra = {"importance_samples": importance_samples}
        batches = source.dataset(split, self.record["training"]["batch_size"], shuffle=False, keys=tuple(model.specs))
        figures = model.evaluate(batches, return_dict=True, verbose=verbose, **extra)
        figures = {name: float(value) for name, value in figures.items()} | probed
        # Those that others have measured since this run was opened stay.
        self.write(evaluations=Run.open(self.path).record["evaluations"] | {split: extra | figures})
        return figures

    def _probe(self, source, split: str) -> dict[str, float]:
        from tfgen.evaluation import linear_probe

        if source.label is None or split.partition("[")[0] == "train":
            reason = (
                "has no classes to tell" if source.label is None else "train is what a probe learns from; name another"
            )
            raise InputError(f"probe: {source.name}: {reason}")
        parts = (source.arrays(name) for name in ("train", split))
        told = linear_probe(*((part[self.example.key], part["label"]) for part in parts), model=self.model)
        found = {"probe": told, "raw": told.raw}
        return {f"{name}_accuracy": one.accuracy for name, one in found.items()} | {
            f"{name}_accuracy_se": one.standard_error for name, one in found.items()
        }

    def export(
        self,
        out: str | os.PathLike | None = None,
        *,
        force: bool = False,
        serving: str | os.PathLike | None = None,
        name: str | None = None,
        warmup: bool = True,
        tflite: str | None = None,
        batch: int | None = None,
        max_loss: float | None = None,
    ):
        """Exports the model as a SavedModel or as a TF-Lite file, loads that back and compares every endpoint.

        Arguments:
            out: the artifact; unless given `export`, or a file with model and precision as its name, in the run's folder.
            force: whether an artifact that is there is overwritten.
            serving: a root of TensorFlow Serving, in place of `out`; the artifact is the next version of the model there.
            name: of the model at the root; its id unless given.
            warmup: whether warm-up requests are written for the server.
            tflite: precision of a TF-Lite file; `int8` looks at the training data for the ranges of its numbers.
            batch, max_loss: of `tfgen.export.tflite`.

        Returns:
            The artifact's path and the `tfgen.export.Report`.

        Raises:
            InputError: the run has no model yet, the path is taken, or as `tfgen.export.serving` says.
        """
        from tfgen import export

        about = {
            "data": {key: self.record["data"][key] for key in ("name", "options")},
            "recipe": self.record["training"],
            "metrics": {"train": self.record["metrics"]} | self.record["evaluations"],
        }
        if serving is not None:
            return export.serving(self.model, serving, name=name, card=about, warmup=warmup)
        if tflite is not None:
            path = out or self.path / f"{self.record['model']['id']}_{tflite}.tflite"
            examples = tflite == "int8" and self.source().dataset("train", 128, shuffle=False).as_numpy_iterator()
            export.tflite(
                self.model, path, precision=tflite, batch=batch, data=next(examples) if examples else None,
                max_loss=max_loss, card=about, overwrite=force,
            )  # fmt: skip
            return path, export.verify(path)
        path = export.saved_model(self.model, out or self.path / "export", card=about, overwrite=force)
        return path, export.verify(path, self.model)


def _unwritable(path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be written to: {error.strerror}")


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
