"""What one example is, and the one place that maps data to what networks see and back.

A data source offers these specs and a model takes them, so that the two can be checked against each
other before any work is done.
"""

import dataclasses
import math
import operator

import keras
import numpy as np
import tensorflow as tf

from tfgen.errors import InputError


class _Spec:
    """Configuration for `.keras` files, from the dataclass fields."""

    def get_config(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict):
        return cls(**config)


@keras.saving.register_keras_serializable("tfgen")
@dataclasses.dataclass(frozen=True)
class Images(_Spec):
    """Pictures of integer levels.

    Outside of networks a batch is uint8 of shape `(batch, height, width, channels)` with values
    0..levels-1; inside it is float32 in [-1, 1].

    Arguments:
        shape: `(height, width, channels)`.
        levels: number of levels of a channel, 2..256; 2 is a binary picture.
    """

    shape: tuple[int, int, int]
    levels: int = 256

    key = "image"

    def __post_init__(self):
        try:
            shape = tuple(operator.index(size) for size in self.shape)
        except TypeError:
            shape = ()
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(
                f"Images: shape {self.shape!r} is not (height, width, channels), whole numbers of at least 1"
            )
        if not _is_whole(self.levels) or not 2 <= self.levels <= 256:
            raise InputError(f"Images: {self.levels!r} levels; a uint8 picture has 2 to 256")
        object.__setattr__(self, "shape", shape)

    @property
    def dimensions(self) -> int:
        """Number of scalars in an example, the D of bits per dimension."""
        return math.prod(self.shape)

    def tensor_spec(self, batch: int | None = None) -> tf.TensorSpec:
        return tf.TensorSpec((batch, *self.shape), tf.uint8, name=self.key)

    def validate(self, array, where: str = "image") -> np.ndarray:
        """Returns `array` as uint8 levels.

        Raises:
            InputError: rank, shape, dtype or range is wrong, or a value is not a number.
        """
        array = as_array(array, where)
        if array.ndim == 3 and self.shape[-1] == 1 and array.shape[1:] == self.shape[:2]:
            array = array[..., None]  # grey pictures often come without a channel axis
        if array.shape[1:] != self.shape:
            raise InputError(f"{where}: shape {array.shape}, expected (count, {', '.join(map(str, self.shape))})")
        check_levels(array, self.levels, where)
        return array.astype(np.uint8)

    def check(self, tensor) -> tf.Tensor:
        """Returns a batch inside a graph as uint8, after the checks that a graph can make."""
        tensor = tf.convert_to_tensor(tensor)
        if not tensor.dtype.is_integer:
            raise InputError(f"image: dtype {tensor.dtype.name}, expected uint8 levels 0..{self.levels - 1}")
        if tensor.shape.rank == 3 and self.shape[-1] == 1:
            tensor = tensor[..., None]
        if tensor.shape.rank != 4 or not tensor.shape[1:].is_compatible_with(self.shape):
            raise InputError(f"image: shape {tensor.shape}, expected (batch, {', '.join(map(str, self.shape))})")
        if self.levels < 256 or tensor.dtype != tf.uint8:
            tensor = _within(tensor, self.levels, "image")
        return tf.ensure_shape(tf.cast(tensor, tf.uint8), (None, *self.shape))

    def to_network(self, image) -> tf.Tensor:
        """Maps levels to float32 in [-1, 1]."""
        return tf.cast(image, tf.float32) * (2.0 / (self.levels - 1)) - 1.0

    def from_network(self, x) -> tf.Tensor:
        """Maps [-1, 1] to the nearest levels, uint8; values outside are clipped."""
        return self.nearest((tf.cast(x, tf.float32) + 1.0) * ((self.levels - 1) / 2.0))

    def nearest(self, x) -> tf.Tensor:
        """Returns the levels, uint8, that float32 numbers on their scale are nearest to."""
        return tf.cast(tf.clip_by_value(tf.round(x), 0.0, self.levels - 1.0), tf.uint8)

    def to_picture(self, image) -> np.ndarray:
        """Maps levels to 0..255, uint8, as a picture file wants them."""
        return np.round(np.asarray(image, np.float64) * (255.0 / (self.levels - 1))).astype(np.uint8)


