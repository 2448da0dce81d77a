import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfgen
from tfgen.endpoints import Label, endpoint
from tfgen.specs import Images, Labels, Points
from tfgen.training import callbacks
from tfgen.training.callbacks import (
    HistoryLog,
    Progress,
    RunCheckpoint,
    SampleGrid,
    ScalarLog,
    duration,
    preview_picture,
    read_history,
)
from tfgen.training.checkpoints import Checkpoints, Place, read_place
from tfgen.training.run import Interrupted


def small():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def fit(model, callbacks, epochs=2, **options):
    x = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
    model.fit(x, x[:, :1], batch_size=2, epochs=epochs, callbacks=callbacks, verbose=0, **options)


class Drawn:
    """A model whose preview shows its label."""

    def __init__(self, label=None):
        self.example, self.label = Images((2, 2, 1), 17), label

    @endpoint(label=Label())
    def sample(self, label=None):
        raise NotImplementedError

    def preview(self, count, seed=0, *, label=None):
        levels = np.full(count, seed % 17) if label is None else label.numpy()
        return tf.constant(np.broadcast_to(levels[:, None, None, None], (count, 2, 2, 1)).astype(np.uint8))


def test_a_conditional_model_has_a_column_per_class_in_the_order_of_the_labels():
    picture = np.asarray(preview_picture(Drawn(Labels(4)), 6))
    tile = (picture.shape[1] - 6) // 4
    columns = [picture[10:40, 10 + column * tile : 60 + column * tile] for column in range(4)]
    assert [set(column.ravel().tolist()) for column in columns] == [{round(255 / 16 * label)} for label in range(4)]
    assert picture.shape[0] == 2 * tile + 6  # 6 examples are 2 rows of 4 classes


def test_sample_grids_come_every_few_epochs_and_after_the_last(tmp_path):
    grid = SampleGrid(tmp_path / "samples", count=4, every=2)
    grid.set_model(Drawn())
    grid.set_params({"epochs": 5})
    for epoch in range(5):
        grid.on_epoch_end(epoch)
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == ["epoch_0002.png", "epoch_0004.png", "epoch_0005.png"]
    assert Image.open(tmp_path / "samples" / names[0]).size == (2 * 70 + 6, 2 * 70 + 6)


def test_a_game_in_the_plane_shows_the_data_the_samples_and_the_discriminators_surface(tmp_path):
    score = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    score.set_weights([np.array([[3.0], [0.0]]), np.array([-1.5])])
    model = tfgen.create("gan", example=Points(2), latent_size=2, width=4, discriminator=score)
    data = np.repeat(np.array([[0.245, -0.245], [-0.755, 0.755]], np.float32), 100, 0)  # the axes end at 1
    grid = SampleGrid(tmp_path, data=data)
    grid.set_model(model)
    grid.set_params({"epochs": 1})
    grid.on_epoch_end(0)
    picture = np.asarray(Image.open(tmp_path / "epoch_0001.png")).astype(int)
    density, _, surface = (picture[68:468, left : left + 380] for left in (16, 432, 848))
    assert {(x // 4, y // 4) for y, x in np.argwhere(density.sum(-1) > 400)} == {(62, 62), (12, 12)}
    assert (surface[:, 298:302] == 255).all(-1).any(1).all()  # D is 0 where x is a half
    brightness = surface[100, :297].sum(-1)
    assert (np.diff(brightness) >= -3).all() and brightness[-1] > 2 * brightness[0]


def test_a_model_of_points_without_data_to_compare_with_has_a_scatter_plot(tmp_path):
    grid = SampleGrid(tmp_path)
    grid.set_model(tfgen.create("gan", example=Points(2), latent_size=2, width=4))
    grid.set_params({"epochs": 1})
    grid.on_epoch_end(0)
    assert Image.open(tmp_path / "epoch_0001.png").size == (400, 400)


def test_the_pictures_of_two_epochs_are_of_the_same_latents(tmp_path):
    model = tfgen.create("vae", image_shape=(4, 4, 1), levels=5, latent_size=2, hidden=(4,))
    first, second = preview_picture(model, 9, seed=3), preview_picture(model, 9, seed=3)
    assert first == second
    assert first != preview_picture(model, 9, seed=4)


def test_history_has_a_row_per_epoch_with_exact_numbers(tmp_path):
    model = small()
    history = keras.callbacks.History()
    fit(model, [HistoryLog(tmp_path / "history.csv"), history], epochs=3)
    rows = read_history(tmp_path / "history.csv")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["loss"]) for row in rows] == history.history["loss"]


def test_an_epoch_that_is_trained_again_replaces_its_row_and_those_behind_it(tmp_path):
    log = HistoryLog(tmp_path / "history.csv")
    for epoch, loss in ((0, 1.0), (1, 2.0), (2, 3.0), (1, 4.0)):
        log.on_epoch_begin(epoch)
        log.on_epoch_end(epoch, {"loss": loss})
    assert [(row["epoch"], row["loss"]) for row in read_history(log.path)] == [("1", "1.0"), ("2", "4.0")]


