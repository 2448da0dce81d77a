"""Reference cases as a file: what an artifact was asked, and what its model answered in Python.

They travel with the artifact, so that it can be verified where neither its model nor TensorFlow's Python code is.
"""

import io
import json
import math
import zipfile
from collections.abc import Iterable

import numpy as np

from tfgen.errors import InputError
from tfgen.export.comparison import Arrays, Case

#: File of an artifact that holds its cases.
NAME = "reference.npz"

#: Bytes of arrays above which an artifact keeps only the smallest case of a signature (see `prune`).
LIMIT = 32 * 2**20

# Bytes of arrays that a file may unpack to: a small one of a stranger can hold gigabytes of zeros.
_UNPACKED = 2**30

_INDEX = "index"


def pack_cases(cases: Iterable[Case]) -> bytes:
    """Returns cases as the content of an `.npz` file; equal cases give equal bytes.

    Its array `index` is a text, UTF-8 in uint8: a JSON list with `signature`, `inputs` and `outputs` of each case, the
    last two as name -> name of the array in the file. There are no pickles in it.

    Arguments:
        cases: in any order, which is kept. Arrays are booleans, integers or floats of at most 8 bytes.

    Raises:
        InputError: an array of another dtype.
    """
    index, arrays = [], {}

    def put(case: Case, named: Arrays) -> dict[str, str]:
        keys = {}
        for name, array in named.items():
            array = np.asarray(array)
            if not _is_number(array.dtype):
                raise InputError(f"{case.signature}: {name} is {array.dtype}; reference cases hold numbers only")
            keys[name] = f"array_{len(arrays)}"
            arrays[keys[name]] = array
        return keys

    for case in cases:
        inputs, outputs = put(case, case.inputs), put(case, case.outputs)
        index.append({"signature": case.signature, "inputs": inputs, "outputs": outputs})
    content = io.BytesIO()
    text = np.frombuffer(json.dumps(index).encode(), np.uint8)
    np.savez_compressed(content, allow_pickle=False, **{_INDEX: text}, **arrays)
    return content.getvalue()


def unpack_cases(data: bytes, where: str = NAME) -> list[Case]:
    """Returns what `pack_cases` packed. Nothing in the data can make it run code.

    Arguments:
        data: content of the file.
        where: name of the file, for messages.

    Raises:
        InputError: the data is damaged, holds pickles or something else than cases, or unpacks to more than 1 GiB.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > _UNPACKED:
            raise InputError(f"unpacks to {size:,} bytes, more than {_UNPACKED:,}")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            cases = [
                Case(_text(entry["signature"]), _named(arrays, entry["inputs"]), _named(arrays, entry["outputs"]))
                for entry in json.loads(arrays[_INDEX].tobytes())
            ]
    except Exception as error:  # there is no end to what a damaged file can raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{where}: damaged, or no reference cases ({reason}); export anew") from error
    return cases


def _named(arrays, keys: dict[str, str]) -> Arrays:
    found = {_text(name): arrays[_text(key)] for name, key in keys.items()}
    for name, array in found.items():
        if not _is_number(array.dtype):
            raise InputError(f"{name} is {array.dtype}, not numbers")
    return found


def _text(value) -> str:
    if not isinstance(value, str):
        raise InputError(f"{value!r} is no name")
    return value


def _is_number(dtype: np.dtype) -> bool:
    return dtype.kind in "biuf" and dtype.itemsize <= 8


def prune(cases: Iterable[Case], limit: int = LIMIT) -> list[Case]:
    """Returns the cases that an artifact keeps: the smallest of each signature, and others while there is room.

    Arguments:
        cases: in any order, which is kept.
        limit: bytes of all arrays, uncompressed. The smallest cases of all signatures are kept even above it: a
            signature without a case could not be verified.
    """
    cases = list(cases)
    sizes = [_size(case) for case in cases]
    order = sorted(range(len(cases)), key=sizes.__getitem__)
    first = {}
    for number in order:
        first.setdefault(cases[number].signature, number)
    kept = set(first.values())
    total = sum(sizes[number] for number in kept)
    for number in order:
        if number not in kept and total + sizes[number] <= limit:
            kept.add(number)
            total += sizes[number]
    return [cases[number] for number in sorted(kept)]


def _size(case: Case) -> int:
    arrays = [*case.inputs.values(), *case.outputs.values()]
    return sum(math.prod(array.shape) * array.dtype.itemsize for array in arrays)
