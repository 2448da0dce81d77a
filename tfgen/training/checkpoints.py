"""Checkpoints: a model's whole state, written so that a killed process leaves either the old file or the new one."""

import dataclasses
import json
import os
import pathlib
import re
import warnings
import zipfile

_PLACE = "training.json"
_NAME = re.compile(r"epoch_(\d+)(?:_step_(\d+))?\.keras")


@dataclasses.dataclass(frozen=True)
class Place:
    """How far a training has come.

    Arguments:
        epoch: number of finished epochs.
        step: number of finished steps of the next epoch.
        metrics: state of the metrics of that epoch, by name; floats that came from float32, hence exact in JSON.
    """

    epoch: int = 0
    step: int = 0
    metrics: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, model, epoch: int, step: int = 0) -> "Place":
        """Returns a place of a model that is being trained; within an epoch with its metrics."""
        # Those of a training step are scalars; what evaluations collect besides begins anew with each.
        kept = [m for m in model.metrics if all(len(v.shape) == 0 for v in m.variables)] if step else []
        return cls(epoch, step, {m.name: [float(v.numpy()) for v in m.variables] for m in kept})

    def restore_metrics(self, model) -> None:
        """Adds the state of the metrics to that of a model whose metrics have seen the steps since.

        Sums are what metrics keep, and a + b is b + a to the last bit.
        """
        for metric in model.metrics:
            for variable, value in zip(metric.variables, self.metrics.get(metric.name, ()), strict=False):
                variable.assign_add(value)


class Checkpoints:
    """The newest checkpoints of a run.

    A checkpoint is a `.keras` file: weights, every player's optimizer, averages and random counters, with the place in
    the training beside them in the same archive, so that the two cannot be of different age.

    Arguments:
        folder: where they lie; made when the first one is written.
        keep: how many are kept.
    """

    def __init__(self, folder: str | os.PathLike, keep: int = 2):
        self.folder = pathlib.Path(folder)
        self.keep = keep

    def save(self, model, place: Place) -> pathlib.Path:
        """Writes a checkpoint, then removes those that are older than the `keep` newest; returns its path."""
        within = f"_step_{place.step:06d}" if place.step else ""
        path = self.folder / f"epoch_{place.epoch:04d}{within}.keras"
        save_model(model, path, {_PLACE: json.dumps(dataclasses.asdict(place))})
        for old in self._sorted()[: -self.keep]:
            old.unlink(missing_ok=True)
        return path

    def newest(self) -> pathlib.Path | None:
        """Returns the newest checkpoint whose checksums hold; a damaged one is named in a warning and passed over."""
        for path in reversed(self._sorted()):
            if _is_whole(path):
                return path
            warnings.warn(f"{path} is damaged; the checkpoint before it is used", stacklevel=2)
        return None

    def _sorted(self) -> list[pathlib.Path]:
        places = {path: _NAME.fullmatch(path.name) for path in self.folder.glob("epoch_*.keras")}
        known = [(int(match[1]), int(match[2] or 0), path) for path, match in places.items() if match]
        return [path for *_, path in sorted(known)]


def read_place(path: str | os.PathLike) -> Place:
    """Returns how far the training was when a checkpoint was written."""
    with zipfile.ZipFile(path) as archive:
        return Place(**json.loads(archive.read(_PLACE)))


def save_model(model, path: str | os.PathLike, extra: dict[str, str] | None = None) -> None:
    """Writes a `.keras` file beside its place and renames it when it is on the disk.

    Arguments:
        model: a Keras model.
        path: ends in `.keras`.
        extra: further members of the archive, text by name.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.writing.keras")
    model.save(temporary)
    with zipfile.ZipFile(temporary, "a") as archive:
        for name, text in (extra or {}).items():
            archive.writestr(name, text)
    replace(temporary, path)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file beside its place and renames it when it is on the disk."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.writing")
    temporary.write_text(text, encoding="utf-8")
    replace(temporary, path)


def replace(temporary: pathlib.Path, path: pathlib.Path) -> None:
    """Renames a file after its content has reached the disk."""
    with open(temporary, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _is_whole(path: pathlib.Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None and _PLACE in archive.namelist()
    except (zipfile.BadZipFile, OSError, EOFError, ValueError):
        return False
