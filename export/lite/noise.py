"""Takes the random numbers out of a graph: what it draws becomes what it is given."""

import collections
import dataclasses
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfgen.errors import InputError
from tfgen.export.comparison import Arrays

#: Operation -> what it draws, as a caller has to.
_DRAWS = {
    "StatelessRandomNormalV2": "normal",
    "StatelessRandomUniformV2": "uniform",
    "StatelessMultinomial": "uniform",
}
_CATEGORICAL = "StatelessMultinomial"


# Operations that draw, or make seeds of seeds.
_RANDOM = re.compile("Stateless(?!If|While|Case)")


@dataclasses.dataclass(frozen=True)
class _Noise:
    """One tensor of independent random numbers.

    Attributes:
        kind: `normal` for standard normal numbers, `uniform` for those in [0, 1).
        shape: of the twin's input, None where the number of examples stands.
        axis: which one that is; None if the numbers are the same for any number of examples.
        drawn: shape of what the other graph draws, -1 where it depends on the number of examples.
    """

    kind: str
    shape: tuple[int | None, ...]
    axis: int | None
    drawn: tuple[int, ...]

    @classmethod
    def of(cls, kind: str, two: list[int], three: list[int]) -> "_Noise":
        """Returns it from the shapes that are drawn for two examples and for three."""
        axes = [axis for axis, sizes in enumerate(zip(two, three, strict=True)) if sizes[0] != sizes[1]]
        if not axes:
            return cls(kind, tuple(two), None, tuple(two))
        [axis] = axes
        each = two[axis] // 2
        own = (None, each) if each > 1 else (None,)
        rest = tuple(two[:axis]), tuple(two[axis + 1 :])
        return cls(kind, (*rest[0], *own, *rest[1]), axis, (*rest[0], -1, *rest[1]))


@dataclasses.dataclass(frozen=True)
class NoiseTwin:
    """A graph beside one that draws random numbers, of which it takes as inputs what the other draws from its seed.

    Attributes:
        function: named inputs -> named outputs, without variables.
        noise: by the name of an input.
    """

    function: tf.types.experimental.ConcreteFunction
    noise: Mapping[str, _Noise]
    _draw: tf.types.experimental.ConcreteFunction
    _names: tuple[str, ...]

    def inputs(self, given: Arrays) -> Arrays:
        """Returns the twin's inputs for inputs of the other, of which the seed becomes noise.

        For a category that the other draws, that is the middle of those numbers that give this category.
        """
        drawn = self._draw(*(tf.constant(given[name]) for name in self._names))
        named = dict(given)
        for (name, noise), value in zip(self.noise.items(), drawn, strict=True):
            named[name] = np.reshape(value, [-1 if size is None else size for size in noise.shape])
        return {name: named[name] for name in self.function.structured_input_signature[1]}


def noise_twin(
    function: tf.types.experimental.ConcreteFunction, few: Arrays, more: Arrays, count: str, batch: int | None = None
) -> NoiseTwin:
    """Returns the twin of a graph whose random numbers follow from an input `seed`.

    Arguments:
        function: named inputs -> named outputs.
        few: inputs for two examples.
        more: inputs for three, from which is seen which numbers are of which example.
        count: name of the input that says how many examples there are; the twin sees that from its noise.
        batch: that number, if it is always the same.

    Raises:
        InputError: numbers are drawn inside of a loop, or by an operation that draws neither standard numbers nor
            categories.
    """
    names = tuple(sorted(function.structured_input_signature[1]))
    # Weights become constants, and calls what is called.
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False, aggressive_inlining=True)
    inputs = dict(zip(names, frozen.inputs, strict=True))
    outputs = dict(zip(sorted(function.structured_outputs), frozen.outputs, strict=True))
    found, used = _reach(outputs.values())
    drawing = _drawing(frozen.graph)
    for operation in used:
        if _RANDOM.match(operation.type) or called(operation.node_def) & drawing:
            raise InputError(
                "draws random numbers inside of a loop, or others than uniform and normal ones and categories"
            )
    draws = [operation for operation in frozen.graph.get_operations() if operation in found]
    with frozen.graph.as_default():
        drawn = [_placed(operation) for operation in draws]
    draw = frozen.prune(list(inputs.values()), drawn)
    shapes = (
        [drawn.shape.as_list() for drawn in draw(*(tf.constant(one[name]) for name in names))] for one in (few, more)
    )
    noise = {
        f"noise_{at}" if len(draws) > 1 else "noise": _Noise.of(_DRAWS[operation.type], two, three)
        for at, (operation, two, three) in enumerate(zip(draws, *shapes, strict=True))
    }
    taken = {name: tensor for name, tensor in inputs.items() if tensor.op in used}
    pruned = frozen.prune([*taken.values(), *(operation.outputs[0] for operation in draws)], list(outputs.values()))
    logits = {at: _logits(frozen, one, taken, draws) for at, one in enumerate(draws) if one.type == _CATEGORICAL}
    tensors = {name: (tensor.shape, tensor.dtype) for name, tensor in taken.items() if name != count}
    tensors |= {name: (one.shape, tf.float32) for name, one in noise.items()}
    specs = {
        name: tf.TensorSpec([batch if size is None else size for size in shape], dtype, name)
        for name, (shape, dtype) in tensors.items()
    }

    def run(**tensors):
        for name, one in noise.items():
            if one.axis is not None:
                tensors[count] = tf.shape(tensors[name])[one.axis]
        drawn = [tf.reshape(tensors[name], one.drawn) for name, one in noise.items()]
        # A draw that others follow from has fewer before it than these.
        for at in sorted(logits, key=lambda at: len(logits[at].draws)):
            before = logits[at]
            [given] = before.function(*(tensors[name] for name in before.inputs), *(drawn[one] for one in before.draws))
            drawn[at] = tf.cast(_category(given, drawn[at]), draws[at].outputs[0].dtype)
        return dict(zip(outputs, pruned(*(tensors[name] for name in taken), *drawn), strict=True))

    twin = tf.function(run, autograph=False).get_concrete_function(**specs)
    return NoiseTwin(twin, noise, draw, names)


