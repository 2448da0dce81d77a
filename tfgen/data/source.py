"""What a data set is, and its batches."""

import copy
import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import tensorflow as tf

from tfgen.data.batches import Plan, rows
from tfgen.data.few_labels import FewLabels, keep_labels, mixed_batches
from tfgen.data.transform import Binarizer
from tfgen.errors import InputError, unknown
from tfgen.specs import Images, Labels, Points

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "dev"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What folders and arrays call a split, and what it is called here."""

IN_MEMORY = 2**29
"""A split of at most this many bytes is kept in memory once it was read."""

_SPLIT = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


class Source:
    """A data set that says what it is before anything is read.

    Attributes:
        name: what it was opened by.
        specs: what an example holds, a spec per key: `{"image": Images, "label": Labels}` or
            `{"point": Points, "label": Labels}`, and further `Labels` of a set that has more factors.
        sizes: number of examples per split, `{"train": 1437, "test": 360}`; empty for a set that has yet to be
            downloaded.
        skipped: files that are left out because they are broken, and why.
    """

    def __init__(
        self,
        name: str,
        specs: Mapping[str, Images | Points | Labels],
        sizes: Mapping[str, int],
        binarizer: Binarizer | None = None,
    ):
        self.name = name
        self.specs = dict(specs)
        self.sizes = dict(sizes)
        self.skipped: dict[str, str] = {}
        self._binarizer = binarizer
        self._few: FewLabels | None = None
        self._splits: dict[str, dict[str, np.ndarray]] = {}

    def with_few_labels(self, per_class: int, in_batch: int | None = None, *, seed: int = 0) -> "Source":
        """Returns this set with the labels of only a few training examples known, and -1 for the others.

        The batches of `train`, unless they are not shuffled, are those of `tfgen.data.mixed_batches`: each has the
        same number of examples with a label. Other splits keep their labels.

        Arguments:
            per_class: examples of each class whose label is known.
            in_batch: how many of a batch's examples have one; a quarter unless given.
            seed: of the choice.

        Raises:
            InputError: the set has no labels, or a number is not at least 1.
        """
        if self.label is None:
            raise InputError(f"{self.name}: has no labels to keep a few of; leave labels_per_class out")
        few = copy.copy(self)
        few._few, few._splits = FewLabels(per_class, in_batch, seed), {}
        few.specs = self.specs | {"label": dataclasses.replace(self.label, partial=True)}
        return few

    @property
    def example(self) -> Images | Points:
        """The spec of what a model learns, of `image` or of `point`."""
        return self.specs["image"] if "image" in self.specs else self.specs["point"]

    @property
    def label(self) -> Labels | None:
        """The spec of the main class, or None."""
        return self.specs.get("label")

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of a batch."""
        return tuple(self.specs)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self.sizes)

    def describe(self) -> str:
        """Returns a line: name, what an example is, classes, sizes of the splits."""
        shape = "x".join(map(str, self.example.shape))
        if isinstance(self.example, Images):
            parts = [f"pictures {shape} of {self.example.levels} levels"]
        else:
            parts = [f"points of {shape} coordinates"]
        factors = {key: spec for key, spec in self.specs.items() if isinstance(spec, Labels)}
        for key, spec in list(factors.items())[:10]:
            told = len(spec.names) <= 10 and not all(name.isdecimal() for name in spec.names)
            names = f" ({', '.join(spec.names)})" if told else ""
            parts.append(f"{key}: {spec.count} classes{names}")
        if len(factors) > 10:
            parts.append(f"{len(factors) - 10} more factors")
        if self._few:
            parts.append(f"{self._few.per_class} of each class with a label to train on")
        sizes = ", ".join(f"{name} {size}" for name, size in self.sizes.items())
        parts.append(sizes or "sizes known once downloaded")
        if self.skipped:
            parts.append(f"{len(self.skipped)} broken files skipped")
        return f"{self.name}: {'; '.join(parts)}"

    def arrays(self, split: str = "train") -> dict[str, np.ndarray]:
        """Returns a split, or a slice of it, as arrays: what `dataset` gives, in the stored order.

        Pictures that are binarized dynamically are drawn once here.

        Raises:
            InputError: no such split, or one that does not fit in memory.
        """
        self._prepare()
        name, start, stop = self._part(split)
        if not self._fits(name):
            raise InputError(f"{self.name}: split {name!r} is too large for memory; read it with dataset()")
        whole = self._whole(name)
        if self._binarizer:
            whole = self._drawn(name)
        return {key: array[start:stop] for key, array in whole.items()}

    def dataset(
        self,
        split: str = "train",
        batch_size: int = 64,
        *,
        shuffle: bool | None = None,
        seed: int = 0,
        drop_remainder: bool = False,
        epoch: int = 0,
        keys: Iterable[str] | None = None,
    ) -> tf.data.Dataset:
        """Returns the batches of an epoch; each iteration over the returned object is the next epoch.

        The order of epoch n, and its draws if pictures are binarized dynamically, are a function of `seed` and n
        alone, so that a resumed run goes on the same way with `epoch=n`.

        Arguments:
            split: a split's name, or a slice of it: `"train[:90%]"`, `"train[1000:]"`.
            batch_size: number of examples of a batch; the last one may be smaller.
            shuffle: whether every epoch has an order of its own; by default it has for `train`.
            seed: of the orders.
            drop_remainder: leaves a smaller last batch out.
            epoch: number of the epoch that the first iteration gives.
            keys: those to keep, by default all.

        Returns:
            Dicts of tensors: `image` uint8 levels `(batch, height, width, channels)` or `point` float32
            `(batch, size)`, every `Labels` int32 `(batch,)`, and the further factors of a set that has some.

        Raises:
            InputError: no such split or key, fewer examples than a batch to train on, data that cannot be read, or
                few labels in a split that does not fit in memory.
        """
        self._prepare()
        name, start, stop = self._part(split)
        shuffle = name == "train" if shuffle is None else shuffle
        plan = Plan(stop - start, batch_size, drop_remainder, shuffle, seed, epoch)
        chosen = None if keys is None else list(keys)
        self._check(plan, split, chosen or ())

        def finish(batch, key):
            if self._redraws(name):
                batch["image"] = self._binarizer.draw(batch["image"], key)
            return batch if chosen is None else {k: batch[k] for k in chosen}

        with tf.device("CPU"):  # or a whole set would be copied to an accelerator
            if self._few and name == "train" and shuffle:
                return mixed_batches(
                    self._parts(name, start, stop), batch_size, self._few.in_batch, seed=seed, epoch=epoch,
                    drop_remainder=drop_remainder, finish=finish, where=f"{self.name}: split {split!r}",
                )  # fmt: skip
            return self._batches(plan, name, start, stop, finish)

    def damage(self) -> str | None:
        """Returns what is wrong with a file that the set is read from, in a line; None if nothing is, or can be told.

        It may read all files: to be asked when reading has failed.
        """
        return None

    def _read(self, split: str) -> dict[str, np.ndarray]:
        """Returns a whole split, as it is before binary draws."""
        raise NotImplementedError

    def _prepare(self) -> None:
        """Makes the set readable, and `sizes` known."""

    def _batches(self, plan: Plan, split: str, start: int, stop: int, finish: Callable) -> tf.data.Dataset:
        tensors = {key: tf.constant(array) for key, array in self._parts(split, start, stop).items()}
        return rows(plan, lambda at, key: finish({k: tf.gather(x, at) for k, x in tensors.items()}, key))

    def _parts(self, split: str, start: int, stop: int) -> dict[str, np.ndarray]:
        """Returns a part of a split that fits in memory, before binary draws that are repeated."""
        whole = self._whole(split)
        if self._binarizer and not self._redraws(split):
            whole = self._drawn(split)
        return {key: array[start:stop] for key, array in whole.items()}

    def _fits(self, split: str) -> bool:
        return self.sizes[split] * self.example.dimensions <= IN_MEMORY

    def _redraws(self, split: str) -> bool:
        return self._binarizer is not None and self._binarizer.dynamic and split == "train"

    def _whole(self, split: str) -> dict[str, np.ndarray]:
        if split not in self._splits:
            self._splits[split] = self._read(split)
            if self._few and split == "train":
                label = keep_labels(
                    self._splits[split]["label"], self._few.per_class, seed=self._few.seed, where=self.name
                )
                self._splits[split] = self._splits[split] | {"label": label}
            if self._binarizer and self._splits[split]["image"].max() <= 1:
                self._binarizer = None  # binary already, though stored as if there were more levels
        return self._splits[split]

    def _drawn(self, split: str) -> dict[str, np.ndarray]:
        if (drawn := f"{split}, drawn") not in self._splits:
            whole = self._whole(split)
            self._splits[drawn] = whole | {"image": self._binarizer.draw_once(whole["image"], split)}
        return self._splits[drawn]

    def _part(self, split: str) -> tuple[str, int, int]:
        """Returns the name of a split like `train[:90%]`, its first position and the one after its last."""
        match = _SPLIT.fullmatch(split)
        if match is None or match["name"] not in self.sizes:
            raise InputError(f"{self.name}: {unknown('split', match['name'] if match else split, self.sizes)}")
        size = self.sizes[match["name"]]

        def position(text: str | None, default: int) -> int:
            if text is None:
                return default
            at = round(size * int(text[:-1]) / 100) if text.endswith("%") else int(text)
            return min(max(at + size if at < 0 else at, 0), size)

        start, stop = position(match["start"], 0), position(match["stop"], size)
        if start >= stop:
            raise InputError(f"{self.name}: split {split!r} is empty; {match['name']} has {size} examples")
        return match["name"], start, stop

    def _check(self, plan: Plan, split: str, keys: Iterable[str]) -> None:
        for key in keys:
            if key not in self.keys:
                raise InputError(f"{self.name}: {unknown('key', key, self.keys)}")
        name = self._part(split)[0]
        if self._few and name == "train" and not self._fits(name):
            raise InputError(
                f"{self.name}: split {name!r} is too large for memory to have few labels; take an array file"
            )
        if plan.batch_size < 1 or plan.seed < 0 or plan.epoch < 0:
            raise InputError("batch_size is at least 1, seed and epoch are at least 0")
        if (plan.shuffle or plan.drop_remainder) and plan.count < plan.batch_size:
            raise InputError(
                f"{self.name}: split {split!r} has {plan.count} examples, fewer than a batch of {plan.batch_size}; "
                f"pass batch_size={plan.count} or less"
            )


class ArraySource(Source):
    """A source that was given as arrays: see `Source`."""

    def __init__(self, name, specs, arrays: Mapping[str, dict[str, np.ndarray]], binarizer: Binarizer | None = None):
        key = "image" if "image" in specs else "point"
        super().__init__(name, specs, {split: len(part[key]) for split, part in arrays.items()}, binarizer)
        self._arrays = arrays

    def _read(self, split: str) -> dict[str, np.ndarray]:
        return self._arrays[split]

    def _fits(self, split: str) -> bool:
        return True
