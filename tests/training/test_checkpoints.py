import hashlib
import os
import zipfile

import keras
import numpy as np
import pytest

from tests.training.runs import as_format
from tfgen.errors import InputError
from tfgen.training.checkpoints import Checkpoints, Place, check_model, is_whole, read_place, save_model, write_text


@pytest.fixture(scope="module")
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 3)), verbose=0)
    return model


def test_the_place_in_the_training_is_in_the_same_file_as_the_weights(model, tmp_path):
    place = Place(3, 7, {"loss": [1.5, 8.0]})
    path = Checkpoints(tmp_path).save(model, place)
    assert read_place(path) == place
    np.testing.assert_array_equal(keras.saving.load_model(path).get_weights()[0], model.get_weights()[0])


def test_metrics_survive_json_to_the_last_bit(model, tmp_path):
    third = float(np.float32(1.0) / np.float32(3.0))
    path = Checkpoints(tmp_path).save(model, Place(0, 1, {"loss": [third, 1e-30, 3.4e38]}))
    assert read_place(path).metrics["loss"] == [third, 1e-30, 3.4e38]


def test_a_sum_that_is_interrupted_and_restored_is_the_whole_sum():
    values = np.random.default_rng(0).normal(size=7).astype(np.float32)

    class Model:
        def __init__(self):
            self.metrics = [keras.metrics.Mean("loss")]

    whole, before, after = Model(), Model(), Model()
    for value in values:
        whole.metrics[0].update_state(value)
    for value in values[:4]:
        before.metrics[0].update_state(value)
    after.metrics[0].update_state(values[4])
    Place.of(before, 0, 4).restore_metrics(after)
    for value in values[5:]:
        after.metrics[0].update_state(value)
    assert float(after.metrics[0].result()) == float(whole.metrics[0].result())


def test_only_the_newest_are_kept_and_an_epoch_is_newer_than_the_steps_before_it(model, tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", keep=2)
    for place in (Place(9), Place(9, 40), Place(10), Place(10, 2)):
        checkpoints.save(model, place)
    kept = sorted(path.name for path in (tmp_path / "c").iterdir())
    assert kept == ["epoch_0010.keras", "epoch_0010_step_000002.keras"]
    assert checkpoints.newest().name == "epoch_0010_step_000002.keras"


def test_of_ten_thousand_epochs_the_last_is_the_newest(model, tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=3)
    for epoch in (9999, 10000):
        checkpoints.save(model, Place(epoch))
    assert read_place(checkpoints.newest()).epoch == 10000


def test_without_a_checkpoint_there_is_no_newest(tmp_path):
    assert Checkpoints(tmp_path / "missing").newest() is None


def test_a_flipped_byte_is_found_wherever_it_is(model, tmp_path):
    path = Checkpoints(tmp_path).save(model, Place(1))
    content = path.read_bytes()
    # The archive's end, with its directory, in full; of the rest, with headers and the place, every 97th byte.
    for at in [*range(0, len(content), 97), *range(len(content) - 400, len(content))]:
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        assert not is_whole(path), at
    path.write_bytes(content)
    assert is_whole(path)


def test_the_checksum_is_that_of_all_bytes_before_it(model, tmp_path):
    content = Checkpoints(tmp_path).save(model, Place(1)).read_bytes()
    assert content[-64:].decode() == hashlib.sha256(content[:-64]).hexdigest()
    assert content[-78:-64] == b"tfgen sha-256 "


@pytest.mark.parametrize(("number", "age"), [(1, "an older"), (3, "a newer")])
def test_a_checkpoint_of_another_format_is_refused_not_passed_over(model, tmp_path, number, age):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(model, Place(1))
    as_format(checkpoints.save(model, Place(2)), number)
    with pytest.raises(InputError, match=rf"epoch_0002\.keras: a checkpoint of format {number}, written by {age}"):
        checkpoints.newest()
    checkpoints.save(model, Place(3))  # one that is newer and whole is all that matters
    assert checkpoints.newest().name == "epoch_0003.keras"


def test_what_a_killed_process_left_is_overwritten(model, tmp_path):
    (tmp_path / ".writing.keras").write_bytes(b"half")
    path = Checkpoints(tmp_path).save(model, Place(1))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("linked", [True, False])
def test_the_best_is_kept_beside_the_newest(model, tmp_path, monkeypatch, linked):
    if not linked:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("this disk has no links")))
    checkpoints = Checkpoints(tmp_path, keep=1)
    for epoch in (1, 2, 3):
        path = checkpoints.save(model, Place(epoch))
        if epoch == 2:
            checkpoints.save_best(model, Place(epoch), path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["best.keras", "epoch_0003.keras"]
    assert is_whole(checkpoints.best)
    assert read_place(checkpoints.best).epoch == 2
    assert checkpoints.newest().name == "epoch_0003.keras"
    checkpoints.save_best(model, Place(9))
    assert read_place(checkpoints.best).epoch == 9


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(model, tmp_path, damage):
    checkpoints = Checkpoints(tmp_path)
    first, second = checkpoints.save(model, Place(1)), checkpoints.save(model, Place(2))
    content = bytearray(second.read_bytes())
    if damage == "flipped":
        with zipfile.ZipFile(second) as archive:
            weights = archive.getinfo("model.weights.h5")
        content[weights.header_offset + weights.file_size // 2] ^= 1
    second.write_bytes({"truncated": content[: len(content) // 2], "flipped": content, "empty": b""}[damage])
    with pytest.warns(UserWarning, match=r"epoch_0002\.keras is damaged"):
        assert checkpoints.newest() == first


def test_a_save_that_fails_leaves_the_old_file(model, tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    save_model(model, path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        save_model(model, path)
    with pytest.raises(OSError, match="no space"):
        write_text(path, "nothing")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]  # nor what was half written


def test_a_model_file_says_that_it_is_damaged(model, tmp_path):
    path = tmp_path / "model.keras"
    save_model(model, path)
    check_model(path)
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.keras: damaged"):
        check_model(path)
    model.save(path)  # by Keras, without a checksum
    check_model(path)
