"""TF-Lite files: several models in one, and what travels with them."""

import hashlib
import io
import json
import os
import pathlib
import zipfile
from collections.abc import Iterable, Mapping

import numpy as np

from tfgen.errors import InputError, first_line
from tfgen.export.card import FORMAT
from tfgen.export.comparison import Case
from tfgen.export.folder import sync, workspace
from tfgen.export.lite.linking import link
from tfgen.export.lite.models import told, unpacked
from tfgen.export.lite.numbering import renumber
from tfgen.export.lite.separating import separate
from tfgen.export.lite.simplifying import simplify
from tfgen.export.reference import NAME as REFERENCE
from tfgen.export.reference import pack_cases, unpack_cases

# Members of the archive behind a model, which is where TF-Lite's own metadata keep what belongs to a model.
_CARD, _DIGEST = "card.json", "card.json.sha256"

# Bytes that the archive may unpack to: a small one of a stranger can hold gigabytes of zeros.
_UNPACKED = 2**30

# Operators' options that name other graphs of the model.
_GRAPHS = ("condSubgraphIndex", "bodySubgraphIndex", "thenSubgraphIndex", "elseSubgraphIndex", "initSubgraphIndex")


def merge(models: Mapping[str, bytes], compact: bool = False) -> bytes:
    """Returns one model with the signatures of several, which share what they have in common of their weights.

    Where one has a placeholder for another, it gets that one's graph.

    Arguments:
        models: name -> a model with one signature of that name.
        compact: whether to number tensors so that graphs share operators, and not in the order of computation.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    parts = [*map(unpacked, models.values())]
    whole = schema.ModelT()
    whole.version, whole.description = parts[0].version, parts[0].description
    whole.operatorCodes, whole.subgraphs, whole.buffers, whole.metadata, whole.signatureDefs = [], [], [], [], []
    known: dict[bytes, int] = {}
    operators: dict[tuple, int] = {}
    for part in parts:
        graphs, places = len(whole.subgraphs), []
        for buffer in part.buffers:
            content = _content(buffer)
            if content not in known:
                known[content] = len(whole.buffers)
                whole.buffers.append(buffer)
            places.append(known[content])
        for graph in part.subgraphs:
            for tensor in graph.tensors:
                tensor.buffer = places[tensor.buffer]
            for operator in graph.operators:
                code = part.operatorCodes[operator.opcodeIndex]
                operator.opcodeIndex = operators.setdefault(_operation(code), len(operators))
                if operator.opcodeIndex == len(whole.operatorCodes):
                    whole.operatorCodes.append(code)
                for name in _GRAPHS:
                    if hasattr(operator.builtinOptions, name):
                        setattr(operator.builtinOptions, name, getattr(operator.builtinOptions, name) + graphs)
        for signature in part.signatureDefs:
            signature.subgraphIndex += graphs
        for metadata in () if whole.metadata else part.metadata or ():
            metadata.buffer = places[metadata.buffer]
            whole.metadata.append(metadata)
        whole.subgraphs += part.subgraphs
        whole.signatureDefs += part.signatureDefs
    simplify(whole)
    link(whole)
    separate(whole)
    if compact:
        renumber(whole)
    for graph in whole.subgraphs:
        for tensor in graph.tensors:
            tensor.name = None  # names are a tenth of a small file, and signatures have their own
    return _pack(whole)


def _pack(model) -> bytes:
    """Returns a model's bytes, in which equal lists of numbers, tensors and operators stand once.

    Without names most tensors inside of a graph are equal: they are of the same type and shape. In a quantised model, whose
    weights are a quarter as large, what is said of tensors would else be a fifth of the file.
    """
    import flatbuffers

    class Builder(flatbuffers.Builder):
        def __init__(self):
            super().__init__(1024)
            self.kept: dict[tuple[str, bytes], int] = {}

        def CreateNumpyVector(self, x):
            key = (x.dtype.str, x.tobytes())
            if key not in self.kept:
                if x.dtype == np.uint8:
                    self.Prep(16, x.nbytes)  # which the schema asks of weights, and this library forgets
                self.kept[key] = super().CreateNumpyVector(x)
            return self.kept[key]

    tables: dict[tuple, _Table] = {}

    def once(table):
        return tables.setdefault(told(table), _Table(table))

    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.quantization = _needed(tensor.quantization) and once(tensor.quantization)
        for operator in graph.operators:
            operator.builtinOptions = operator.builtinOptions and once(operator.builtinOptions)
        graph.tensors, graph.operators = [*map(once, graph.tensors)], [*map(once, graph.operators)]
    builder = Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Table:
    """A part of a model that is written when it is first asked for, and named by its place then."""

    __slots__ = ("_place", "_table")  # told by itself, and not by what it has in it

    def __init__(self, table):
        self._table, self._place = table, None

    def Pack(self, builder):
        if self._place is None:
            self._place = self._table.Pack(builder)
        return self._place


def _needed(quantization):
    """Returns what is needed of a tensor's quantisation, or None: ranges are what it was made from."""
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return None
    quantization.min = quantization.max = None
    return quantization