def test_a_metric_that_appears_late_gets_a_column(tmp_path):
    log = HistoryLog(tmp_path / "history.csv")
    log.on_epoch_end(0, {"loss": 1.0})
    log.on_epoch_end(1, {"loss": 1.0, "val_loss": 2.0})
    assert [row["val_loss"] for row in read_history(log.path)] == ["", "2.0"]


def test_tensorboard_reads_the_scalars(tmp_path):
    fit(small(), [ScalarLog(tmp_path)], epochs=2)
    events = [
        tf.compat.v1.Event.FromString(record.numpy())
        for record in tf.data.TFRecordDataset([str(path) for path in tmp_path.iterdir()])
    ]
    scalars = [(event.step, value) for event in events for value in event.summary.value]
    assert [step for step, _ in scalars] == [1, 2]
    assert {value.tag for _, value in scalars} == {"loss"}
    assert {value.metadata.plugin_data.plugin_name for _, value in scalars} == {"scalars"}
    assert all(np.isfinite(tf.make_ndarray(value.tensor)) for _, value in scalars)


def test_checkpoints_come_every_few_epochs_and_after_the_last(tmp_path):
    fit(small(), [RunCheckpoint(tmp_path, keep=9, every=2)], epochs=5)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"epoch_000{n}.keras" for n in (2, 4, 5)]


def test_early_stopping_leaves_a_checkpoint(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    fit(small(), [Stop(), RunCheckpoint(tmp_path, every=10)], epochs=20)
    assert read_place(Checkpoints(tmp_path).newest()) == Place(1)


@pytest.mark.parametrize(
    ("steps", "place"),
    [(2, Place(0, 2)), (3, Place(1, 0)), (4, Place(1, 0)), (5, Place(1, 1))],
    ids=["within", "before the end", "at the end", "later"],
)
def test_a_stop_saves_where_it_is_and_validates_a_whole_epoch(tmp_path, steps, place):
    seen, validated = [], []

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)

        def on_test_end(self, logs=None):
            validated.append(len(seen))

    callback = RunCheckpoint(tmp_path, every=10, stop=lambda: len(seen) >= steps)
    with pytest.raises(Interrupted):
        fit(small(), [Count(), callback], epochs=3, validation_data=(np.ones((2, 2)), np.ones((2, 1))))
    saved = read_place(Checkpoints(tmp_path).newest())
    assert (saved.epoch, saved.step) == (place.epoch, place.step)
    assert bool(saved.metrics) == bool(place.step)
    assert validated == [4] * place.epoch


def test_a_stop_in_the_last_epoch_lets_it_finish(tmp_path):
    fit(small(), [RunCheckpoint(tmp_path, stop=lambda: False)], epochs=1)
    asked = []
    fit(small(), [RunCheckpoint(tmp_path, stop=lambda: len(asked) >= 3 or asked.append(0))], epochs=1)
    assert read_place(Checkpoints(tmp_path).newest()) == Place(1)


@pytest.mark.parametrize("verbose", [1, 2])
def test_progress_tells_images_per_second_and_the_time_that_is_left_of_the_whole_training(verbose, monkeypatch, capsys):
    clock = iter([0.0, 9.0, 9.5, 10.0, 11.0, 20.0, 20.5, 21.0, 21.5, 26.0])
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: next(clock))
    progress, model = Progress(batch_size=32, epochs=5), small()
    progress.set_model(model)
    progress.set_params({"verbose": verbose, "epochs": 5, "steps": 3})
    for epoch in (2, 3):
        progress.on_epoch_begin(epoch)
        for batch in range(3):
            progress.on_train_batch_end(batch, {"loss": 1.0})
        progress.on_epoch_end(epoch, {"loss": 1.0, "val_loss": 2.0})
    told = capsys.readouterr().out.replace("\x08", "")
    # Two steps of 32 in a second, behind one of nine seconds.
    assert told.count("images/s: 64.0") >= 2
    assert "val_loss: 2.0" in told
    # Two epochs are left behind the third, of 11 seconds each; one behind the fourth, of which 6 are known.
    assert "epoch 3 of 5, 22 s left\n" in told
    assert "epoch 4 of 5, 6 s left\n" in told


def test_progress_takes_the_place_of_keras_bar(capsys):
    model = small()
    x = np.zeros((8, 2), np.float32)
    model.fit(x, x[:, :1], batch_size=2, epochs=2, callbacks=[Progress(2, 2, "points")], verbose=2)
    told = capsys.readouterr().out
    assert told.count("points/s") == told.count("loss") == 2
    assert told.count("left") == 1


def test_durations_are_told_in_two_units():
    told = {0.2: "0 s", 59: "59 s", 60: "1 min 00 s", 200: "3 min 20 s", 3600: "1 h 00 min", 7500.0: "2 h 05 min"}
    assert {seconds: duration(seconds) for seconds in told} == told
