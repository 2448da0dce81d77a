"""Folders of pictures."""

import concurrent.futures
import dataclasses
import os
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfgen.data.batches import rows
from tfgen.data.pictures import SUFFIXES, read_header, read_picture
from tfgen.data.source import SPLITS, Source
from tfgen.data.transform import Binarizer, Stored, Target, Transform
from tfgen.errors import InputError
from tfgen.specs import Images, Labels


@dataclasses.dataclass(frozen=True)
class Picture:
    """A file and where it belongs; `label` is the name of a class or None."""

    path: pathlib.Path
    split: str
    label: str | None


class FolderSource(Source):
    """Pictures of a folder, with the names of its subfolders as classes if it has some.

    What a picture's header says is read when the source is opened. All pictures of a split are decoded when it is
    first used, or when the source is opened if broken ones are to be skipped, so that a broken one is found before
    training starts. A split that does not fit in memory is decoded again in every epoch.

    The pictures of a split lie in a mixed order, always the same, so that a slice has some of all classes.
    """

    def __init__(
        self,
        name: str,
        specs: dict[str, Images | Labels],
        pictures: list[Picture],
        transform: Transform,
        binarizer: Binarizer | None,
        skip: bool,
    ):
        mixed = [pictures[i] for i in np.random.default_rng(0).permutation(len(pictures))]
        splits = dict.fromkeys(picture.split for picture in pictures)
        self._pictures = {split: [p for p in mixed if p.split == split] for split in splits}
        self._transform, self._skip, self._decoded = transform, skip, {}
        super().__init__(name, specs, {split: len(part) for split, part in self._pictures.items()}, binarizer)
        if skip:
            for split in splits:
                self._decode(split)

    def _decode(self, split: str) -> np.ndarray | None:
        """Decodes a split if that was not done yet, and returns it if it fits in memory."""
        if split not in self._decoded:
            pictures = self._pictures[split]
            decoded = np.empty((len(pictures), *self.example.shape), np.uint8) if self._fits(split) else None

            def decode(at: int) -> None:
                picture = read_picture(pictures[at].path, self.example.shape)
                if decoded is not None:
                    decoded[at] = picture

            broken = in_parallel(decode, range(len(pictures)))
            report({pictures[at].path: reason for at, reason in broken.items()}, self.skipped, self._skip)
            good = [at for at in range(len(pictures)) if at not in broken]
            if not good:
                raise InputError(f"{self.name}: every picture of split {split!r} is broken")
            self._pictures[split], self.sizes[split] = [pictures[at] for at in good], len(good)
            self._decoded[split] = decoded[good] if broken and decoded is not None else decoded
        return self._decoded[split]

    def _fits(self, split: str) -> bool:
        return self._decoded[split] is not None if split in self._decoded else super()._fits(split)

    def _labels(self, split: str) -> dict[str, np.ndarray]:
        if self.label is None:
            return {}
        number = {name: i for i, name in enumerate(self.label.names)}
        return {"label": np.array([number[picture.label] for picture in self._pictures[split]], np.int32)}

    def _read(self, split: str) -> dict[str, np.ndarray]:
        return {"image": self._transform.batched(self._decode(split))} | self._labels(split)

    def _batches(self, plan, split, start, stop, finish):
        if self._fits(split):
            return super()._batches(plan, split, start, stop, finish)
        self._decode(split)
        pictures = self._pictures[split][start:stop]
        labels = {key: tf.constant(array[start:stop]) for key, array in self._labels(split).items()}
        static = self._binarizer is not None and not self._redraws(split)

        def read_one(at: int) -> np.ndarray:
            try:
                picture = read_picture(pictures[at].path, self.example.shape)
            except Exception as error:
                raise InputError(f"{pictures[at].path}: broken since training began ({error})") from None
            return self._binarizer.draw_picture(picture, start + at) if static else picture

        def read_batch(at: np.ndarray) -> np.ndarray:
            with concurrent.futures.ThreadPoolExecutor() as pool:
                return np.stack(list(pool.map(read_one, at)))

        def read(at, key):
            image = tf.ensure_shape(tf.numpy_function(read_batch, [at], tf.uint8), (*at.shape, *self.example.shape))
            batch = {"image": image if static else self._transform(image)}
            return finish(batch | {k: tf.gather(array, at) for k, array in labels.items()}, key)

        return rows(plan, read)


