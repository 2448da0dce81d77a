"""What a trained model can do, marked where it is written.

A method that is decorated with `endpoint` runs as one compiled graph from Python, and the exporter turns the
same graph into a SavedModel signature; so the two give the same answers. The decorator names the *kind* of each
input, and the kind knows its name, dtype and shape for a given model, how to check what a caller passes, and an
input that exercises it::

    @endpoint(x=Example())
    def reconstruct(self, x): ...

Under its name in Python (`x`, the paper's letter) stands its name outside (`image`, from the example's spec).
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.errors import InputError
from tfgen.specs import Labels, as_array, check_finite

tfd = tfp.distributions

#: How codes are drawn whose prior is uniform.
SYMMETRIC = "uniform in [-1, 1]"

_INT32 = np.iinfo(np.int32)


class Input:
    """Kind of an endpoint's input."""

    #: Whether there is one for each example that the endpoint takes.
    per_example = False

    def applies(self, model) -> bool:
        """Whether this model has such an input; else the parameter keeps its default."""
        return True

    def tensor_spec(self, model, parameter: str) -> tf.TensorSpec:
        """Returns name, shape and dtype outside of Python."""
        raise NotImplementedError

    def convert(self, value, model, parameter: str):
        """Returns what a caller passed as a NumPy array of the right dtype, or raises InputError."""
        raise NotImplementedError

    def reference(self, model, count: int, seed: int) -> np.ndarray:
        """Returns an input of `count` examples to compare two implementations on."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Example(Input):
    """A batch of what the model models: uint8 pictures, float32 points.

    Arguments:
        name: outside of Python, where an endpoint takes several; otherwise the data's (`image`, `point`).
        partly: whether it is taken for what a mask says is seen, where the model is conditional on that.
    """

    name: str | None = None
    partly: bool = False

    per_example = True

    def applies(self, model):
        return not self.partly or model.mask is not None

    def tensor_spec(self, model, parameter):
        spec = model.example.tensor_spec()
        return tf.TensorSpec(spec.shape, spec.dtype, name=self.name or spec.name)

    def convert(self, value, model, parameter):
        return model.example.validate(value, parameter)

    def reference(self, model, count, seed):
        rng = np.random.default_rng(seed)
        if hasattr(model.example, "levels"):
            return rng.integers(0, model.example.levels, (count, *model.example.shape), np.uint8)
        return rng.normal(size=(count, *model.example.shape)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Label(Input):
    """A class per example, int32 of shape `(batch,)`, where the model is conditional.

    Arguments:
        of: attribute of the model that holds the classes; where that is None there is no such input.
    """

    of: str = "label"

    per_example = True

    def _classes(self, model) -> Labels | None:
        classes = getattr(model, self.of)
        # Training may do with unknown classes; who asks for something has to say of which.
        return classes and dataclasses.replace(classes, partial=False)

    def applies(self, model):
        return self._classes(model) is not None

    def tensor_spec(self, model, parameter):
        return self._classes(model).tensor_spec()

    def convert(self, value, model, parameter):
        classes = self._classes(model)
        if value is None:
            raise InputError(f"{parameter}: this model is conditional; pass one label {classes.values} per example")
        return classes.validate(value, parameter)

    def reference(self, model, count, seed):
        return np.random.default_rng(seed).integers(0, self._classes(model).count, count).astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Map(Input):
    """Features per pixel, float32 `(batch, height, width, features)`, where the model is conditional on them."""

    per_example = True

    def applies(self, model):
        return model.map is not None

    def tensor_spec(self, model, parameter):
        return model.map.tensor_spec()

    def convert(self, value, model, parameter):
        if value is None:
            raise InputError(f"{parameter}: this model is conditional; pass float32 (batch, {model.map.shape})")
        return tf.cast(value, tf.float32) if tf.is_tensor(value) else model.map.validate(value, parameter)

    def reference(self, model, count, seed):
        return np.random.default_rng(seed).normal(size=(count, *model.map.shape)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Mask(Input):
    """What is seen of an example, float32 `(batch, height, width)` or `(batch, size)`, at least 0.5 where it is.

    Taken where the model is conditional on that.
    """

    per_example = True

    def applies(self, model):
        return model.mask is not None

    def tensor_spec(self, model, parameter):
        return model.mask.tensor_spec()

    def convert(self, value, model, parameter):
        if value is None:
            raise InputError(f"{parameter}: this model is conditional on what is seen; pass a mask, 1 where it is")
        return model.mask.validate(value, parameter)

    def reference(self, model, count, seed):
        return np.random.default_rng(seed).random((count, *model.mask.shape)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Tensor(Input):
    """A float32 batch whose shape behind the batch axis depends on the model.

    Arguments:
        shape: model -> shape without the batch axis.
        draw: how reference inputs are drawn: `"normal"`, or `"uniform"` in [0, 1).
    """

    shape: Callable[..., tuple[int, ...]]
    draw: str = "normal"

    def drawn(self, model) -> str:
        """Returns how numbers are drawn that are as good as what the model draws itself: `draw`, or a range."""
        return self.draw

    def tensor_spec(self, model, parameter):
        return tf.TensorSpec((None, *self.shape(model)), tf.float32, name=parameter)

    def convert(self, value, model, parameter):
        expected = tuple(self.shape(model))
        array = as_array(value, parameter)
        if array.ndim != len(expected) + 1 or array.shape[1:] != expected:
            raise InputError(f"{parameter}: shape {array.shape}, expected (batch, {', '.join(map(str, expected))})")
        if array.dtype.kind not in "fiub":
            raise InputError(f"{parameter}: dtype {array.dtype}, expected float32")
        check_finite(array, parameter)
        return array.astype(np.float32)

    def reference(self, model, count, seed):
        rng = np.random.default_rng(seed)
        size = (count, *self.shape(model))
        kind = self.drawn(model)
        numbers = rng.normal(size=size) if kind == "normal" else rng.random(size)
        return (2.0 * numbers - 1.0 if kind == SYMMETRIC else numbers).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Latent(Tensor):
    """A batch of latent codes, float32 `(batch, latent_size)`."""

    shape: Callable[..., tuple[int, ...]] = lambda model: (model.latent_size,)

    def drawn(self, model) -> str:
        prior = getattr(model, "latent_prior", lambda: None)()
        return SYMMETRIC if isinstance(getattr(prior, "distribution", None), tfd.Uniform) else self.draw


@dataclasses.dataclass(frozen=True)
class Count(Input):
    """How many examples, or steps, to make: an int32 scalar of at least 1."""

    def tensor_spec(self, model, parameter):
        return tf.TensorSpec((), tf.int32, name=parameter)

    def convert(self, value, model, parameter):
        array = as_array(value, parameter)
        if array.shape != () or array.dtype.kind not in "iu" or not 1 <= array <= _INT32.max:
            raise InputError(f"{parameter}: {value!r}, expected a whole number of at least 1")
        return array.astype(np.int32)

    def reference(self, model, count, seed):
        return np.int32(count)


@dataclasses.dataclass(frozen=True)
class Seed(Input):
    """What the random numbers of a call are derived from: an int, or two int32 of shape `(2,)`.

    The same seed gives the same answer on every call, in Python and in an exported model.
    """

    def tensor_spec(self, model, parameter):
        return tf.TensorSpec((2,), tf.int32, name=parameter)

    def convert(self, value, model, parameter):
        return make_seed(value, parameter)

    def reference(self, model, count, seed):
        return np.array([seed, 1], np.int32)


def make_seed(value, where: str = "seed"):
    """Returns an int, or a pair of ints, as an int32 seed of shape `(2,)`.

    Raises:
        InputError: neither of them.
    """
    array = as_array(value, where)
    if array.dtype.kind in "iu" and array.shape == () and -(2**61) <= int(array) < 2**61:
        number = int(array)
        return np.array([number & 0x7FFFFFFF, (number >> 31) & 0x7FFFFFFF], np.int32)
    if array.dtype.kind in "iu" and array.shape == (2,) and _INT32.min <= array.min() and array.max() <= _INT32.max:
        return array.astype(np.int32)
    raise InputError(f"{where}: {value!r}, expected an int of at most 61 bits, or two int32")


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One thing that a model can do.

    Arguments:
        name: the method's name, and the signature's.
        method: the undecorated method.
        inputs: parameter -> kind.
        returns: name of the output, unless the method returns a dict; `"example"` stands for the data's (`image`).
    """

    name: str
    method: Callable
    inputs: dict[str, Input]
    returns: str

    def parameters(self, model) -> dict[str, tf.TensorSpec]:
        """Returns parameter -> spec of the tensors that it takes for this model."""
        return {name: kind.tensor_spec(model, name) for name, kind in self.inputs.items() if kind.applies(model)}

    def output(self, model) -> str:
        """Returns the name of the output, where there is one."""
        return model.example.key if self.returns == "example" else self.returns

    def bind(self, model) -> tf.types.experimental.PolymorphicFunction:
        """Returns the compiled graph: outer names in, a dict of named tensors out."""
        specs = self.parameters(model)

        def run(**tensors):
            arguments = {parameter: tensors[spec.name] for parameter, spec in specs.items()}
            result = self.method(model, **arguments)
            return result if isinstance(result, dict) else {self.output(model): result}

        run.__name__ = self.name
        return tf.function(run, autograph=False)

    def trace(self, model) -> tf.types.experimental.ConcreteFunction:
        """Returns the graph of `bind` for every batch size."""
        return self.bind(model).get_concrete_function(**{spec.name: spec for spec in self.parameters(model).values()})