@keras.saving.register_keras_serializable("tfgen")
@dataclasses.dataclass(frozen=True)
class Points(_Spec):
    """Vectors of real numbers, float32 of shape `(batch, size)`, the same inside and outside of networks.

    Arguments:
        size: number of coordinates of a point.
    """

    size: int = 2

    key = "point"

    def __post_init__(self):
        if not _is_whole(self.size) or self.size < 1:
            raise InputError(f"Points: size {self.size!r}, expected a whole number of at least 1")

    @property
    def shape(self) -> tuple[int]:
        return (self.size,)

    @property
    def dimensions(self) -> int:
        """Number of scalars in an example."""
        return self.size

    def tensor_spec(self, batch: int | None = None) -> tf.TensorSpec:
        return tf.TensorSpec((batch, self.size), tf.float32, name=self.key)

    def validate(self, array, where: str = "point") -> np.ndarray:
        """Returns `array` as float32.

        Raises:
            InputError: shape or dtype is wrong, or a value is not finite.
        """
        array = as_array(array, where)
        if array.ndim != 2 or array.shape[1] != self.size:
            raise InputError(f"{where}: shape {array.shape}, expected (count, {self.size})")
        if array.dtype.kind not in "fiu":
            raise InputError(f"{where}: dtype {array.dtype}, expected float32")
        check_finite(array, where)
        return array.astype(np.float32)

    def check(self, tensor) -> tf.Tensor:
        """Returns a batch inside a graph as float32, after the checks that a graph can make."""
        tensor = tf.convert_to_tensor(tensor)
        if tensor.shape.rank != 2 or not tensor.shape[1:].is_compatible_with(self.shape):
            raise InputError(f"point: shape {tensor.shape}, expected (batch, {self.size})")
        return tf.ensure_shape(tf.cast(tensor, tf.float32), (None, self.size))

    def to_network(self, point) -> tf.Tensor:
        return tf.cast(point, tf.float32)

    def from_network(self, x) -> tf.Tensor:
        return tf.cast(x, tf.float32)


@keras.saving.register_keras_serializable("tfgen")
@dataclasses.dataclass(frozen=True)
class Labels(_Spec):
    """Classes, int32 of shape `(batch,)` with values 0..count-1.

    Arguments:
        count: number of classes.
        names: a name for each class, or nothing.
        partial: whether -1 is among the values, for examples whose class is not known.
    """

    count: int
    names: tuple[str, ...] = ()
    partial: bool = False

    key = "label"

    def __post_init__(self):
        object.__setattr__(self, "names", tuple(self.names))
        if not _is_whole(self.count) or self.count < 1:
            raise InputError(f"Labels: count {self.count!r}, expected a whole number of at least 1")
        if self.names and len(self.names) != self.count:
            raise InputError(f"Labels: {len(self.names)} names for {self.count} classes")

    def get_config(self) -> dict:
        # Left out where it is false, so that records from before there was such a thing stay true.
        return {name: value for name, value in super().get_config().items() if name != "partial" or value}

    @property
    def values(self) -> str:
        """What a label may be, for messages."""
        return f"-1 (not known) or 0..{self.count - 1}" if self.partial else f"0..{self.count - 1}"

    def tensor_spec(self, batch: int | None = None) -> tf.TensorSpec:
        return tf.TensorSpec((batch,), tf.int32, name=self.key)

    def validate(self, array, where: str = "label") -> np.ndarray:
        """Returns `array` as int32.

        Raises:
            InputError: not one integer per example, or not among the classes.
        """
        array = as_array(array, where)
        if array.ndim != 1:
            raise InputError(f"{where}: shape {array.shape}, expected one integer per example")
        if array.dtype.kind not in "iu":
            raise InputError(f"{where}: dtype {array.dtype}, expected integers {self.values}")
        if array.size and not (array.min() >= -self.partial and array.max() < self.count):
            raise InputError(f"{where}: values {array.min()}..{array.max()}, expected {self.values}")
        return array.astype(np.int32)

    def check(self, tensor) -> tf.Tensor:
        """Returns a batch inside a graph as int32, after the checks that a graph can make."""
        tensor = tf.convert_to_tensor(tensor)
        if not tensor.dtype.is_integer or tensor.shape.rank != 1:
            raise InputError(f"label: {tensor.dtype.name} of shape {tensor.shape}, expected integers of shape (batch,)")
        return tf.cast(_within(tensor, self.count, "label", -int(self.partial)), tf.int32)


