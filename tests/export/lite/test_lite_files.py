"""Several models in one file, and what travels with them."""

import contextlib
import hashlib
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from tfgen.errors import InputError
from tfgen.export import verify
from tfgen.export.card import FORMAT
from tfgen.export.comparison import Case
from tfgen.export.lite import files
from tfgen.export.lite.files import check_free, merge, operations, read_file, write_file
from tfgen.export.lite.models import packed, unpacked
from tfgen.export.lite.running import Interpreter

KERNEL = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
CARD = {"format": FORMAT, "kind": "tflite", "precisions": {}}
CASES = [Case("double", {"x": np.ones(3, np.float32)}, {"y": np.full(3, 2.0, np.float32)})]


def converted(name, compute, tmp_path) -> bytes:
    module = tf.Module()
    module.kernel = tf.Variable(KERNEL)
    function = tf.function(lambda x: {"y": compute(module.kernel, x)})
    signature = function.get_concrete_function(x=tf.TensorSpec([None, 64], tf.float32, "x"))
    folder = str(tmp_path / name)
    tf.saved_model.save(module, folder, signatures={name: signature})
    return tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name]).convert()


def powers(kernel, x):
    """A loop and a branch, whose graphs other graphs name by number."""
    many = tf.while_loop(lambda step, _: step < 3, lambda step, y: (step + 1, tf.tanh(tf.matmul(y, kernel))), (0, x))[1]
    return tf.cond(tf.reduce_sum(x) > 0.0, lambda: many, lambda: -many)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    place = tmp_path_factory.mktemp("parts")
    computed = {
        "product": lambda kernel, x: tf.matmul(x, kernel),
        "powers": powers,
        "sum": lambda kernel, x: x + kernel[0],
    }
    return {name: converted(name, compute, place) for name, compute in computed.items()}


@pytest.mark.parametrize("order", [("product", "powers", "sum"), ("powers", "sum", "product"), ("powers",)])
def test_a_merged_model_answers_as_each_of_its_parts(parts, order):
    whole = Interpreter(merge({name: parts[name] for name in order}))
    assert set(whole.signatures) == set(order)
    for sign in (-1.0, 1.0):
        x = sign * np.abs(np.random.default_rng(1).normal(size=(5, 64))).astype(np.float32)
        for name in order:
            expected = Interpreter(parts[name]).run(name, {"x": x})["y"]
            np.testing.assert_array_equal(whole.run(name, {"x": x})["y"], expected)


def test_weights_that_parts_have_in_common_are_kept_once(parts):
    both = {name: parts[name] for name in ("product", "powers")}
    assert len(merge(both)) < sum(map(len, both.values())) - 0.9 * KERNEL.nbytes


@pytest.mark.parametrize("order", [("product", "powers", "sum"), ("powers", "product")])
def test_what_has_no_contents_has_one_buffer(parts, order):
    whole = unpacked(merge({name: parts[name] for name in order}))
    contents = [b"" if one.data is None else bytes(one.data) for one in whole.buffers]
    assert len(contents) == len(set(contents)) > 2
    assert contents[0] == b""  # what the first buffer holds is not looked at
    told = {one.name: contents[one.buffer] for one in whole.metadata}
    first = unpacked(parts[order[0]])
    assert told == {one.name: bytes(first.buffers[one.buffer].data) for one in first.metadata}


def test_weights_begin_where_the_schema_wants_them_to(parts):
    model = unpacked(parts["product"])
    odd = [np.random.default_rng(size).integers(0, 256, size, np.uint8) for size in (17, 33, 21, 64, 70)]
    for data in odd:
        model.buffers.append(schema.BufferT())
        model.buffers[-1].data = data
    whole = merge({"product": packed(model)})
    assert [whole.find(data.tobytes()) % 16 for data in odd] == [0] * 5


def test_operations_are_told_by_their_names(parts):
    assert operations(parts["product"]) == ["FULLY_CONNECTED"] or "BATCH_MATMUL" in operations(parts["product"])
    assert {"WHILE", "IF", "TANH"} <= set(operations(parts["powers"]))


@pytest.fixture
def file(parts, tmp_path):
    path = tmp_path / "model.tflite"
    write_file(path, parts["product"], CARD, CASES)
    return path


def test_a_file_holds_model_card_and_cases_and_runs_as_it_is(file, parts):
    model, card, cases = read_file(file)
    assert model == parts["product"]
    assert card.items() >= CARD.items()
    [case] = cases
    assert case.signature == "double"
    np.testing.assert_array_equal(case.outputs["y"], CASES[0].outputs["y"])
    x = np.ones((2, 64), np.float32)
    np.testing.assert_allclose(Interpreter(file.read_bytes()).run("product", {"x": x})["y"], x @ KERNEL, rtol=1e-4)


def test_the_same_model_gives_the_same_file(file, parts, tmp_path):
    write_file(tmp_path / "again.tflite", parts["product"], CARD, CASES)
    assert (tmp_path / "again.tflite").read_bytes() == file.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["again.tflite", "model.tflite"]


def test_a_flipped_byte_is_found_or_changes_nothing_that_is_read(file):
    whole, (model, card, cases) = file.read_bytes(), read_file(file)
    rng = np.random.default_rng(0)
    # The archive behind the model is small, and most of its bytes are tried.
    places = [*rng.integers(0, len(model), 40), *rng.integers(len(model), len(whole), 400)]
    for at in places:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        with contextlib.suppress(InputError):
            found = read_file(file)
            assert found[:2] == (model, card)
            assert found[2][0].outputs["y"].tolist() == cases[0].outputs["y"].tolist()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_refused(file, share):
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match="damaged, or not written by tfgen"):
        read_file(file)