def endpoint(*, returns: str | None = None, **inputs: Input) -> Callable:
    """Marks a method as an endpoint; `inputs` names the kind of each tensor that it takes.

    Called from Python the method checks its arguments, and runs compiled once for all batch sizes, with the
    averaged weights if the model was compiled with `ema`. Inside of a graph or a training step it is the plain method.
    A subclass may override it without marking it anew.
    """

    def mark(method: Callable) -> Callable:
        signature = inspect.signature(method)

        @functools.wraps(method)
        def call(self, *args, **kwargs):
            if tf.inside_function() or self.in_step:
                return method(self, *args, **kwargs)
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            tensors, examples = {}, None
            for parameter, kind in inputs.items():
                value = bound.arguments[parameter]
                if not kind.applies(self):
                    if value is not None and value is not signature.parameters[parameter].default:
                        raise InputError(f"{method.__name__}: this model takes no {parameter}")
                    continue
                array = kind.convert(value, self, parameter)
                # The first input says how many examples there are.
                examples = examples or (len(array) if array.ndim else int(array))
                if kind.per_example and len(array) != examples:
                    raise InputError(f"{parameter}: {len(array)} for {examples} examples; pass one for each")
                tensors[kind.tensor_spec(self, parameter).name] = tf.constant(array)
            with self._weights_to_show():
                result = self.compiled_endpoint(call.endpoint)(**tensors)
            output = call.endpoint.output(self)
            return result[output] if set(result) == {output} else result

        call.endpoint = Endpoint(method.__name__, method, inputs, returns or method.__name__)
        return call

    return mark