def _is_whole(value) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def as_array(value, where: str) -> np.ndarray:
    """Returns arrays, tensors or nested lists as an array; raises InputError if the examples differ in shape."""
    try:
        return np.asarray(value)
    except ValueError:
        raise InputError(f"{where}: the examples have different shapes; bring them to one") from None


def _within(tensor, count: int, where: str, lowest: int = 0) -> tf.Tensor:
    """Returns an integer tensor that is computed only if all of its values are in lowest..count-1."""
    wide = tf.cast(tensor, tf.int64 if tensor.dtype.size > 4 else tf.int32)
    valid = tf.reduce_all((wide >= lowest) & (wide < count))
    check = tf.debugging.assert_equal(valid, True, f"{where}: a value is not in {lowest}..{count - 1}")
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(tensor)


class _Numbers(_Spec):
    """Numbers of one shape beside each example, float32 `(batch, *shape)`."""

    #: What the numbers are, for messages.
    kind: str

    def tensor_spec(self, batch: int | None = None) -> tf.TensorSpec:
        return tf.TensorSpec((batch, *self.shape), tf.float32, name=self.key)

    def validate(self, array, where: str | None = None) -> np.ndarray:
        """Returns `array`, numbers or booleans, as float32.

        Raises:
            InputError: shape or dtype is wrong, or a value is not finite.
        """
        where = where or self.key
        array = as_array(array, where)
        if array.shape[1:] != self.shape:
            raise InputError(f"{where}: shape {array.shape}, expected (count, {', '.join(map(str, self.shape))})")
        if array.dtype.kind not in "fiub":
            raise InputError(f"{where}: dtype {array.dtype}, expected {self.kind}")
        check_finite(array, where)
        return array.astype(np.float32)

    def check(self, tensor) -> tf.Tensor:
        """Returns a batch inside a graph as float32, after the checks that a graph can make."""
        tensor = tf.convert_to_tensor(tensor)
        if tensor.shape.rank != 1 + len(self.shape) or not tensor.shape[1:].is_compatible_with(self.shape):
            raise InputError(f"{self.key}: shape {tensor.shape}, expected (batch, {', '.join(map(str, self.shape))})")
        return tf.ensure_shape(tf.cast(tensor, tf.float32), (None, *self.shape))


