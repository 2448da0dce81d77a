"""Checkpoints: a model's whole state, written so that a killed process leaves either the old file or the new one."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
import warnings
import zipfile

from tfgen.errors import InputError, RunWarning

#: Raised when a reader of older checkpoints would misread a new one. Format 1 had no checksum.
FORMAT = 2

_PLACE = "training.json"
_NAME = re.compile(r"epoch_(\d+)(?:_step_(\d+))?\.keras")
# The archive's comment, which zip keeps at the very end: these words and a SHA-256 in hexadecimal of all before it.
_SEAL = b"tfgen sha-256 "
_DIGITS = 64


@dataclasses.dataclass(frozen=True)
class Place:
    """How far a training has come.

    Arguments:
        epoch: number of finished epochs.
        step: number of finished steps of the next epoch.
        metrics: state of the metrics of that epoch, by name; floats that came from float32, hence exact in JSON.
        best: `metric`, `value` and `epoch` of the best epoch so far, if one is kept.
        rollbacks: how many of the run's rollbacks are behind this state.
    """

    epoch: int = 0
    step: int = 0
    metrics: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    best: dict | None = None
    rollbacks: int = 0

    @classmethod
    def of(cls, model, epoch: int, step: int = 0, **more) -> "Place":
        """Returns a place of a model that is being trained; within an epoch with its metrics."""
        # Those of a training step are scalars; what evaluations collect besides begins anew with each.
        kept = [m for m in model.metrics if all(len(v.shape) == 0 for v in m.variables)] if step else []
        return cls(epoch, step, {m.name: [float(v.numpy()) for v in m.variables] for m in kept}, **more)

    def restore_metrics(self, model) -> None:
        """Adds the state of the metrics to that of a model whose metrics have seen the steps since.

        Sums are what metrics keep, and a + b is b + a to the last bit.
        """
        for metric in model.metrics:
            for variable, value in zip(metric.variables, self.metrics.get(metric.name, ()), strict=False):
                variable.assign_add(value)


class Checkpoints:
    """The newest checkpoints of a run, and the best.

    A checkpoint is a `.keras` file: weights, every player's optimizer, averages and random counters, with the place in
    the training beside them in the same archive, so that the two cannot be of different age. It ends with a SHA-256 of
    all its other bytes.

    Arguments:
        folder: where they lie; made when the first one is written.
        keep: how many are kept beside the best.
    """

    def __init__(self, folder: str | os.PathLike, keep: int = 2):
        self.folder = pathlib.Path(folder)
        self.keep = keep

    @property
    def best(self) -> pathlib.Path:
        """Where the best one lies, if one is kept."""
        return self.folder / "best.keras"

    def path(self, place: Place) -> pathlib.Path:
        """Returns where the checkpoint of a place lies."""
        within = f"_step_{place.step:06d}" if place.step else ""
        return self.folder / f"epoch_{place.epoch:04d}{within}.keras"

    def save(self, model, place: Place) -> pathlib.Path:
        """Writes a checkpoint, then removes those that are older than the `keep` newest; returns its path."""
        path = self.path(place)
        save_model(model, path, place)
        for old in self._sorted()[: -self.keep]:
            old.unlink(missing_ok=True)
        return path

    def save_best(self, model, place: Place, written: pathlib.Path | None = None) -> None:
        """Puts a checkpoint in the place of the best.

        Arguments:
            model: in the state of `place`.
            place: its epoch is the best.
            written: a checkpoint of the same state, whose bytes are shared where the disk can do that.
        """
        if written is None:
            save_model(model, self.best, place)
            return
        temporary = _temporary(self.best)
        temporary.unlink(missing_ok=True)
        try:
            os.link(written, temporary)
        except OSError:
            shutil.copyfile(written, temporary)
        replace(temporary, self.best)

    def newest(self) -> pathlib.Path | None:
        """Returns the newest checkpoint whose checksum holds; a damaged one is named in a warning and passed over.

        Raises:
            InputError: it is of another format.
        """
        for path in reversed(self._sorted()):
            if is_whole(path):
                return path
            warnings.warn(f"{path} is damaged; the checkpoint before it is used", RunWarning, stacklevel=2)
        return None

    def _sorted(self) -> list[pathlib.Path]:
        places = {path: _NAME.fullmatch(path.name) for path in self.folder.glob("epoch_*.keras")}
        known = [(int(match[1]), int(match[2] or 0), path) for path, match in places.items() if match]
        return [path for *_, path in sorted(known)]


def read_place(path: str | os.PathLike) -> Place:
    """Returns how far the training was when a checkpoint was written."""
    with zipfile.ZipFile(path) as archive:
        place = json.loads(archive.read(_PLACE))
    del place["format"]
    return Place(**place)


def is_whole(path: str | os.PathLike) -> bool:
    """Returns whether each byte of a checkpoint is the one that was written.

    Raises:
        InputError: it is whole, but of another format.
    """
    try:
        sealed = _is_sealed(path)
        if sealed is False:
            return False
        with zipfile.ZipFile(path) as archive:
            found = json.loads(archive.read(_PLACE)).get("format", 1)
            # Another format may have another seal, but it is an archive.
            whole = bool(sealed) if found == FORMAT else archive.testzip() is None
    except Exception:  # zipfile has a dozen kinds for an archive with flipped bytes
        return False
    if whole and found != FORMAT:
        age = "an older" if isinstance(found, int) and found < FORMAT else "a newer"
        raise InputError(
            f"{path}: a checkpoint of format {found}, written by {age} version of tfgen, where this one has format "
            f"{FORMAT}; go on with the version that run.json names, or begin anew with --force"
        )
    return whole


def check_model(path: str | os.PathLike) -> None:
    """Raises InputError if a file of `save_model` has a checksum that does not hold."""
    with contextlib.suppress(OSError):
        if _is_sealed(path) is False:
            raise InputError(f"{path}: damaged, its checksum does not hold")


def save_model(model, path: str | os.PathLike, place: Place | None = None) -> None:
    """Writes a `.keras` file beside its place and renames it when it is on the disk.

    Arguments:
        model: a Keras model.
        path: ends in `.keras`.
        place: of a checkpoint.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            if place is not None:
                archive.writestr(_PLACE, json.dumps({"format": FORMAT} | dataclasses.asdict(place)))
            archive.comment = _SEAL + b"0" * _DIGITS
        with open(temporary, "rb+") as file:
            digest = _digest(file)
            file.seek(-_DIGITS, os.SEEK_END)
            file.write(digest)
        replace(temporary, path)
    except BaseException:
        # A full disk has its space back.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file beside its place and renames it when it is on the disk."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.writing")
    try:
        temporary.write_text(text, encoding="utf-8")
        replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def replace(temporary: pathlib.Path, path: pathlib.Path) -> None:
    """Renames a file after its content has reached the disk, and has the new name reach it too."""
    with open(temporary, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _temporary(path: pathlib.Path) -> pathlib.Path:
    """Returns where a file is written; one per folder, so that the next one overwrites what a killed process left."""
    return path.with_name(".writing.keras")


def _is_sealed(path: str | os.PathLike) -> bool | None:
    """Returns whether a file's checksum holds; None if it has none."""
    with open(path, "rb") as file:
        if file.seek(0, os.SEEK_END) < len(_SEAL) + _DIGITS:
            return None
        file.seek(-len(_SEAL) - _DIGITS, os.SEEK_END)
        if file.read(len(_SEAL)) != _SEAL:
            return None
        return file.read() == _digest(file)


def _digest(file) -> bytes:
    """Returns the SHA-256, in hexadecimal, of a file without its last digits."""
    left, digest = file.seek(0, os.SEEK_END) - _DIGITS, hashlib.sha256()
    file.seek(0)
    while left:
        part = file.read(min(left, 2**20))
        digest.update(part)
        left -= len(part)
    return digest.hexdigest().encode()
