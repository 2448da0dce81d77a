"""One graph of a TF-Lite model while it is changed."""

from collections.abc import Iterable

import numpy as np

from tfgen.export.lite.models import Writer, listed, scale_of


class View:
    """What is asked of a graph by those who change it.

    Arguments:
        model, graph: a `ModelT` and one of its `SubGraphT`.
        writer: of the model.

    Attributes:
        fixed: places of the graph's inputs and outputs.
    """

    def __init__(self, model, graph, writer: Writer):
        from tensorflow.lite.python import schema_py_generated as schema

        self.model, self.graph, self.writer, self.schema = model, graph, writer, schema
        self.fixed = {*graph.inputs, *graph.outputs}
        self._whole = {schema.TensorType.INT32: np.int32, schema.TensorType.INT64: np.int64}

    @property
    def operators(self) -> list:
        return self.graph.operators

    def kind(self, operator) -> str:
        """Returns `CONV_2D` and the like."""
        return self.writer.kinds[operator.opcodeIndex]

    def is_float(self, tensor: int) -> bool:
        return self.graph.tensors[tensor].type == self.schema.TensorType.FLOAT32

    def is_whole(self, tensor: int) -> bool:
        return self.graph.tensors[tensor].type in self._whole

    def shape(self, tensor: int) -> tuple[int, ...] | None:
        """Returns the sizes of a tensor, -1 where one is free; None if not even their number is known."""
        one = self.graph.tensors[tensor]
        shape = listed(one.shapeSignature) if len(listed(one.shapeSignature)) else listed(one.shape)
        return tuple(map(int, shape)) if one.hasRank else None

    def said(self, tensor: int) -> tuple:
        """Returns what is said of a tensor, for comparison."""
        one = self.graph.tensors[tensor]
        return one.type, self.shape(tensor), scale_of(one)

    def is_like(self, one: int, other: int) -> bool:
        """Returns whether two tensors are of one type and scale."""
        one, other = self.graph.tensors[one], self.graph.tensors[other]
        return one.type == other.type and scale_of(one) == scale_of(other)

    def data(self, tensor: int) -> np.ndarray | None:
        """Returns the bytes of a constant, or its numbers if they are whole ones."""
        one = self.graph.tensors[tensor]
        data = listed(self.model.buffers[one.buffer].data)
        return np.asarray(data, np.uint8).view(self._whole.get(one.type, np.uint8)) if len(data) else None

    def makers(self) -> dict[int, object]:
        """Returns the operators by what they give."""
        return {one: operator for operator in self.operators for one in operator.outputs}

    def readers(self) -> dict[int, list]:
        """Returns the operators by what they take."""
        readers: dict[int, list] = {}
        for operator in self.operators:
            for one in operator.inputs:
                readers.setdefault(one, []).append(operator)
        return readers

    def only_reader(self, operator, readers: dict[int, list]):
        """Returns the operator that takes the output of one, if nothing else does."""
        [output] = operator.outputs
        [reader, *others] = readers.get(output, [None])
        return None if others or output in self.fixed else reader

    def remove(self, gone: Iterable) -> None:
        """Removes operators."""
        places = {id(one) for one in gone}
        self.graph.operators = [one for one in self.operators if id(one) not in places]
