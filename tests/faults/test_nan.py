"""NaN and infinity that arise in each player."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.faults.conftest import OPTIONS
from tests.training.runs import At, assert_same, crash, history, state
from tfgen.errors import InputError
from tfgen.optimizers import Scaled
from tfgen.training import Run, resume, train
from tfgen.training.mishaps import lower_rates


class Breaks(keras.callbacks.Callback):
    """From a step on, a player has a term that is no number as long as its learning rate is above a bound."""

    def __init__(self, player, value, step, rate=0.0):
        super().__init__()
        self.player, self.value, self.step, self.rate = player, value, step, rate

    def set_model(self, model):
        super().set_model(model)
        name = f"{self.player}_terms"
        terms = getattr(type(model), name)

        def broken(batch):
            too_fast = model.optimizers[self.player].learning_rate.value > self.rate
            bad = tf.cast(too_fast & (model._steps.value >= self.step) & model.in_training, tf.float32)
            return terms(model, batch) | {"extra": tf.math.multiply_no_nan(self.value, bad)}

        object.__setattr__(model, name, broken)


STOPPED = r"step 7: 'extra' of the {} is no longer finite; first bad: 'extra' itself; the move was not made; {}; lower"


def finite(path):
    return all(np.isfinite(array).all() for array in state(tfgen.load_model(path)))


@pytest.mark.parametrize(
    ("player", "value"),
    [("discriminator", np.nan), pytest.param("generator", np.inf, marks=pytest.mark.slow)],
)
def test_the_first_bad_number_stops_the_run_before_anything_is_saved(tmp_path, player, value):
    # Four steps an epoch: in the third step of the second.
    with pytest.raises(InputError, match=STOPPED.format(player, r"epoch_0001\.keras is kept")) as error:
        train("gan", out=tmp_path, on_nan="stop", callbacks=[Breaks(player, value, 7)], **OPTIONS)
    assert "\n" not in str(error.value)
    run = Run.open(tmp_path)
    assert run.record["status"] == "failed"
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["epoch_0001.keras"]
    assert finite(run.checkpoints.newest())
    assert len(history(run)) == 1


@pytest.mark.slow
def test_a_rollback_returns_to_the_last_checkpoint_with_half_the_rate_and_resumes_with_it(tmp_path):
    breaks = {"callbacks": [Breaks("generator", np.nan, 7, rate=1.5e-4)]}
    options = OPTIONS | {"learning_rate": 4e-4, "on_nan": "rollback"}
    run = train("gan", out=tmp_path / "run", **breaks, **options)
    at = {"step": 7, "player": "generator", "term": "extra", "tensor": "'extra' itself"}
    at |= {"epoch": 1, "step_of_epoch": 0, "factor": 0.5}
    assert run.record["rollbacks"] == [at, at]  # 4e-4, 2e-4, and 1e-4 is slow enough
    assert [row.get("rollbacks") for row in history(run)] == ["", "2.0", "2.0"]
    rates = [float(optimizer.learning_rate) for optimizer in run.model.optimizers.values()]
    np.testing.assert_allclose(rates, 1e-4, rtol=1e-6)
    # Killed between the second rollback and the next checkpoint, and once more behind it.
    with pytest.raises(RuntimeError, match="crash"):
        train("gan", out=tmp_path / "other", callbacks=[*breaks["callbacks"], At(2, 4, crash)], **options)
    assert len(Run.open(tmp_path / "other").record["rollbacks"]) == 2
    with pytest.raises(RuntimeError, match="crash"):
        resume(tmp_path / "other", callbacks=[*breaks["callbacks"], At(3, 1, crash)], verbose=0)
    again = resume(tmp_path / "other", verbose=0, **breaks)
    assert again.record["rollbacks"] == run.record["rollbacks"]
    assert_same(again, run)


@pytest.mark.slow
def test_a_run_is_taken_back_so_often_and_no_more(tmp_path):
    breaks = [Breaks("discriminator", np.nan, 2)]
    options = OPTIONS | {"on_nan": "rollback", "rollbacks": 2}
    with pytest.raises(InputError, match="step 2: .*; there was no checkpoint yet; after 2 rollbacks"):
        train("gan", out=tmp_path, callbacks=breaks, **options)
    assert len(Run.open(tmp_path).record["rollbacks"]) == 2


@pytest.mark.slow
def test_a_rate_far_too_high_is_found_without_help(tmp_path, tfgen):
    line = ["--data", "digits", "--set", "width=4", "--set", "latent_size=2", "--epochs", "2", "--samples", "4"]
    code, _, err = tfgen(
        "train", "lsgan", *line, "--learning-rate", "1e30", "--on-nan", "stop", "--quiet", "--out", tmp_path / "run"
    )
    # TensorFlow's own lines, which the command hides, were let through before these tests began.
    (told,) = [line for line in err.splitlines() if line.startswith("tfgen: ")]
    assert code == 2
    assert "is no longer finite; first bad: " in told
    assert "--on-nan rollback" in told


@pytest.mark.slow
def test_a_doctor_stops_a_run_before_anything_bad_is_saved(tmp_path):
    options = {"data": "ring", "epochs": 3, "samples": 4, "verbose": 0, "arguments": {"width": 4, "latent_size": 2}}
    with pytest.raises(InputError, match=r"step 1: '\w+' of the \w+ is no longer finite.*no checkpoint yet"):
        train("lsgan", out=tmp_path, learning_rate=1e30, doctor=True, **options)
    run = Run.open(tmp_path)
    assert run.record["status"] == "failed"
    assert run.checkpoints.newest() is None


def test_a_schedule_is_lowered_and_saved(tmp_path):
    schedule = keras.optimizers.schedules.ExponentialDecay(1e-3, 10, 0.5)
    model = tfgen.create("vae", image_shape=(2, 2, 1), levels=3, latent_size=1, hidden=(2,))
    model.compile(keras.optimizers.Adam(schedule))
    lower_rates(model, 0.5)
    lower_rates(model, 0.5)
    model.save(tmp_path / "model.keras")
    optimizer = tfgen.load_model(tmp_path / "model.keras").optimizers["model"]
    assert isinstance(optimizer._learning_rate, Scaled)
    assert float(optimizer._learning_rate(20)) == pytest.approx(0.25 * 1e-3 * 0.25, rel=1e-6)


def test_a_rate_under_a_loss_scale_is_lowered():
    model = tfgen.create("vae", image_shape=(2, 2, 1), levels=3, latent_size=1, hidden=(2,), dtype="mixed_float16")
    model.compile(keras.optimizers.Adam(1e-3))
    lower_rates(model, 0.5)
    assert float(model.optimizers["model"].learning_rate) == pytest.approx(5e-4)