def open_folder(path: pathlib.Path, target: Target, on_broken: str) -> FolderSource:
    """Returns the pictures of a folder.

    If the folder has a subfolder `train`, its subfolders `train`, `valid` and `test` are splits; otherwise all
    pictures are for training. Within a split, pictures lie directly in the folder, or in a subfolder per class.
    Transparent pictures are laid on white; if a size is asked for, pictures are cropped at the centre to its aspect
    ratio and resized.

    Raises:
        InputError: there are no pictures, or classes for some of them only, or they have several sizes or channels
            and none is asked for, or one is broken and `on_broken` is not "skip".
    """
    if on_broken not in ("error", "skip"):
        raise InputError(f"on_broken={on_broken!r}: expected 'error' or 'skip'")
    pictures, headers, skipped = find(path), {}, {}

    def read(at: int) -> None:
        headers[at] = read_header(pictures[at].path)

    broken = in_parallel(read, range(len(pictures)))
    report({pictures[at].path: reason for at, reason in broken.items()}, skipped, on_broken == "skip")
    if not headers:
        raise InputError(f"{path}: every picture is broken")
    stored = common(path, {pictures[at].path: headers[at] for at in sorted(headers)}, target)
    images, transform, binarizer = target.plan(stored, str(path))
    specs = {"image": images}
    if names := {picture.label for picture in pictures} - {None}:
        ordered = sorted(names, key=int) if all(name.isdecimal() for name in names) else sorted(names)
        specs["label"] = Labels(len(ordered), tuple(ordered))
    good = [pictures[at] for at in sorted(headers)]
    source = FolderSource(str(path), specs, good, transform, binarizer, on_broken == "skip")
    source.skipped |= skipped
    return source


def find(root: pathlib.Path) -> list[Picture]:
    """Returns the picture files below a folder, sorted, with their splits and classes."""
    splits = {SPLITS[f.name.lower()]: f for f in subfolders(root) if f.name.lower() in SPLITS}
    if "train" not in splits:
        splits = {"train": root}
    pictures = []
    for split in dict.fromkeys(SPLITS.values()):
        if split in splits:
            pictures += [Picture(path, split, label) for path, label in find_classes(splits[split])]
    plain, classed = ([p for p in pictures if (p.label is None) is flat] for flat in (True, False))
    if plain and classed:
        raise InputError(f"{root}: {classed[0].path} has a class, {plain[0].path} has none; give it to all or to none")
    return pictures


def find_classes(folder: pathlib.Path) -> list[tuple[pathlib.Path, str | None]]:
    """Returns the picture files of a split, each with the name of the subfolder that it is in."""
    direct = [file for file in sorted(folder.iterdir()) if is_picture(file)]
    found = [(file, None) for file in direct]
    for subfolder in subfolders(folder):
        inside = [file for file in sorted(subfolder.rglob("*")) if is_picture(file)]
        if not inside and not direct:
            raise InputError(f"{subfolder}: a class without pictures ({', '.join(SUFFIXES)}); remove the folder")
        found += [(file, subfolder.name) for file in inside]
    if not found:
        raise InputError(f"{folder}: no pictures in this folder ({', '.join(SUFFIXES)})")
    return found


def subfolders(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the subfolders, sorted, without hidden ones and those that archives of a Mac leave behind."""
    return [f for f in sorted(folder.iterdir()) if f.is_dir() and not f.name.startswith((".", "__"))]


def is_picture(file: pathlib.Path) -> bool:
    """Returns whether a file's name says that it is a picture."""
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def common(path: pathlib.Path, headers: dict[pathlib.Path, tuple[int, int, int]], target: Target) -> Stored:
    """Returns what pictures are once they are read: as they are asked for, else as all of them are stored."""
    first, (height, width, channels) = next(iter(headers.items()))
    for file, header in headers.items():
        if target.image_size is None and header[:2] != (height, width):
            sizes = f"{first} has {height}x{width} pixels, {file} has {header[0]}x{header[1]}"
            raise InputError(f"{path}: pictures of several sizes: {sizes}; pass image_size=64 or another size")
        if target.channels is None and header[2] != channels:
            kinds = [f"{f} is {'grey' if c == 1 else 'coloured'}" for f, c in ((first, channels), (file, header[2]))]
            raise InputError(f"{path}: grey and coloured pictures: {', '.join(kinds)}; pass channels=1 or channels=3")
    return Stored(*(target.image_size or (height, width)), target.channels or channels)


def in_parallel(function: Callable[[int], None], items: range) -> dict[int, str]:
    """Calls a function for each item; returns those items for which it failed, and why."""

    def attempt(item: int) -> str | None:
        try:
            function(item)
        except MemoryError:
            raise
        except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError and others for broken files
            return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        return None

    with concurrent.futures.ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        return {item: reason for item, reason in zip(items, pool.map(attempt, items), strict=True) if reason}


def report(broken: dict[pathlib.Path, str], skipped: dict[str, str], skip: bool) -> None:
    """Adds broken files to `skipped` if they are to be skipped, and raises InputError otherwise."""
    if broken and not skip:
        file, reason = next(iter(broken.items()))
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise InputError(f"{file}: a broken picture ({reason}){more}; repair or remove it, or pass on_broken='skip'")
    skipped |= {str(file): reason for file, reason in broken.items()}
