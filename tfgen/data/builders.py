"""Data that are computed, as tensorflow-datasets builders: cached, split and described like every other set.

Importing this module imports tensorflow-datasets, and registers the builders there: `tfds.load("ring")` works too.
"""

import abc
import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from tfgen.data import drawing, faces, shapes
from tfgen.data.mixtures import MIXTURES


@dataclasses.dataclass(eq=False)
class Recipe(tfds.core.BuilderConfig):
    """What is computed; its name tells one cached set from another.

    Arguments:
        count: number of training examples; there is a fifth of it, at least one, to test.
        seed: of all factors.
        size: `(height, width)` of pictures.
    """

    name: str = ""
    count: int = 10_000
    seed: int = 0
    size: tuple[int, int] | None = None

    def __post_init__(self):
        pixels = f"{self.size[0]}x{self.size[1]}_" if self.size else ""
        self.name = f"{pixels}{self.count}_seed{self.seed}"
        self.description = "computed, no download"

    @property
    def sizes(self) -> dict[str, int]:
        """Number of examples per split."""
        return {"train": self.count, "test": max(1, self.count // 5)}


class Computed(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Base of the sets whose example i of a split is a function of the recipe's seed, the split and i alone."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}

    @abc.abstractmethod
    def examples(self, count: int, seed: tuple[int, ...]):
        """Yields `count` examples as dicts; the first n are the same for every count >= n."""

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing is downloaded
        recipe = self.builder_config
        return {
            split: self._generate_examples(count, (recipe.seed, number))
            for number, (split, count) in enumerate(recipe.sizes.items())
        }

    def _generate_examples(self, count, seed):
        yield from enumerate(self.examples(count, seed))

    def _describe(self, text: str, features: dict) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=text,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,  # example i of a split stays at place i
        )


class _Points(Computed, skip_registration=True):
    BUILDER_CONFIGS: ClassVar = [Recipe()]

    def _info(self):
        modes = MIXTURES[self.name].modes
        features = {
            "point": tfds.features.Tensor(shape=(2,), dtype=np.float32),
            "label": tfds.features.ClassLabel(num_classes=len(modes)),
        }
        return self._describe(f"Points of {len(modes)} Gaussians; the label is the Gaussian.", features)

    def examples(self, count, seed):
        points, modes = MIXTURES[self.name].sample(count, seed)
        for point, mode in zip(points, modes, strict=True):
            yield {"point": point, "label": mode}


class Ring(_Points):
    """Eight Gaussians on a circle."""


class Grid(_Points):
    """Twenty-five Gaussians on a square grid."""


class _Pictures(Computed, skip_registration=True):
    """Pictures that `drawn`, a module, draws from factors, and these factors."""

    BUILDER_CONFIGS: ClassVar = [Recipe(size=(32, 32))]

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(*self.builder_config.size, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=next(iter(self.drawn.CLASSES.values()))),
        }
        features |= {key: tfds.features.ClassLabel(names=names) for key, names in self.drawn.CLASSES.items()}
        features |= {key: tfds.features.Tensor(shape=s, dtype=np.float32) for key, s in self.drawn.NUMBERS.items()}
        if hasattr(self.drawn, "captions"):
            features["caption"] = tfds.features.Text()
        return self._describe(self.drawn.__doc__, features)

    def examples(self, count, seed):
        size = self.builder_config.size
        found = self.drawn.factors(np.random.default_rng(seed).random((count, self.drawn.FACTORS)), size)
        for part in drawing.chunks(count, size):
            factors = {key: values[part] for key, values in found.items()}
            pictures = self.drawn.draw(factors, size)
            columns = factors | {"image": [tf.io.encode_png(picture).numpy() for picture in pictures]}
            columns["label"] = factors[next(iter(self.drawn.CLASSES))]
            if hasattr(self.drawn, "captions"):
                columns["caption"] = self.drawn.captions(factors)
            for example in zip(*columns.values(), strict=True):
                yield dict(zip(columns, example, strict=True))


class Shapes(_Pictures):
    """Coloured shapes."""

    drawn = shapes


class Faces(_Pictures):
    """Cartoon faces."""

    drawn = faces


BUILDERS = {"ring": Ring, "grid": Grid, "shapes": Shapes, "faces": Faces}
