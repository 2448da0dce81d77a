"""Reference cases come back from a file as they were, or not at all."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from tfgen.errors import InputError
from tfgen.export import reference
from tfgen.export.comparison import Case
from tfgen.export.reference import LIMIT, pack_cases, prune, unpack_cases

CASES = [
    Case(
        "decode/all",  # names are any text, also what a file could not be called
        {"latent": np.array([[0.1, np.nan], [-np.inf, -0.0]], np.float32), "../x": np.zeros((0, 2), np.int32)},
        {"image": np.arange(4, dtype=np.uint8).reshape(1, 2, 2, 1), "index": np.array([True, False])},
    ),
    Case("sample", {"count": np.int32(3), "seed": np.array([7, 1], np.int32)}, {"image": np.ones((3, 2), np.uint8)}),
    Case("sample", {}, {"image": np.array([1e300, 5e-324])}),
]


def same(one, other):
    """Whether two lists of cases are equal to the last bit, names in the same order."""
    return len(one) == len(other) and all(
        a.signature == b.signature
        and all(
            list(x) == list(y)
            and all(
                np.asarray(x[name]).dtype == y[name].dtype
                and np.asarray(x[name]).shape == y[name].shape
                and np.asarray(x[name]).tobytes() == y[name].tobytes()
                for name in x
            )
            for x, y in ((a.inputs, b.inputs), (a.outputs, b.outputs))
        )
        for a, b in zip(one, other, strict=True)
    )


def test_cases_come_back_to_the_last_bit():
    assert same(CASES, unpack_cases(pack_cases(CASES)))
    assert unpack_cases(pack_cases([])) == []


def test_equal_cases_give_equal_bytes():
    assert pack_cases(CASES) == pack_cases(iter(CASES))


def test_a_flipped_bit_is_refused_or_has_no_effect():
    content = pack_cases(CASES)
    refused = 0
    for place in range(0, len(content), 3):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        try:
            found = unpack_cases(bytes(changed))
        except InputError:
            refused += 1
        else:
            assert same(CASES, found), place
    assert refused > len(content) / 6  # the rest are dates, attributes and the like


def test_a_truncated_file_is_refused():
    content = pack_cases(CASES)
    for length in range(0, len(content), 7):
        with pytest.raises(InputError, match=r"reference\.npz: damaged"):
            unpack_cases(content[:length])


class Evil:
    ran = False

    def __reduce__(self):
        return setattr, (Evil, "ran", True)


@pytest.mark.parametrize("member", ["index", "array_0"])
def test_pickles_are_refused_and_do_not_run(member):
    arrays = {
        "index": np.frombuffer(b'[{"signature": "a", "inputs": {}, "outputs": {"x": "array_0"}}]', np.uint8),
        "array_0": np.zeros(2),
    }
    arrays[member] = np.array([Evil()])
    content = io.BytesIO()
    np.savez(content, allow_pickle=True, **arrays)
    with pytest.raises(InputError, match="damaged, or no reference cases"):
        unpack_cases(content.getvalue())
    with pytest.raises(InputError, match="damaged, or no reference cases"):
        unpack_cases(pickle.dumps(Evil()))
    assert not Evil.ran


def test_what_holds_no_numbers_is_refused_when_written():
    with pytest.raises(InputError, match="sample: image is object; reference cases hold numbers only"):
        pack_cases([Case("sample", {}, {"image": np.array([None])})])
    with pytest.raises(InputError, match="sample: name is <U1"):
        pack_cases([Case("sample", {"name": np.array("a")}, {})])


def with_index(index: bytes) -> bytes:
    content = io.BytesIO()
    np.savez(content, index=np.frombuffer(index, np.uint8), array_0=np.zeros(2), text=np.array("a"))
    return content.getvalue()


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"7",
        b"[7]",
        b'[{"signature": "a"}]',
        b'[{"signature": 7, "inputs": {}, "outputs": {}}]',
        b'[{"signature": "a", "inputs": [], "outputs": {}}]',
        b'[{"signature": "a", "inputs": {"x": "array_1"}, "outputs": {}}]',
        b'[{"signature": "a", "inputs": {"x": 0}, "outputs": {}}]',
        b'[{"signature": "a", "inputs": {"x": "text"}, "outputs": {}}]',
    ],
)
def test_another_index_is_refused(index):
    with pytest.raises(InputError, match=r"cases\.npz: damaged, or no reference cases"):
        unpack_cases(with_index(index), "cases.npz")


def test_a_file_that_would_fill_the_memory_is_refused(monkeypatch):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"array_{number}.npy", bytes(2**20))
    assert len(content.getvalue()) < 2**14
    monkeypatch.setattr(np, "load", None)  # nothing is read
    monkeypatch.setattr(reference, "_UNPACKED", 2**21)
    with pytest.raises(InputError, match="unpacks to 3,145,728 bytes, more than 2,097,152"):
        unpack_cases(content.getvalue())


def test_large_cases_are_left_out_but_for_the_smallest_of_each_signature():
    def case(signature, size):
        return Case(signature, {"x": np.zeros(size, np.uint8)}, {})

    one, three, huge, small = case("a", 100), case("a", 300), case("b", 5000), case("c", 10)
    given = [three, one, huge, small]
    assert prune(given) == given
    assert prune(given, 5410) == given
    assert prune(given, 5409) == [one, huge, small]
    assert prune(given, 0) == [one, huge, small]
    assert LIMIT == 32 * 2**20