def inherit_marks(cls: type) -> None:
    """Marks the methods of a class that override a base's endpoint without being marked anew.

    An input that the override has no parameter for is none of its inputs.
    """
    for name, method in list(vars(cls).items()):
        marks = (getattr(vars(base).get(name), "endpoint", None) for base in cls.__mro__[1:])
        mark = next((mark for mark in marks if isinstance(mark, Endpoint)), None)
        if mark is not None and inspect.isfunction(method) and not hasattr(method, "endpoint"):
            taken = inspect.signature(method).parameters
            inputs = {parameter: kind for parameter, kind in mark.inputs.items() if parameter in taken}
            setattr(cls, name, endpoint(returns=mark.returns, **inputs)(method))


def samples_by_class(model) -> bool:
    """Returns whether a model's samples are of a class that is asked for; one may also learn from labels otherwise."""
    inputs = type(model).sample.endpoint.inputs.values()
    return any(isinstance(kind, Label) and kind.applies(model) for kind in inputs)


def endpoints(model) -> dict[str, Endpoint]:
    """Returns what a model can do, by name."""
    found = {}
    for name in dir(type(model)):
        mark = getattr(getattr(type(model), name, None), "endpoint", None)
        if isinstance(mark, Endpoint) and model.offers(name):
            found[name] = mark
    return found
