"""Sets of tensorflow-datasets, those that it knows by name and those computed here."""

import dataclasses
import difflib

import numpy as np
import tensorflow as tf

from tfgen.data.batches import as_written, stream
from tfgen.data.mixtures import MIXTURES
from tfgen.data.preparing import prepare, quiet
from tfgen.data.source import Source
from tfgen.data.transform import Stored, Target
from tfgen.errors import InputError, first_line, unknown
from tfgen.specs import Labels, Points

SHUFFLED = 2**28
"""Bytes of examples among which the next one is drawn, for a split that is too large for memory."""


class CatalogueSource(Source):
    """A set that tensorflow-datasets prepares in its directory, and that is read from there.

    Arguments:
        name: what it was opened by.
        builder: a `tfds.core.DatasetBuilder`; nothing is downloaded or computed before examples are asked for.
        target: what pictures should be.
        download: whether it may be downloaded or computed.
        sizes: of the splits, if they are known beforehand.
    """

    def __init__(self, name: str, builder, target: Target, download: bool, sizes: dict[str, int] | None = None):
        with quiet():
            features = builder.info.features
            self._features = _usable(features)
            sizes = sizes or {split: info.num_examples for split, info in builder.info.splits.items()}
        self._builder, self._download = builder, download
        specs, binarizer = {}, None
        if "image" in features:
            if features["image"].np_dtype != np.uint8:
                raise InputError(f"{name}: pictures of {np.dtype(features['image'].np_dtype)}, expected uint8")
            specs["image"], self._transform, binarizer = target.plan(Stored(*features["image"].shape), name)
        elif "point" in features:
            if target != Target(seed=target.seed):
                raise InputError(f"{name}: these are points; they take no image_size, channels, levels or binarize")
            specs["point"] = Points(features["point"].shape[0])
        else:
            raise InputError(f"{name}: has no pictures, only {', '.join(features)}")
        specs |= {key: spec for key, feature in self._features.items() if (spec := _labels(feature))}
        super().__init__(name, specs, sizes, binarizer)

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.example.key, *(key for key in self._features if key != "point"))

    def _prepare(self) -> None:
        with quiet():
            prepared = self._builder.is_prepared()
        if not prepared:
            if not self._download:
                where = self._builder.data_dir_root
                raise InputError(f"{self.name}: not in {where} yet; pass download=True, or another data_dir")
            prepare(self.name, self._builder)
        self.sizes = {split: info.num_examples for split, info in self._builder.info.splits.items()}

    def _examples(self, split: str) -> tf.data.Dataset:
        with quiet() as tfds:
            # One file after the other: the order must not depend on the machine.
            config = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
            data = self._builder.as_dataset(split=split, shuffle_files=False, read_config=config)
        return data.map(self._example, num_parallel_calls=tf.data.AUTOTUNE)

    @as_written
    def _example(self, stored: dict) -> dict[str, tf.Tensor]:
        example = {"image": self._transform(stored["image"])} if "image" in self.specs else {}
        for key in self._features:
            value = stored
            for part in key.split("/"):
                value = value[part]
            example[key] = tf.cast(value, tf.int32) if isinstance(self.specs.get(key), Labels) else value
        return example

    def damage(self) -> str | None:
        for info in self._builder.info.splits.values():
            for file, count in zip(map(str, info.filepaths), info.shard_lengths, strict=True):
                if "tfrecord" in file and (found := _broken_record(file, count)):
                    folder = self._builder.data_dir
                    return f"{file}: {found}; remove {folder}, and the set is prepared again"
        return None

    def _read(self, split: str) -> dict[str, np.ndarray]:
        try:
            batches = list(self._examples(split).batch(1024).as_numpy_iterator())
        except tf.errors.OpError as error:
            raise InputError(self.damage() or f"{self.name}: cannot be read ({first_line(error)})") from error
        return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}

    def _batches(self, plan, split, start, stop, finish):
        if self._fits(split):
            return super()._batches(plan, split, start, stop, finish)
        examples = self._examples(f"{split}[{start}:{stop}]")
        if self._binarizer and not self._redraws(split):
            examples = examples.enumerate(start).map(self._draw_once, num_parallel_calls=tf.data.AUTOTUNE)
        return stream(plan, examples, SHUFFLED // self.example.dimensions, finish)

    @as_written
    def _draw_once(self, index: tf.Tensor, example: dict) -> dict:
        image = self._binarizer.draw(example["image"], tf.stack([self._binarizer.seed + tf.zeros_like(index), index]))
        return example | {"image": image}


class MixtureSource(CatalogueSource):
    """Points of a mixture of Gaussians.

    Attributes:
        modes: centres, float32 of shape `(number of modes, 2)`; a point's `label` is its centre's index.
        sigma: standard deviation of each coordinate around its centre.
    """

    @property
    def modes(self) -> np.ndarray:
        return MIXTURES[self.name].modes

    @property
    def sigma(self) -> float:
        return MIXTURES[self.name].sigma


def open_catalogue(name: str, target: Target, download: bool, data_dir, known: list[str]) -> CatalogueSource:
    """Returns a set of tensorflow-datasets by its name, such as `mnist` or `imagenet_resized/32x32`.

    Raises:
        InputError: no such set, or none of pictures; `known` are more names to offer.
    """
    base, _, config = name.partition("/")
    with quiet() as tfds:
        try:
            builder = tfds.builder(name, data_dir=data_dir, try_gcs=False)
        except tfds.core.registered.DatasetNotFoundError:
            near = difflib.get_close_matches(base, tfds.list_builders(with_community_datasets=False), cutoff=0.5)
            raise InputError(unknown("data set, folder or file", name, [*known, *near])) from None
        except Exception as error:
            configs = tfds.builder_cls(base).builder_configs
            if config not in configs:
                raise InputError(unknown(f"kind of {base}", config, configs)) from None
            raise InputError(f"{name}: {first_line(error)}") from None
    return CatalogueSource(name, builder, target, download)


def open_computed(name: str, target: Target, data_dir, *, count: int = 10_000, size=None) -> CatalogueSource:
    """Returns `ring`, `grid`, `shapes` or `faces`; pictures are drawn at the size that is asked for.

    Raises:
        InputError: `count` or `size` is not a positive number.
    """
    with quiet():
        from tfgen.data.builders import BUILDERS, Recipe

    if not isinstance(count, int) or count < 1:
        raise InputError(f"{name}: count={count!r}, expected a number of training examples")
    if size is not None:
        target = dataclasses.replace(target, image_size=size)
    pixels = None if name in MIXTURES else target.image_size or (32, 32)
    recipe = Recipe(count=count, seed=target.seed, size=pixels)
    builder_class = BUILDERS[name]
    with quiet():
        builder = builder_class(config=builder_class.builder_configs.get(recipe.name, recipe), data_dir=data_dir)
    kind = MixtureSource if name in MIXTURES else CatalogueSource
    return kind(name, builder, target, download=True, sizes=recipe.sizes)


def _broken_record(file: str, count: int) -> str | None:
    """Returns what is wrong with a file of `count` records, or None."""
    try:
        found = sum(1 for _ in tf.data.TFRecordDataset(file))
    except tf.errors.NotFoundError:
        return "has gone"
    except tf.errors.OpError as error:
        return f"broken ({first_line(error)})"
    return None if found == count else f"broken (truncated, {found} of {count} records)"


def _usable(features, prefix: str = "") -> dict:
    """Returns the features that fit in a batch, of all depths, by keys like `attributes/Smiling`.

    Pictures besides the main one, tensors of varying shape and text other than captions do not.
    """
    import tensorflow_datasets as tfds

    usable = {}
    for key, feature in features.items():
        if isinstance(feature, tfds.features.FeaturesDict):
            usable |= _usable(feature, f"{prefix}{key}/")
        elif not isinstance(feature, tfds.features.Tensor) or None in feature.shape:
            continue
        elif key == "caption" or np.dtype(feature.np_dtype).kind != "O":
            usable[prefix + key] = feature
    return usable


def _labels(feature) -> Labels | None:
    """Returns the spec of a scalar feature of few values."""
    if feature.shape == () and getattr(feature, "num_classes", None):
        return Labels(feature.num_classes, tuple(feature.names))
    return Labels(2, ("no", "yes")) if feature.shape == () and feature.np_dtype == np.bool_ else None
