"""From a run's record to a compiled model on its data."""

import contextlib
import dataclasses
import importlib.metadata
import platform
import typing
from collections.abc import Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from tfgen.endpoints import make_seed, samples_by_class
from tfgen.errors import InputError
from tfgen.registry import Entry, get_class
from tfgen.specs import Images
from tfgen.training.arguments import is_conditional


@contextlib.contextmanager
def precision_policy(name: str) -> Iterator[None]:
    """Within it layers are made with the dtype policy `name`, as `mixed_bfloat16`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def build_model(entry: Entry, source, arguments: Mapping, *, conditional: bool, precision: str, seed: int):
    """Returns a new model for a data source; the same seed gives the same weights.

    Arguments:
        entry: of the registry.
        source: a `tfgen.data.Source`.
        arguments: of the constructor, beside those that the data give.
        conditional: whether the source's labels are given to the model.
        precision: a dtype policy.
        seed: of the initial weights and of the noise of training.

    Raises:
        InputError: the model cannot model such data.
    """
    given = {"example": source.example} | ({"label": source.label} if conditional else {})
    keras.utils.set_random_seed(int(make_seed(seed)[0]))
    with precision_policy(precision):
        try:
            return get_class(entry.id)(**given, **arguments, seed=seed, dtype=precision)
        except InputError:
            raise
        except tf.errors.ResourceExhaustedError as error:
            raise InputError(f"{entry.id}: out of memory for its weights; make it smaller") from error
        except (ValueError, TypeError, AttributeError) as error:
            # Keras, of an argument that the model handed on as it was.
            raise InputError(f"{entry.id}: cannot be built so: {str(error).strip().splitlines()[0]}") from error


def check_match(entry: Entry, source, conditional: bool | None) -> bool:
    """Checks that a model can model what a source holds; returns whether it will be given the labels.

    Arguments:
        entry: of the registry.
        source: a `tfgen.data.Source`.
        conditional: whether it should be; None leaves it to the model, and to the data if they have few labels.

    Raises:
        InputError: points for a model of pictures, or labels and a model that does not take them, or few labels and
            one that needs them all.
    """
    kind = typing.get_type_hints(get_class(entry.id).__init__).get("example")
    if kind is not None and not isinstance(source.example, kind):
        wanted = "pictures" if kind is Images else "points"
        raise InputError(f"{entry.id} models {wanted}, but {source.describe()}")
    needs = is_conditional(entry)
    if conditional and needs is False:
        raise InputError(f"{entry.id} takes no labels; leave --conditional out")
    if conditional is False and needs:
        raise InputError(f"{entry.id} is conditional; leave --no-conditional out")
    few = source.label is not None and source.label.partial
    if few and not (conditional is not False and getattr(get_class(entry.id), "partial_labels", False)):
        reason = "takes no labels" if needs is False or conditional is False else "needs the labels of all examples"
        raise InputError(f"{entry.id} {reason}; leave --labels-per-class out")
    conditional = bool(needs or few) if conditional is None else conditional
    if conditional and source.label is None:
        raise InputError(f"{entry.id} is conditional, but {source.describe()}; there are no labels")
    return conditional


def spread_labels(model, count: int, labels=None) -> np.ndarray | None:
    """Returns a label for each of `count` samples, or None for a model that takes none.

    Arguments:
        model: of the zoo.
        count: how many.
        labels: one per sample, one for all, or nothing for all classes in turn.

    Raises:
        InputError: labels for a model that takes none, of another number, or out of range.
    """
    if not samples_by_class(model):
        if labels is not None:
            reason = "was trained without labels" if model.label is None else "samples no class that is asked for"
            raise InputError(f"labels: {model.name} {reason}")
        return None
    if labels is None:
        return np.arange(count, dtype=np.int32) % model.label.count
    labels = dataclasses.replace(model.label, partial=False).validate(np.atleast_1d(labels), "labels")
    if len(labels) not in (1, count):
        raise InputError(f"labels: {len(labels)} for {count} samples; give one for all, or one for each")
    return np.broadcast_to(labels, (count,)).copy()


def plain(arguments: Mapping) -> dict:
    """Returns a constructor's arguments as JSON can hold them; networks and likelihoods as Keras describes them."""
    return {name: _plain(value) for name, value in arguments.items()}


def _plain(value):
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return keras.saving.serialize_keras_object(value)


def revived(arguments: Mapping) -> dict:
    """Returns what `plain` was given, tuples as lists."""
    return {
        name: keras.saving.deserialize_keras_object(value) if isinstance(value, dict) else value
        for name, value in arguments.items()
    }


def describe_specs(source) -> dict[str, dict]:
    """Returns what an example of a source is, for the record: kind and arguments of the spec of each key."""
    return {key: {"kind": type(spec).__name__} | spec.get_config() for key, spec in source.specs.items()}


def describe_optimizers(model) -> dict[str, dict]:
    """Returns the configuration of every player's optimizer, for the record."""
    return {name: keras.saving.serialize_keras_object(optimizer) for name, optimizer in model.optimizers.items()}


def versions() -> dict[str, str]:
    """Returns the versions of what the numbers depend on."""
    packages = ("tensorflow", "keras", "tensorflow-probability", "tensorflow-datasets", "numpy")
    found = {package: importlib.metadata.version(package) for package in packages}
    return {"tfgen": importlib.import_module("tfgen").__version__, "python": platform.python_version()} | found
