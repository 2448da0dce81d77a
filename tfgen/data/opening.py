"""From a name or a path to a source."""

import difflib
import os
import pathlib
from collections.abc import Iterable

import tensorflow as tf

from tfgen.data.source import Source
from tfgen.data.transform import Target
from tfgen.errors import InputError, unknown

COMPUTED = ("faces", "grid", "ring", "shapes")
OPTIONS = (
    "binarize", "channels", "count", "data_dir", "download", "image_size", "labelled", "labels_per_class", "levels",
    "on_broken", "seed", "size",
)  # fmt: skip


def names() -> list[str]:
    """Returns the names of the sets that need no download."""
    return sorted(["digits", *COMPUTED])


def open_source(
    name_or_path: str | os.PathLike,
    *,
    image_size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    levels: int | None = None,
    binarize: str = "static",
    download: bool = False,
    data_dir: str | os.PathLike | None = None,
    on_broken: str = "error",
    labels_per_class: int | None = None,
    labelled: int | None = None,
    seed: int = 0,
    **options,
) -> Source:
    """Returns a data set, which says what it is before anything is read.

    - `digits`: 1797 handwritten digits, 8x8 pictures of 17 levels.
    - `ring`, `grid`: points of 8 and 25 Gaussians in the plane; the source has their `modes` and `sigma`.
    - `shapes`, `faces`: drawn pictures, with all of their factors. These, and points, are computed when they are
      first used, and kept below `data_dir`.
    - a name that tensorflow-datasets knows, as `mnist`, `celeb_a` or `imagenet_resized/32x32`.
    - a folder of pictures: see `tfgen.data.folder.open_folder`.
    - an `.npz` or `.npy` file: see `tfgen.data.arrays.open_arrays`.

    A name goes before a folder of the same name: write `./faces` for a folder.

    Arguments:
        name_or_path: one of the above.
        image_size: `(height, width)` of pictures in pixels, or one number for both. `shapes` and `faces` are drawn
            at this size, others are cropped at the centre to its aspect ratio and resized.
        channels: 1 or 3.
        levels: 2..256; 2 draws binary pictures unless they are binary already.
        binarize: for `levels=2`: "static", or "dynamic" to draw pictures of the training split anew each time.
        download: whether a set of tensorflow-datasets may be downloaded.
        data_dir: where tensorflow-datasets keeps its sets; by default what TFDS_DATA_DIR says, else
            `~/tensorflow_datasets`.
        on_broken: for a folder: "error", or "skip" to leave broken pictures out; `source.skipped` lists them.
        labels_per_class: how many training examples of each class keep their label; the others have -1. All unless
            given.
        labelled: with it, how many examples of a training batch have a label; a quarter unless given.
        seed: of binary draws, of computed sets, and of which labels are kept.
        **options: for computed sets: `count`, number of training examples, 10000 by default, with a fifth of it to
            test; `size`, the same as `image_size`.

    Raises:
        InputError: no such name, path or option, or data that cannot be used; the message says what to do.
    """
    path = pathlib.Path(name_or_path).expanduser()
    name = os.fspath(name_or_path)
    for option in options:
        if option not in ("count", "size"):
            raise InputError(unknown("option", option, OPTIONS))
    if name not in COMPUTED and options:
        raise InputError(f"{name}: takes no {' or '.join(options)}; only computed sets do: {', '.join(COMPUTED)}")
    target = Target(image_size, channels, levels, binarize, seed)
    source = _open(name_or_path, name, path, target, download, data_dir, on_broken, options)
    if labels_per_class is not None:
        return source.with_few_labels(labels_per_class, labelled, seed=seed)
    if labelled is not None:
        raise InputError(f"labelled={labelled}: goes with labels_per_class, the number of labels that are kept")
    return source


def _open(
    name_or_path, name: str, path: pathlib.Path, target: Target, download, data_dir, on_broken, options
) -> Source:
    if name == "digits":
        from tfgen.data.digits import open_digits

        return open_digits(target)
    if name in COMPUTED:
        from tfgen.data.catalogue import open_computed

        return open_computed(name, target, data_dir, **options)
    if path.is_dir():
        from tfgen.data.folder import open_folder

        return open_folder(path, target, on_broken)
    if path.is_file():
        if path.suffix not in (".npz", ".npy"):
            raise InputError(f"{path}: expected a folder of pictures, or an .npz or .npy file")
        from tfgen.data.arrays import open_arrays

        return open_arrays(path, target)
    if isinstance(name_or_path, os.PathLike) or path.suffix in (".npz", ".npy") or name.startswith((".", "~", os.sep)):
        raise InputError(_missing(path))
    from tfgen.data.catalogue import open_catalogue

    return open_catalogue(name, target, download, data_dir, known=names())


def load(
    name_or_path: str | os.PathLike,
    *,
    split: str = "train",
    batch_size: int = 64,
    shuffle: bool | None = None,
    seed: int = 0,
    drop_remainder: bool = False,
    epoch: int = 0,
    keys: Iterable[str] | None = None,
    **options,
) -> tf.data.Dataset:
    """Returns the batches of a data set: `open_source(...).dataset(...)`.

    Arguments:
        name_or_path: see `open_source`.
        split: a split's name, or a slice of it: `"train[:90%]"`.
        batch_size: number of examples of a batch; the last one may be smaller.
        shuffle: whether every epoch has an order of its own; by default it has for `train`.
        seed: of orders, binary draws and computed sets.
        drop_remainder: leaves a smaller last batch out.
        epoch: number of the epoch that the first iteration gives.
        keys: those to keep, by default all.
        **options: of `open_source`.

    Returns:
        A dataset of dicts: `image` uint8 levels `(batch, height, width, channels)` or `point` float32
        `(batch, size)`, `label` int32 `(batch,)`, and the further factors of a set that has some.

    Raises:
        InputError: what is asked for does not exist or cannot be used; found before the first batch.
    """
    return open_source(name_or_path, seed=seed, **options).dataset(
        split, batch_size, shuffle=shuffle, seed=seed, drop_remainder=drop_remainder, epoch=epoch, keys=keys
    )


def _missing(path: pathlib.Path) -> str:
    if not path.parent.is_dir():
        return f"no such folder {str(path.parent)!r}"
    near = difflib.get_close_matches(path.name, (entry.name for entry in path.parent.iterdir()), cutoff=0.5)
    return f"no such file or folder {str(path)!r}{'; did you mean ' if near else ''}{' or '.join(near)}"