class _Logits(NamedTuple):
    """What gives the logits of a categorical draw, from inputs by name and from draws by number."""

    function: tf.types.experimental.ConcreteFunction
    inputs: tuple[str, ...]
    draws: tuple[int, ...]


def _logits(frozen, operation: tf.Operation, inputs: Mapping[str, tf.Tensor], draws: list[tf.Operation]) -> _Logits:
    found, used = _reach([operation.inputs[0]])
    names = tuple(name for name, tensor in inputs.items() if tensor.op in used)
    before = tuple(at for at, draw in enumerate(draws) if draw in found)
    feeds = [*(inputs[name] for name in names), *(draws[at].outputs[0] for at in before)]
    return _Logits(frozen.prune(feeds, [operation.inputs[0]]), names, before)


def _cumulated(logits):
    return tf.cumsum(tf.exp(logits - tf.reduce_max(logits, -1, keepdims=True)), -1)


def _category(logits, u):
    """Returns the inverse of the distribution function: logits `(rows, K)`, u `(rows, draws)` -> int32 like u."""
    sums = _cumulated(logits)
    passed = sums[:, tf.newaxis] <= (u * sums[:, -1:])[..., tf.newaxis]
    return tf.reduce_sum(tf.cast(passed, tf.int32), -1)


def _placed(operation: tf.Operation) -> tf.Tensor:
    """Returns the noise from which follows what an operation draws."""
    drawn = operation.outputs[0]
    if operation.type != _CATEGORICAL:
        return drawn
    sums = _cumulated(operation.inputs[0])
    upper = tf.gather(sums, drawn, batch_dims=1)
    lower = tf.where(drawn > 0, tf.gather(sums, tf.maximum(drawn - 1, 0), batch_dims=1), 0.0)
    return (lower + upper) / 2.0 / sums[:, -1:]


def _reach(tensors) -> tuple[set[tf.Operation], set[tf.Operation]]:
    """Returns the operations that draw, and all others that tensors follow from these."""
    draws, used = set(), set()
    waiting = collections.deque(tensor.op for tensor in tensors)
    while waiting:
        operation = waiting.popleft()
        if operation in draws:
            continue
        if operation.type in _DRAWS:
            draws.add(operation)
            if operation.type == _CATEGORICAL:
                waiting.append(operation.inputs[0].op)  # its logits may follow from draws as well
        elif operation not in used:
            used.add(operation)
            waiting += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
    return draws, used


def _drawing(graph: tf.Graph) -> set[str]:
    """Returns the names of a graph's functions that draw random numbers, themselves or by one that they call."""
    calls, drawing = {}, set()
    for function in graph.as_graph_def().library.function:
        name = function.signature.name
        calls[name] = {one for node in function.node_def for one in called(node)}
        if any(_RANDOM.match(node.op) for node in function.node_def):
            drawing.add(name)
    while more := {name for name, others in calls.items() if others & drawing} - drawing:
        drawing |= more
    return drawing


def called(node) -> set[str]:
    """Returns the names of the functions that a node calls."""
    values = node.attr.values()
    return {value.func.name for value in values if value.HasField("func")} | {
        function.name for value in values for function in value.list.func
    }
