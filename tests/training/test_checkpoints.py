import os
import zipfile

import keras
import numpy as np
import pytest

from tfgen.training.checkpoints import Checkpoints, Place, read_place, save_model, write_text


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
