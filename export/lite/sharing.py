"""Lets the signatures of a TF-Lite file share their graphs: a reconstruction is what `decode` makes of what `encode` gives.

TF-Lite has no calls. But a condition that always holds, with the same graph for both of its branches, is one, and every
runtime has conditions. So an endpoint that only combines others is traced with a placeholder where it calls one of these,
and converted to a graph with an operation of that placeholder's name; `link` puts the condition in its place.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping

import tensorflow as tf

from tfgen.endpoints import Endpoint
from tfgen.export.lite.linking import PLACEHOLDER

# What draws everything is what completes an example of which nothing is known. Endpoint -> the other, and those of its inputs
# that say so by being zeros.
_COMPLETES = {"sample_from_noise": ("complete_from_noise", ("x", "mask"))}


def combined(model, marks: Mapping[str, Endpoint], functions: Mapping) -> dict:
    """Returns the graphs of those endpoints that only combine others, with placeholders for these.

    Arguments:
        model: a generative model.
        marks: endpoints that draw no random numbers, by name.
        functions: their whole graphs.

    Returns:
        Name -> graph; it reads no weights.
    """
    callable_ = {name: mark for name, mark in marks.items() if _is_callable(model, mark, functions[name])}
    found = {}
    for name, mark in marks.items():
        others = {other: one for other, one in callable_.items() if other != name and other not in found}
        with _placeholders(model, others, functions) as called:
            function = _by_completing(model, mark, others) or mark.trace(model)
        if called and not function.variables:
            found[name] = function
            callable_.pop(name, None)
    return found


def _is_callable(model, mark: Endpoint, function) -> bool:
    """Returns whether an endpoint gives a row for each row that it takes, all of known sizes."""
    specs = mark.parameters(model).values()
    tensors = [*specs, *function.structured_outputs.values()]
    outputs = {id(tensor) for tensor in function.outputs}
    return (
        all(one.shape.rank and one.shape[0] is None and one.shape[1:].is_fully_defined() for one in tensors)
        and len(outputs) == len(function.outputs)
        and not outputs & {id(tensor) for tensor in function.inputs}
    )


@contextlib.contextmanager
def _placeholders(model, marks: Mapping[str, Endpoint], functions: Mapping) -> Iterator[set[str]]:
    """Has endpoints of a model leave a placeholder where a graph calls them; yields the names of those that were called."""
    called: set[str] = set()
    for name, mark in marks.items():
        # Past Keras, which looks at what a layer is given; it is found before the method of the class.
        object.__setattr__(model, name, _caller(model, mark, functions[name].structured_outputs, called))
    try:
        yield called
    finally:
        for name in marks:
            object.__delattr__(model, name)


def _caller(model, mark: Endpoint, outputs: Mapping, called: set[str]) -> Callable:
    specs, names = mark.parameters(model), sorted(outputs)
    signature = inspect.signature(mark.method)

    def zeros(*tensors):
        count = tf.shape(tensors[0])[0]
        return tuple(tf.zeros((count, *outputs[name].shape[1:]), outputs[name].dtype) for name in names)

    # The converter makes an operation of its own of such a function, whatever it computes.
    attribute = f'name: "{PLACEHOLDER}{mark.name}" attr {{ key: "tfl_fusable_op" value {{ b: true }} }}'
    placeholder = tf.function(zeros, experimental_implements=attribute, autograph=False)

    def call(*args, **kwargs):
        bound = signature.bind(model, *args, **kwargs)
        bound.apply_defaults()
        given = {spec.name: tf.cast(bound.arguments[parameter], spec.dtype) for parameter, spec in specs.items()}
        results = placeholder(*(given[name] for name in sorted(given)))
        called.add(mark.name)
        results = {
            name: tf.ensure_shape(result, outputs[name].shape) for name, result in zip(names, results, strict=True)
        }
        return results[mark.output(model)] if names == [mark.output(model)] else results

    return call


def _by_completing(model, mark: Endpoint, others: Mapping[str, Endpoint]):
    """Returns the graph of an endpoint that draws everything as a call of one that completes, or None."""
    completing, zeros = _COMPLETES.get(mark.name, (None, ()))
    if completing not in others:
        return None
    specs, empty = mark.parameters(model), others[completing].parameters(model)

    def run(**tensors):
        given = {parameter: tensors[spec.name] for parameter, spec in specs.items()}
        count = tf.shape(next(iter(given.values())))[0]
        nothing = {name: tf.zeros((count, *empty[name].shape[1:]), empty[name].dtype) for name in zeros}
        return {mark.output(model): getattr(model, completing)(**nothing, **given)}

    return tf.function(run, autograph=False).get_concrete_function(**{spec.name: spec for spec in specs.values()})
