"""Training in stages: which players move when, what is done between, and going on where it was; counted out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.test_training import Weight
from tfgen.endpoints import Count, Seed, endpoint
from tfgen.errors import InputError
from tfgen.models import GenerativeModel, Player, Stage
from tfgen.models.stages import divide
from tfgen.specs import Points


@keras.saving.register_keras_serializable("tests")
class Relay(GenerativeModel):
    """The first weight moves by mean(x) a step; then, from the sum of all x on, the second; then both."""

    def __init__(self, *, shares=(1, 1, 1), **kwargs):
        super().__init__(example=Points(1), **kwargs)
        self.shares = shares
        self.first, self.second = Weight(0.0, name="first"), Weight(0.0, name="second")
        self.begun = []

    def players(self):
        return [
            Player("first", [self.first], lambda batch: {"pull": -self.first.w * tf.reduce_mean(batch["point"])}),
            Player("second", [self.second], lambda batch: {"pull": -self.second.w * tf.reduce_mean(batch["point"])}),
        ]

    def stages(self):
        one, two, three = self.shares
        return [
            Stage("one", ("first",), one, begin=self.fail),
            Stage("two", ("second",), two, begin=self.begin),
            Stage("three", ("first", "second"), three),
        ]

    def fail(self, batches):
        raise AssertionError("the first stage is begun by the constructor")

    def begin(self, batches):
        self.begun.append(self.stage)
        self.second.w.assign(sum(float(tf.reduce_sum(batch["point"])) for batch in batches))

    def default_optimizers(self):
        return {"first": keras.optimizers.SGD(1.0), "second": keras.optimizers.SGD(1.0)}

    @endpoint(returns="numbers", count=Count(), seed=Seed())
    def sample(self, count, seed=0):
        return tf.fill((count,), self.first.w + self.second.w)

    @property
    def numbers(self):
        return float(self.first.w), float(self.second.w)


ONES = np.ones((6, 1), np.float32)


def test_players_move_in_their_stages_and_a_stage_begins_with_the_data():
    model = Relay()
    # Three steps an epoch: 3 for the first; the second starts with the sum, 6, and moves by 3; then both by 3.
    history = model.fit(ONES, batch_size=2, epochs=3, verbose=0).history
    assert model.numbers == (6.0, 12.0)
    assert model.begun == [1]
    assert model.stage == 2
    assert [len(history[f"{name}_loss"]) for name in ("first", "second")] == [2, 2]


@pytest.mark.parametrize("data", [ONES, {"point": ONES}, tf.data.Dataset.from_tensor_slices(ONES).batch(2)])
def test_a_stage_sees_data_of_every_kind(data):
    model = Relay()
    model.fit(data, **({} if isinstance(data, tf.data.Dataset) else {"batch_size": 2}), epochs=3, verbose=0)
    assert model.numbers == (6.0, 12.0)


def test_data_that_can_be_read_once_only_are_refused_by_a_stage_that_reads_them():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return {"point": ONES[:2]}

    with pytest.raises(InputError, match=r"arrays or a tf.data.Dataset, not Batches"):
        Relay().fit(Batches(), epochs=3, verbose=0)


def test_shares_divide_the_epochs_and_nothing_gets_none():
    stages = lambda *shares: [Stage("s", (), share) for share in shares]
    assert divide(stages(1, 1), 10, "m") == [5, 10]
    assert divide(stages(3, 1, 3, 1), 16, "m") == [6, 8, 14, 16]
    assert divide(stages(100, 1, 1), 4, "m") == [2, 3, 4]
    assert divide(stages(1, 100), 4, "m") == [1, 4]
    with pytest.raises(InputError, match=r"epochs: 2, but m is trained in 3 stages; give at least that many"):
        divide(stages(1, 1, 1), 2, "m")


def test_too_few_epochs_are_refused_before_a_step():
    model = Relay()
    with pytest.raises(InputError, match="3 stages"):
        model.fit(ONES, epochs=2, verbose=0)
    assert model.numbers == (0.0, 0.0)


def test_a_saved_model_goes_on_where_it_was(tmp_path):
    whole, half = Relay(), Relay()
    whole.fit(ONES, batch_size=2, epochs=6, verbose=0)
    # Three of six epochs: the second stage has begun and has an epoch to go.
    half.fit(ONES, batch_size=2, epochs=3, total_epochs=6, verbose=0)
    assert half.stage == 1
    half.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.fit(ONES, batch_size=2, initial_epoch=3, epochs=6, verbose=0)
    assert loaded.numbers == whole.numbers == (12.0, 18.0)
    assert loaded.begun == []


def test_a_model_that_has_been_through_its_stages_stays_in_the_last():
    model = Relay()
    model.fit(ONES, batch_size=2, epochs=3, verbose=0)
    model.fit(ONES, batch_size=2, epochs=1, verbose=0)
    assert model.numbers == (9.0, 15.0)


def test_evaluate_measures_the_players_of_the_present_stage():
    model = Relay()
    assert set(model.evaluate(ONES, verbose=0, return_dict=True)) == {"first_loss", "first_pull"}
    model.fit(ONES, batch_size=2, epochs=3, validation_data=ONES, verbose=0)
    figures = model.evaluate(ONES, verbose=0, return_dict=True)
    assert set(figures) == {"first_loss", "first_pull", "second_loss", "second_pull"}
