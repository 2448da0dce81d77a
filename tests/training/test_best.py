import keras
import numpy as np
import pytest

from tfgen.errors import InputError
from tfgen.training.best import Goal
from tfgen.training.callbacks import RunCheckpoint
from tfgen.training.checkpoints import Place, is_whole, read_place


@pytest.mark.parametrize(
    ("text", "metric", "largest"),
    [
        ("val_loss", "val_loss", False),
        ("val_elbo", "val_elbo", True),
        ("real_accuracy", "real_accuracy", True),
        ("nats", "nats", False),
        ("nats:max", "nats", True),
        ("elbo:min", "elbo", False),
    ],
)
def test_the_direction_is_what_is_given_or_what_the_name_says(text, metric, largest):
    assert Goal.parse(text) == Goal(metric, largest)


@pytest.mark.parametrize("text", ["", ":min", "loss:down", "loss:"])
def test_what_is_no_goal_is_said(text):
    with pytest.raises(InputError, match="expected a metric as val_loss"):
        Goal.parse(text)


def test_a_nan_is_never_the_best_and_a_tie_stays_with_the_first():
    goal = Goal("loss", False)
    assert not goal.is_better(float("nan"), None)
    assert not goal.is_better(float("-inf"), None)
    assert goal.is_better(3.0, None)
    assert not goal.is_better(3.0, {"value": 3.0})
    assert goal.is_better(2.0, {"value": 3.0})
    assert not Goal("elbo", True).is_better(2.0, {"value": 3.0})


class Scripted(keras.callbacks.Callback):
    """Gives each epoch the score that it is told."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def on_epoch_end(self, epoch, logs=None):
        logs["score"] = self.scores[epoch]


def fit(folder, scores, *, first=0, best="score", **options):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    found = []
    callbacks = [Scripted(scores), RunCheckpoint(folder, best=best, found=found.append, **options)]
    model.fit(np.ones((4, 2)), np.ones((4, 1)), initial_epoch=first, epochs=len(scores), callbacks=callbacks, verbose=0)
    return found


def test_the_best_epoch_is_kept_and_told_also_between_two_checkpoints(tmp_path):
    found = fit(tmp_path, [3.0, 1.0, 2.0, 1.5], every=3, keep=1)
    assert [(best["epoch"], best["value"]) for best in found] == [(1, 3.0), (2, 1.0)]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["best.keras", "epoch_0004.keras"]
    assert read_place(tmp_path / "best.keras").epoch == 2
    assert is_whole(tmp_path / "best.keras")


def test_a_resumed_training_knows_what_the_best_was(tmp_path):
    fit(tmp_path, [3.0, 1.0, 2.0])
    place = read_place(tmp_path / "epoch_0003.keras")
    assert place.best == {"metric": "score", "value": 1.0, "epoch": 2}
    found = fit(tmp_path, [0.0, 0.0, 0.0, 1.2, 0.5], first=3, start=place)
    assert [best["epoch"] for best in found] == [2, 5]  # what is there, and what is better


def test_a_process_that_was_killed_before_the_best_was_in_its_place_puts_it_there(tmp_path):
    fit(tmp_path, [3.0, 1.0])
    (tmp_path / "best.keras").unlink()  # or the bytes that it shares with the newest would be overwritten
    (tmp_path / "best.keras").write_bytes((tmp_path / "epoch_0001.keras").read_bytes())
    found = fit(tmp_path, [0.0, 0.0, 2.0], first=2, start=read_place(tmp_path / "epoch_0002.keras"))
    assert [best["epoch"] for best in found] == [2]
    assert read_place(tmp_path / "best.keras").epoch == 2


def test_another_metric_than_before_begins_anew(tmp_path):
    found = fit(tmp_path, [0.0, 7.0], first=1, start=Place(1, best={"metric": "loss", "value": 0.1, "epoch": 1}))
    assert [best["value"] for best in found] == [7.0]


def test_a_metric_that_there_is_not_is_said_when_the_epoch_is_saved(tmp_path):
    with pytest.raises(InputError, match="keep_best: unknown metric 'scroe'; did you mean score?"):
        fit(tmp_path, [1.0], best="scroe")
    assert read_place(tmp_path / "epoch_0001.keras").epoch == 1