@keras.saving.register_keras_serializable("tfgen")
@dataclasses.dataclass(frozen=True)
class Maps(_Numbers):
    """Features per pixel that a model is conditional on, float32 `(batch, height, width, features)`.

    Arguments:
        shape: `(height, width, features)`.
    """

    shape: tuple[int, int, int]

    key = "map"
    kind = "float32"

    def __post_init__(self):
        shape = tuple(int(size) for size in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(f"Maps: shape {self.shape} is not (height, width, features) with sizes of at least 1")
        object.__setattr__(self, "shape", shape)


@keras.saving.register_keras_serializable("tfgen")
@dataclasses.dataclass(frozen=True)
class Masks(_Numbers):
    """Which numbers of an example are known: float32 of shape `(batch, *shape)`, at least 0.5 where it is.

    Arguments:
        shape: `(height, width)` for the pixels of a picture, or `(size,)` for the coordinates of a point.
    """

    shape: tuple[int, ...]

    key = "mask"
    kind = "numbers that are at least 0.5 where it is known"


@keras.saving.register_keras_serializable("tfgen")
@dataclasses.dataclass(frozen=True)
class Codes(_Spec):
    """Maps of discrete codes, int32 of shape `(batch, height, width, channels)` with values 0..levels-1.

    What an autoregressive prior models; a code is a name, and its number says nothing.

    Arguments:
        shape: `(height, width, channels)`.
        levels: number of codes, at least 2.
    """

    shape: tuple[int, int, int]
    levels: int

    key = "codes"

    def __post_init__(self):
        shape = tuple(int(size) for size in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(f"Codes: shape {self.shape} is not (height, width, channels) with sizes of at least 1")
        if not _is_whole(self.levels) or self.levels < 2:
            raise InputError(f"Codes: {self.levels!r} codes, expected a whole number of at least 2")
        object.__setattr__(self, "shape", shape)

    @property
    def dimensions(self) -> int:
        """Number of codes in a map."""
        return math.prod(self.shape)

    def tensor_spec(self, batch: int | None = None) -> tf.TensorSpec:
        return tf.TensorSpec((batch, *self.shape), tf.int32, name=self.key)

    def validate(self, array, where: str = "codes") -> np.ndarray:
        """Returns `array` as int32.

        Raises:
            InputError: shape or dtype is wrong, or a value is no code.
        """
        array = as_array(array, where)
        if array.ndim == 3 and self.shape[-1] == 1:
            array = array[..., None]
        if array.shape[1:] != self.shape:
            raise InputError(f"{where}: shape {array.shape}, expected (count, {', '.join(map(str, self.shape))})")
        if array.dtype.kind not in "iu":
            raise InputError(f"{where}: dtype {array.dtype}, expected integers 0..{self.levels - 1}")
        if array.size and not (array.min() >= 0 and array.max() < self.levels):
            raise InputError(f"{where}: values {array.min()}..{array.max()}, expected 0..{self.levels - 1}")
        return array.astype(np.int32)

    def check(self, tensor) -> tf.Tensor:
        """Returns a batch inside a graph as int32, after the checks that a graph can make."""
        tensor = tf.convert_to_tensor(tensor)
        if not tensor.dtype.is_integer or not tensor.shape.is_compatible_with((None, *self.shape)):
            raise InputError(f"codes: {tensor.dtype.name} of shape {tensor.shape}, expected integers {self.shape}")
        return tf.ensure_shape(tf.cast(_within(tensor, self.levels, "codes"), tf.int32), (None, *self.shape))


def check_finite(array: np.ndarray, where: str) -> None:
    """Raises InputError naming the first example that holds NaN or infinity."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))[0]
        raise InputError(f"{where}: {array[tuple(bad)]} in example {bad[0]}; remove or repair it")


def check_levels(array: np.ndarray, levels: int, where: str) -> None:
    """Raises InputError unless `array` holds whole levels 0..levels-1."""
    check_finite(array, where)
    if array.dtype.kind not in "iub":
        if array.dtype.kind != "f":
            raise InputError(f"{where}: dtype {array.dtype}, expected uint8 levels 0..{levels - 1}")
        low, high = (array.min(), array.max()) if array.size else (0, 0)
        if low >= -1.0 and high <= 1.0:
            scale = f"np.round(x * {levels - 1})" if low >= 0 else f"np.round((x + 1) * {(levels - 1) / 2})"
            raise InputError(
                f"{where}: {array.dtype} in {low:g}..{high:g}; pictures are uint8 levels 0..{levels - 1}: "
                f"pass {scale}.astype('uint8')"
            )
        raise InputError(
            f"{where}: {array.dtype}; pictures are uint8 levels 0..{levels - 1}: pass x.astype('uint8') if they are whole"
        )
    if array.size and (array.min() < 0 or array.max() >= levels):
        raise InputError(f"{where}: values {array.min()}..{array.max()}, expected levels 0..{levels - 1}")