def test_files_of_others_are_not_read_and_not_replaced(parts, tmp_path):
    other = tmp_path / "other.tflite"
    other.write_bytes(parts["product"])
    for use in (lambda: read_file(other), lambda: check_free(other, overwrite=True)):
        with pytest.raises(InputError, match="not written by tfgen"):
            use()
    with pytest.raises(InputError, match="cannot be read"):
        read_file(tmp_path / "none.tflite")
    with pytest.raises(InputError, match="is a folder"):
        check_free(tmp_path, overwrite=True)


def test_a_file_is_replaced_only_if_that_is_asked_for(file):
    with pytest.raises(InputError, match="there already"):
        check_free(file, overwrite=False)
    check_free(file, overwrite=True)


def test_a_card_that_lacks_what_is_read_is_refused(parts, tmp_path):
    write_file(tmp_path / "card.tflite", parts["product"], {"format": FORMAT, "kind": "tflite"}, CASES)
    with pytest.raises(InputError, match="its card is none of a TF-Lite file"):
        read_file(tmp_path / "card.tflite")


@pytest.mark.parametrize(
    "told", [{"precisions": {"product": 7}}, {"precisions": {}, "peak": "high"}, {"precisions": {}, "peak": 0}], ids=str
)
def test_a_card_that_tells_other_things_than_are_read_is_refused(parts, tmp_path, told):
    write_file(tmp_path / "card.tflite", parts["product"], CARD | told, CASES)
    with pytest.raises(InputError, match="its card is none of a TF-Lite file"):
        verify(tmp_path / "card.tflite")


def rewritten(file, change):
    """Writes the archive behind a model anew: member -> content as `change` gives it."""
    model = read_file(file)[0]
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    content = io.BytesIO(model)
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, part in change(members).items():
            archive.writestr(name, part)
    file.write_bytes(content.getvalue())


def with_card(members, **told):
    text = json.dumps(json.loads(members["card.json"]) | told).encode()
    return members | {
        "card.json": text,
        "card.json.sha256": f"{hashlib.sha256(text).hexdigest()}  card.json\n".encode(),
    }


@pytest.mark.parametrize("name", ["../outside", "/etc/cron.d/evil", "evil.pkl", "card.json/../x"])
def test_an_archive_with_other_members_is_refused_and_nothing_is_unpacked(file, tmp_path, name):
    rewritten(file, lambda members: members | {name: pickle.dumps(print)})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="was not written by tfgen"):
        verify(file)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_member_that_would_fill_the_memory_is_not_unpacked(file, monkeypatch):
    rewritten(file, lambda members: members | {"reference.npz": bytes(2**24)})
    assert file.stat().st_size < 2**17
    monkeypatch.setattr(files, "_UNPACKED", 2**20)
    monkeypatch.setattr(zipfile.ZipFile, "read", None)
    with pytest.raises(InputError, match="unpack to more than 1,048,576 bytes"):
        read_file(file)


def test_pickles_among_the_reference_cases_are_refused_and_do_not_run(file):
    content = io.BytesIO()
    np.savez(content, allow_pickle=True, index=np.array([print]))
    cases = content.getvalue()

    def change(members):
        told = json.loads(members["card.json"])["files"]
        told["reference.npz"] = {"size": len(cases), "sha256": hashlib.sha256(cases).hexdigest()}
        return with_card(members | {"reference.npz": cases}, files=told)

    rewritten(file, change)
    with pytest.raises(InputError, match="damaged, or no reference cases"):
        verify(file)


@pytest.mark.parametrize(
    "told", [{"files": []}, {"files": {}}, {"files": {"../model": {}}}, {"kind": "saved_model"}], ids=str
)
def test_a_card_without_checksums_of_the_parts_is_refused(file, told):
    rewritten(file, lambda members: with_card(members, **told))
    with pytest.raises(InputError, match="card is none of a TF-Lite file|SHA-256 of its model|format"):
        verify(file)


def test_what_is_no_model_gets_a_clear_line_though_a_card_tells_of_it(parts, tmp_path):
    model, rng = parts["product"], np.random.default_rng(0)
    broken = [
        b"",
        b"TFL3" * 9,
        bytes(2000),
        model[: len(model) // 2],
        rng.bytes(2000),
        model[:100] + rng.bytes(len(model) - 100),
    ]
    for number, data in enumerate(broken):
        path = tmp_path / f"{number}.tflite"
        write_file(path, data, CARD | {"precisions": {"product": "float32"}}, CASES)
        with pytest.raises(InputError, match="no TF-Lite model|LiteRT does not take the model") as caught:
            verify(path)
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_signatures_that_only_the_card_or_only_the_model_has_are_named(parts, tmp_path):
    path = tmp_path / "model.tflite"
    write_file(path, parts["product"], CARD | {"precisions": {"double": "float32"}}, CASES)
    problems = {row.signature: row.problem for row in verify(path).rows}
    assert problems == {
        "double": "does not run: no signature 'double'; there are product",
        "product": "no case to compare with",
    }


def test_a_card_of_another_format_is_refused(parts, tmp_path):
    write_file(tmp_path / "old.tflite", parts["product"], CARD | {"format": FORMAT + 1}, CASES)
    with pytest.raises(InputError, match=f"format {FORMAT + 1}, but this tfgen reads {FORMAT}"):
        read_file(tmp_path / "old.tflite")
