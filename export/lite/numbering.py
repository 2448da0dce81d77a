"""Numbers the tensors of a TF-Lite model's graphs so that many of their operators are the same bytes.

An operator names its tensors by their numbers in its graph, and equal operators stand in a file once. What a likelihood and a
sampler have in common is the same operators if what these take and give has the same numbers in both graphs; so is any
other pair of one kind, whatever it computes with.
"""

import collections
from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np

from tfgen.export.lite.models import Writer, listed, told

# How many operators away graphs are looked at: two operators are the more surely the same, the more around them is alike.
_FAR = 6


def renumber(model) -> None:
    """Gives the tensors of a model's graphs other numbers, in place.

    Of numbers that a graph does not need it gets tensors that nothing reads.

    Arguments:
        model: a `ModelT`.
    """
    known = _Common()
    # The largest graph first: the others find most of what they have in it.
    for at in sorted(range(len(model.subgraphs)), key=lambda at: -len(model.subgraphs[at].operators)):
        _Matcher(model, at, known).match()
    writer = Writer(model)
    for at, numbers in enumerate(known.numbers(len(model.subgraphs))):
        _place(model, at, numbers, writer)


class _Common:
    """Tensors that are to have the same number, and operators of such.

    Attributes:
        tensors: those of one number: graph -> its tensor.
        operators: kind, and what it takes and gives, by the places of `tensors`.
        alike: what an operator and those around it look like -> places of `operators`.
    """

    def __init__(self):
        self.tensors: list[dict[int, int]] = []
        self.operators: list[tuple[Hashable, tuple[int, ...]]] = []
        self.alike: dict[Hashable, list[int]] = collections.defaultdict(list)

    def numbers(self, graphs: int) -> list[dict[int, int]]:
        """Returns for each graph its tensors' numbers: the least that are free in all graphs that have such a tensor."""
        taken, found = [0] * graphs, [{} for _ in range(graphs)]  # bits of numbers; tensor -> number
        sizes = collections.Counter(graph for members in self.tensors for graph in members)
        # Small graphs have no place for what comes late; what is in one graph alone fills gaps.
        for members in sorted(self.tensors, key=lambda one: (min(sizes[graph] for graph in one), -len(one))):
            busy = 0
            for graph in members:
                busy |= taken[graph]
            free = ~busy & (busy + 1)  # the lowest bit that is not set
            for graph, tensor in members.items():
                taken[graph] |= free
                found[graph][tensor] = free.bit_length() - 1
        return found


class _Matcher:
    """Finds which operators of a graph can be the same as others.

    Arguments:
        model: a `ModelT`.
        at: place of the graph.
        common: what other graphs have; gets what this one has.
    """

    def __init__(self, model, at: int, common: _Common):
        graph = model.subgraphs[at]
        self._at, self._common, self._count = at, common, len(graph.tensors)
        self._tensors = [tuple(map(int, (*one.inputs, *one.outputs))) for one in graph.operators]
        self._kinds = [_kind(one) for one in graph.operators]
        self._looks = [*_looks(graph, self._kinds)]
        # Of this graph -> common, and back; -1 stands for an input that is left out.
        self._places, self._owners, self._same = {-1: -1}, {-1: -1}, {}

    def match(self) -> None:
        for looks in self._looks:
            for operator, look in enumerate(looks):
                if operator not in self._same:
                    fitting = (other for other in self._common.alike[look] if self._fits(operator, other))
                    if (other := next(fitting, None)) is not None:
                        self._take(operator, other)
        self._add()

    def _fits(self, operator: int, other: int) -> bool:
        """Returns whether an operator can be the same as a common one, after what was taken already."""
        kind, places = self._common.operators[other]
        if kind != self._kinds[operator]:
            return False  # which have the same hash
        pairs = {*zip(self._tensors[operator], places, strict=True)}
        if not len(pairs) == len({tensor for tensor, _ in pairs}) == len({place for _, place in pairs}):
            return False
        return all(
            self._places.get(tensor, place) == place and self._owners.get(place, tensor) == tensor
            for tensor, place in pairs
        )

    def _take(self, operator: int, other: int) -> None:
        """Has an operator be the same as a common one."""
        self._same[operator] = other
        for tensor, place in zip(self._tensors[operator], self._common.operators[other][1], strict=True):
            self._places[tensor], self._owners[place] = place, tensor

    def _add(self) -> None:
        """Adds to what is common."""
        common = self._common
        for tensor in range(self._count):
            if tensor not in self._places:
                self._places[tensor] = len(common.tensors)
                common.tensors.append({})
            common.tensors[self._places[tensor]][self._at] = tensor
        for operator, tensors in enumerate(self._tensors):
            if operator not in self._same:
                self._same[operator] = len(common.operators)
                common.operators.append((self._kinds[operator], tuple(self._places[one] for one in tensors)))
        for looks in self._looks:
            for operator, look in enumerate(looks):
                common.alike[look].append(self._same[operator])


def _kind(operator) -> Hashable:
    """Returns what two operators must have in common to be the same bytes, but for their tensors."""
    counts = len(operator.inputs), len(operator.outputs)
    return operator.opcodeIndex, counts, told(operator.builtinOptions), told(operator.builtinOptions2)


def _looks(graph, kinds: Sequence[Hashable]) -> Iterator[list[Hashable]]:
    """Yields what the operators of a graph look like, with those around them at first, and by themselves at last."""
    makers = {int(one): at for at, operator in enumerate(graph.operators) for one in operator.outputs}
    readers = collections.defaultdict(list)
    for at, operator in enumerate(graph.operators):
        for one in operator.inputs:
            readers[int(one)].append(at)

    def farther(looks: list[int], at: int) -> int:
        operator = graph.operators[at]
        before = tuple(looks[makers[one]] if one in makers else 0 for one in map(int, operator.inputs))
        after = sorted(looks[reader] for one in operator.outputs for reader in readers[int(one)])
        return hash((looks[at], before, *after))

    looks = [[*map(hash, kinds)]]
    for _ in range(_FAR):
        looks.append([farther(looks[-1], at) for at in range(len(kinds))])
    for depth in reversed(range(_FAR + 1)):
        yield [(depth, look) for look in looks[depth]]


def _place(model, at: int, numbers: dict[int, int], writer: Writer) -> None:
    """Moves the tensors of a graph to other numbers."""
    from tensorflow.lite.python import schema_py_generated as schema

    graph = model.subgraphs[at]
    old, graph.tensors = graph.tensors, []
    tensors = {new: old[tensor] for tensor, new in numbers.items()}
    for number in range(max(tensors, default=-1) + 1):
        if number in tensors:
            graph.tensors.append(tensors[number])
        else:
            writer.tensor(graph, (), schema.TensorType.BOOL)
    numbers = numbers | {-1: -1}

    def moved(ones: Iterable[int]) -> np.ndarray:
        return np.array([numbers[int(one)] for one in ones], np.int32)

    graph.inputs, graph.outputs = moved(graph.inputs), moved(graph.outputs)
    for operator in graph.operators:
        operator.inputs, operator.outputs = moved(operator.inputs), moved(operator.outputs)
        if len(listed(operator.intermediates)):
            operator.intermediates = moved(operator.intermediates)
    for signature in model.signatureDefs:
        if signature.subgraphIndex == at:
            for one in (*signature.inputs, *signature.outputs):
                one.tensorIndex = numbers[one.tensorIndex]
