"""Arrays in `.npz` and `.npy` files."""

import math
import pathlib
import re
import zipfile

import numpy as np

from tfgen.data.source import SPLITS, ArraySource
from tfgen.data.transform import Stored, Target
from tfgen.errors import InputError
from tfgen.specs import Labels, check_levels

ROLES = {
    **dict.fromkeys(("image", "images", "picture", "pictures", "x", "data"), "image"),
    **dict.fromkeys(("label", "labels", "class", "classes", "target", "targets", "y"), "label"),
}
"""What an array's name says about what it holds."""


def open_arrays(path: pathlib.Path, target: Target) -> ArraySource:
    """Returns the pictures of an array file, and their labels if there are some.

    An `.npz` file holds `image` and perhaps `label`, or these for each split: `train_image`, `train_label`,
    `test_image`, ...; `x_train`, `y_train` and other usual names do as well, and arrays that are called `train`,
    `valid` and `test` are pictures. An `.npy` file holds pictures to train on.

    Pictures are integers of shape `(count, height, width)` or `(count, height, width, channels)`. They have 2 levels
    if no value is above 1, the levels that are asked for if all values are below, else 256. Labels are integers
    0..classes-1 of shape `(count,)`.

    Raises:
        InputError: the file cannot be read, or an array has a wrong name, rank, dtype, range or length.
    """
    parts = _by_split(path, _read(path))
    pictures = {split: _pictures(f"{path}: {part['image'][0]}", part["image"][1]) for split, part in parts.items()}
    first, *others = ((f"{parts[split]['image'][0]}", array) for split, array in pictures.items())
    for key, array in others:
        if array.shape[1:] != first[1].shape[1:]:
            raise InputError(f"{path}: pictures of {first[0]} are {first[1].shape[1:]}, of {key} {array.shape[1:]}")
    highest = max(array.max() for array in pictures.values())
    asked = target.levels or 256
    stored = Stored(*first[1].shape[1:], 2 if highest <= 1 else asked if highest < asked else 256)
    image, transform, binarizer = target.plan(stored, str(path))
    arrays = {split: {"image": transform.batched(array)} for split, array in pictures.items()}
    specs = {"image": image}
    if label := _labels(path, parts, arrays):
        specs["label"] = label
    return ArraySource(str(path), specs, arrays, binarizer)


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        if path.suffix == ".npy":
            return {"image": np.load(path, allow_pickle=False)}
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (ValueError, OSError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error):
            error = "it holds Python objects; save plain arrays of numbers"
        raise InputError(f"{path}: cannot be read as arrays ({error})") from None


def _by_split(path: pathlib.Path, stored: dict[str, np.ndarray]) -> dict[str, dict[str, tuple[str, np.ndarray]]]:
    """Returns arrays with their names by split and by what they hold."""
    if len(stored) == 1 and not SPLITS.keys() & set(stored):
        return {"train": {"image": next(iter(stored.items()))}}
    parts: dict[str, dict] = {}
    for key, array in stored.items():
        words = [word for word in re.split(r"[^a-z]+", key.lower()) if word]
        splits = [SPLITS[word] for word in words if word in SPLITS]
        roles = [ROLES[word] for word in words if word in ROLES] or ["image"] * len(splits)
        if len(splits) > 1 or len(roles) != 1 or not all(word in SPLITS or word in ROLES for word in words):
            continue  # something else, as "image_mean"
        part = parts.setdefault(splits[0] if splits else "train", {})
        if roles[0] in part:
            raise InputError(f"{path}: {part[roles[0]][0]} and {key} both look like {roles[0]}s; rename one")
        part[roles[0]] = key, array
    if not parts:
        raise InputError(f"{path}: no pictures among {', '.join(stored) or 'no arrays'}; name the array 'image'")
    for split, part in parts.items():
        if "image" not in part:
            raise InputError(f"{path}: {part['label'][0]} has no pictures; name their array '{split}_image'")
    return {split: parts[split] for split in dict.fromkeys(SPLITS.values()) if split in parts}


def _pictures(where: str, array: np.ndarray) -> np.ndarray:
    """Returns integers of shape `(count, height, width, channels)`."""
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4:
        side = math.isqrt(array.shape[1]) if array.ndim == 2 else 0
        hint = f": pass x.reshape(-1, {side}, {side}) if they are square" if side and side**2 == array.shape[1] else ""
        raise InputError(f"{where}: shape {array.shape}, expected (count, height, width[, channels]){hint}")
    if array.shape[3] not in (1, 3):
        hint = ": pass x.transpose(0, 2, 3, 1)" if array.shape[1] in (1, 3) else ""
        raise InputError(f"{where}: shape {array.shape}, expected 1 or 3 channels in the last place{hint}")
    if not array.size:
        raise InputError(f"{where}: shape {array.shape} holds no pictures")
    check_levels(array, 256, where)
    return array.astype(np.uint8)


def _labels(path: pathlib.Path, parts: dict, arrays: dict[str, dict[str, np.ndarray]]) -> Labels | None:
    """Adds labels to `arrays`, and returns their spec, or None if there are none."""
    found = {split: part["label"] for split, part in parts.items() if "label" in part}
    if not found:
        return None
    for split in parts:
        if split not in found:
            raise InputError(f"{path}: {', '.join(found)} has labels, but {split} has none")
    labels = {split: (key, a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a) for split, (key, a) in found.items()}
    highest = max((int(a.max()) for _, a in labels.values() if a.size and a.dtype.kind in "iu"), default=0)
    spec = Labels(max(highest, 0) + 1)
    for split, (key, label) in labels.items():
        label = spec.validate(label, f"{path}: {key}")
        if len(label) != len(arrays[split]["image"]):
            pictures = f"{len(arrays[split]['image'])} pictures in {parts[split]['image'][0]}"
            raise InputError(f"{path}: {key} has {len(label)} labels for {pictures}")
        arrays[split]["label"] = label
    return spec