def operations(data: bytes) -> list[str]:
    """Returns the operations of a model: `CONV_2D` and the like if they are built in, else the name that they bear.

    Raises:
        InputError: it is no model.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}
    found = set()
    try:
        model = schema.Model.GetRootAs(data)
        for code in map(model.OperatorCodes, range(model.OperatorCodesLength())):
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            custom = number == schema.BuiltinOperator.CUSTOM
            found.add(f"custom {code.CustomCode().decode()}" if custom else names[number])
    except Exception as error:  # there is no end to what a damaged model can raise
        raise InputError(f"no TF-Lite model, or a damaged one ({first_line(error)})") from error
    return sorted(found)


def check_free(path: pathlib.Path, overwrite: bool) -> None:
    """Raises InputError if a file may not be written there."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file")
    if path.exists() and not overwrite:
        raise InputError(f"{path}: is there already; pass overwrite=True (--force), or choose another name")
    if path.exists():
        try:
            read_file(path)
        except InputError as error:
            raise InputError(
                f"{path}: not replaced, since it is not written by tfgen, or damaged; remove it"
            ) from error


def write_file(path: pathlib.Path, model: bytes, card: dict, reference: Iterable[Case]) -> None:
    """Writes a model with its card and its reference cases, beside its place at first, and renames it there.

    Behind the model stands an archive with `card.json`, its SHA-256 and `reference.npz`: `unzip` opens the file.
    """
    cases = pack_cases(reference)
    digests = {"model": model, REFERENCE: cases}
    files = {name: {"size": len(part), "sha256": _sha256(part)} for name, part in digests.items()}
    text = json.dumps(card | {"files": files}, indent=2, ensure_ascii=False, allow_nan=False).encode()
    content = io.BytesIO(model)
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        members = {_CARD: text, _DIGEST: f"{_sha256(text)}  {_CARD}\n".encode(), REFERENCE: cases}
        for name, part in members.items():
            # Of no date, so that the same model gives the same file.
            archive.writestr(zipfile.ZipInfo(name), part, zipfile.ZIP_DEFLATED)
    with workspace(path.parent, path.name, where=path) as hidden:
        new = hidden / "new"
        new.write_bytes(content.getvalue())
        sync(new)
        os.replace(new, path)
        sync(path.parent)


def read_file(path) -> tuple[bytes, dict, list[Case]]:
    """Returns the model, the card and the reference cases of a file, after all checksums have held.

    Raises:
        InputError: no such file, one that is not of tfgen, damaged, or of another format.
    """
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if members.keys() != {_CARD, _DIGEST, REFERENCE}:
                raise InputError(f"{path}: no card and reference cases in it, so it was not written by tfgen")
            if sum(info.file_size for info in members.values()) > _UNPACKED:
                raise InputError(f"{path}: its card and reference cases unpack to more than {_UNPACKED:,} bytes")
            text, digest, cases = (archive.read(name) for name in (_CARD, _DIGEST, REFERENCE))
            start = min(info.header_offset for info in members.values())
    except InputError:
        raise
    except Exception as error:  # there is no end to what a damaged file can raise
        raise InputError(f"{path}: damaged, or not written by tfgen ({error}); export anew") from None
    if digest.split()[:1] != [_sha256(text).encode()]:
        raise InputError(f"{path}: damaged, the SHA-256 of its card is another; export anew")
    model = content[:start]
    try:
        card = json.loads(text)
        form, files, kind = card["format"], card["files"], card["kind"]
        told, peak = dict(card["precisions"]).values(), card.get("peak")
        if not (isinstance(files, dict) and all(isinstance(one, str) for one in told)):
            raise ValueError("files or precisions are told otherwise")
        if not (peak is None or (isinstance(peak, int) and peak > 0)):
            raise ValueError(f"peak {peak!r}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: its card is none of a TF-Lite file ({error}); do not trust it") from None
    if (form, kind) != (FORMAT, "tflite"):
        raise InputError(f"{path}: format {form}, but this tfgen reads {FORMAT}; export anew")
    for name, part in {"model": model, REFERENCE: cases}.items():
        if files.get(name) != {"size": len(part), "sha256": _sha256(part)}:
            raise InputError(f"{path}: damaged, the SHA-256 of its {name} is another; export anew")
    return model, card, unpack_cases(cases, f"{path}: {REFERENCE}")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _operation(code) -> tuple:
    return code.builtinCode, code.deprecatedBuiltinCode, code.version, code.customCode


def _content(buffer) -> bytes:
    return b"" if buffer.data is None else bytes(buffer.data)
