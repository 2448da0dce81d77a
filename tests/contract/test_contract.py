"""What every model of the registry promises."""

import contextlib
import inspect
import random
import re
import urllib.parse

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.callbacks import Doctor
from tfgen.endpoints import samples_by_class
from tfgen.errors import InputError
from tfgen.export.lite.exporting import lite_endpoints
from tfgen.models import AdversarialModel
from tfgen.registry import _catalogue, get_class, get_entry
from tfgen.specs import Images
from tfgen.training import Interrupted
from tfgen.training.callbacks import RunCheckpoint
from tfgen.training.checkpoints import Checkpoints, read_place

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras reading a file


def costly(test):
    """Marks a test that takes seconds for each model (see `REPRESENTATIVES` in conftest.py)."""
    test.costly = True
    return test


# The entry.


def test_an_entry_says_where_the_model_comes_from(id):
    entry = get_entry(id)
    assert re.fullmatch("[a-z][a-z0-9_]*", id)
    assert entry.module == f"tfgen.zoo.{entry.family}.{id}"
    assert entry.title.strip() == entry.title != ""
    assert entry.authors.strip() == entry.authors != ""
    assert isinstance(entry.year, int)
    assert 1980 <= entry.year <= 2100
    url = urllib.parse.urlsplit(entry.url)
    assert url.scheme == "https"
    assert "." in url.netloc
    assert url.path.strip("/")


def test_an_entry_has_recipes_that_the_constructor_takes(id):
    entry, cls = get_entry(id), get_class(id)
    assert entry.recipes
    for data, recipe in entry.recipes.items():
        assert re.fullmatch(r"[a-z0-9_/:]+", data)
        assert recipe.keys() <= {"batch_size", "epochs", "model"}
        whole = entry.recipe(data)
        assert whole["batch_size"] >= 1
        assert whole["epochs"] >= 1
        cls.check_arguments(whole["model"], also=["image_shape", "levels", "labels"])


def test_the_catalogue_that_is_read_from_the_files_is_the_one_of_the_classes(id):
    cls = get_class(id)
    assert _catalogue()[id] == cls.entry == get_entry(id)
    assert cls.__module__ == cls.entry.module


def test_the_docstring_cites_the_paper_and_names_every_argument(id):
    cls, entry = get_class(id), get_entry(id)
    text = " ".join(inspect.getdoc(cls).split())
    assert "References:" in text
    assert entry.url in text
    assert entry.title in text
    described = text.partition("Arguments:")[2]
    for name in list(inspect.signature(cls.__init__).parameters)[1:]:
        assert f"{name}:" in described, name


def test_a_model_is_final_and_inherits_from_a_family_only(id):
    cls = get_class(id)
    assert cls.__mro__[1].__module__.startswith("tfgen.models.")
    assert all(not getattr(other, "entry", None) or other is cls for other in cls.__mro__)


# Arguments.


def test_create_gives_the_class_with_the_arguments(small):
    model = tfgen.create(small.id, **small.arguments)
    assert type(model) is small.cls
    assert model.example == small.arguments["example"]
    assert model.label == small.arguments.get("label")
    assert model.name == "small"


def test_a_small_model_is_small(small):
    # If not, the constructor has a word for size that SMALL in conftest.py does not know.
    assert small.model.count_params() < 50_000


def test_arguments_that_are_no_defaults_come_back_from_the_configuration(small):
    defaults = inspect.signature(small.cls.__init__).parameters
    for name, value in small.arguments.items():
        assert name not in defaults or defaults[name].default != value
    config = small.model.get_config()
    assert set(config) == set(small.arguments)
    again = small.cls.from_config(config)
    assert again.get_config() == config
    assert again.example == small.arguments["example"]
    assert [weight.shape for weight in again.weights] == [weight.shape for weight in small.untrained().weights]


# Training.


def test_two_steps_of_training_are_finite_and_move_every_player_in_turn(small):
    stages = small.model.stages()
    for name, values in small.history.items():
        assert 1 <= len(values) <= len(stages)
        assert np.isfinite(values).all(), name
    for player in small.model.players():
        steps = 2 * sum(player.name in stage.players for stage in stages)
        assert int(small.model.optimizers[player.name].iterations) == steps // player.every, player.name


def eager_terms(model, player, batch):
    with model._step_of(0):
        return player.terms(model.unpack(batch))


def test_metrics_are_named_after_the_players_and_their_terms(small):
    players = small.model.players()
    expected, on_every_step = {"loss"}, {}
    for player in players:
        before = f"{player.name}_" if len(players) > 1 else ""
        terms = eager_terms(small.model, player, small.batch(2))
        assert all(tf.rank(term) == 0 for term in terms.values())
        expected |= {f"{before}loss", *(f"{before}{name}" for name in terms)}
        on_every_step |= {player.name: terms} if player.every == 1 else {}
    monitors = small.model.monitors(on_every_step)
    assert all(tf.rank(value) == 0 for value in monitors.values())
    expected |= set(monitors)
    assert set(small.history) == expected
    assert list(small.model.default_optimizers()) == [player.name for player in players]


@costly
def test_every_weight_is_moved_by_its_player_and_by_no_other(small):
    model = small.untrained()
    model.compile(run_eagerly=True)
    players = model.players()
    assert {id(v) for player in players for v in player.variables} == {id(v) for v in model.trainable_variables}
    reached = {variable.path: 0.0 for variable in model.trainable_variables}
    for index in range(4):
        batch = {key: tf.constant(value) for key, value in small.batch(4, seed=index).items()}
        for player in players:
            own = {id(variable) for variable in player.variables}
            others = [variable for variable in model.trainable_variables if id(variable) not in own]
            before = [variable.numpy() for variable in others]
            gradients = {}
            optimizer = model.optimizers[player.name]
            with recording(optimizer, gradients), model._step_of(0):
                model._move(player, batch)
            for variable, value in zip(others, before, strict=True):
                np.testing.assert_array_equal(variable.numpy(), value, f"{player.name} moved {variable.path}")
            assert set(gradients) == {variable.path for variable in player.variables}
            for path, gradient in gradients.items():
                assert np.isfinite(gradient).all(), path
                reached[path] += np.abs(gradient).sum()
    # What real and generated examples have in common cancels out of a difference of their scores.
    last = model.discriminator.trainable_variables[-1:] if hasattr(model, "discriminator") else []
    constant = {variable.path for variable in last if variable.shape == (1,)}
    assert not [path for path, amount in reached.items() if amount == 0.0 and path not in constant]


@contextlib.contextmanager
def recording(optimizer, gradients):
    """Notes the gradients that an optimizer is given, by the weight's path."""
    apply = optimizer.apply

    def note(values, variables):
        gradients.update({v.path: tf.convert_to_tensor(g).numpy() for g, v in zip(values, variables, strict=True)})
        apply(values, variables)

    optimizer.apply = note
    try:
        yield
    finally:
        optimizer.apply = apply


@costly
def test_evaluate_gives_finite_figures_that_repeat(small):
    data = small.batch(5)
    first, again = (small.model.evaluate(data, batch_size=3, verbose=0, return_dict=True) for _ in range(2))
    # Other noise would change more than the last bits, which depend on what was added first.
    assert again == pytest.approx(first, rel=1e-5, abs=1e-6)
    assert np.isfinite(list(first.values())).all()
    moving = tuple(player.name for player in small.model.moving())
    trained = {name for name in small.history if len(small.model.players()) == 1 or name.startswith(moving)}
    assert trained - {"loss"} <= set(first)


def test_the_doctor_can_examine_every_game(small):
    if not isinstance(small.model, AdversarialModel):
        pytest.skip("no game")
    doctor = Doctor(small.batch(6))
    doctor.set_model(small.model)
    figures = doctor.examine()
    assert np.isfinite(list(figures.values())).all()
    assert {"real_accuracy", "diversity"} <= set(figures)
    assert doctor.diagnose(figures)


# Endpoints.


def arguments_of(small, mark, count, seed=1):
    """Returns parameter -> reference input; each has a seed of its own, since two codes must not be the same."""
    parameters = mark.parameters(small.model)
    return {name: mark.inputs[name].reference(small.model, count, seed + at) for at, name in enumerate(parameters)}


def answers_of(small, mark, arguments):
    answer = getattr(small.model, mark.name)(**arguments)
    return {key: np.asarray(value) for key, value in (answer.items() if isinstance(answer, dict) else [("", answer)])}


def test_the_main_endpoint_is_offered(small):
    assert small.model.main_endpoint in small.model.endpoints()


@costly
def test_pictures_go_in_and_out_as_levels(small):
    example = small.model.example
    for mark in small.model.endpoints().values():
        for count in (1, 3):
            for key, answer in answers_of(small, mark, arguments_of(small, mark, count)).items():
                assert answer.size, mark.name
                assert np.isfinite(answer).all(), mark.name
                if mark.returns == "example" and not key:
                    assert answer.shape[-len(example.shape) :] == example.shape, mark.name
                    assert answer.dtype == example.tensor_spec().dtype.as_numpy_dtype, mark.name
                    if isinstance(example, Images):
                        assert answer.max() < example.levels, mark.name


@costly
def test_what_is_said_of_an_example_does_not_depend_on_its_neighbours(small):
    for mark in small.model.endpoints().values():
        arguments = arguments_of(small, mark, 3)
        if "seed" in arguments or not all(np.ndim(value) and len(value) == 3 for value in arguments.values()):
            continue
        together = answers_of(small, mark, arguments)
        if any(len(answer) != 3 for answer in together.values()):
            continue  # an answer about all examples at once
        for at in range(3):
            alone = answers_of(small, mark, {name: value[at : at + 1] for name, value in arguments.items()})
            for key, answer in together.items():
                # Sums of other sizes round otherwise, and a picture may then fall to the next level.
                tolerance = 1 if answer.dtype.kind in "iu" else 1e-4 * (1 + np.abs(answer[at]).max())
                difference = np.abs(alone[key][0].astype(np.float64) - answer[at].astype(np.float64))
                assert difference.max() <= tolerance, mark.name
                assert answer.dtype.kind == "f" or np.mean(difference > 0) < 0.02, mark.name


@costly
def test_the_same_seed_gives_the_same_answer_and_another_another(small):
    for mark in small.model.endpoints().values():
        arguments = arguments_of(small, mark, 3)
        if "seed" not in arguments:
            continue
        first, again = (answers_of(small, mark, arguments | {"seed": 5}) for _ in range(2))
        other = answers_of(small, mark, arguments | {"seed": 6})
        for key, answer in first.items():
            np.testing.assert_array_equal(answer, again[key], mark.name)
        assert any(not np.array_equal(answer, other[key]) for key, answer in first.items()), mark.name


@costly
def test_a_preview_shows_as_many_examples_as_were_asked_for(small):
    labels = [small.batch(4)["label"]] if samples_by_class(small.model) else []
    picture = small.model.preview(4, 0, *labels)
    assert picture.shape == (4, *small.model.example.shape)
    np.testing.assert_array_equal(picture, small.model.preview(4, 0, *labels))


@costly
def test_many_samples_come_in_parts_of_their_own(small):
    condition = {"label": small.batch(5)["label"]} if samples_by_class(small.model) else {}
    parts = list(small.model.sample_parts(5, 3, part=2, **condition))
    assert [len(part) for part in parts] == [2, 2, 1]
    first = small.model.sample(2, 3, **{name: value[:2] for name, value in condition.items()})
    np.testing.assert_array_equal(parts[0], first)
    assert not np.array_equal(parts[0], parts[1])


def test_where_uniforms_complete_those_of_a_seed_give_what_the_seed_gives(small):
    if "complete_from_noise" not in small.model.endpoints():
        return  # others are conditional on what is known, or complete nothing
    arguments = arguments_of(small, small.model.endpoints()["complete"], 3)
    expected = small.model.complete(**arguments)
    noise = tf.random.stateless_uniform((3, *small.model.noise_shape), arguments.pop("seed"), alg="philox")
    np.testing.assert_array_equal(small.model.complete_from_noise(noise=noise, **arguments), expected)


# Files.


@pytest.mark.slow
def test_an_exported_model_answers_equally(small, tmp_path):
    path = tfgen.export.saved_model(small.model, tmp_path / "artifact")
    report = tfgen.export.verify(path, small.model)
    assert report.ok, report
    assert {row.signature for row in report.rows} == {*small.model.endpoints(), "serving_default"}


@pytest.mark.slow
def test_a_tf_lite_file_answers_equally_and_lacks_what_the_entry_says_only(small, tmp_path):
    path = tfgen.export.tflite(small.model, tmp_path / "model.tflite")
    report = tfgen.export.verify(path)
    assert report.ok, report
    excepted = small.cls.entry.without_lite
    offered = small.model.endpoints()
    assert {row.signature for row in report.rows} == lite_endpoints(small.model).keys()
    assert excepted.keys() <= offered.keys()
    # Who draws random numbers as nothing else can is there too.
    assert {"sample", "sample_from_noise", "generate"} & {*lite_endpoints(small.model), *excepted}
    for name in excepted:
        with pytest.raises(InputError):
            tfgen.export.tflite(small.model, tmp_path / f"{name}.tflite", endpoints=[name])
        assert name in lite_endpoints(small.model, batch=2)
        fixed = tfgen.export.tflite(small.model, tmp_path / f"{name}.tflite", endpoints=[name], batch=2)
        assert tfgen.export.verify(fixed).ok


@pytest.mark.slow
def test_a_tf_lite_file_of_a_fixed_batch_answers_equally(small, tmp_path):
    path = tfgen.export.tflite(small.model, tmp_path / "model.tflite", batch=2)
    report = tfgen.export.verify(path)
    assert report.ok, report
    assert {row.signature for row in report.rows} == lite_endpoints(small.model, batch=2).keys()


@costly
def test_a_saved_model_comes_back_equal_and_trains_on_equally(small, tmp_path):
    small.model.save(tmp_path / "model.keras")
    loaded = tfgen.load_model(tmp_path / "model.keras")
    assert type(loaded) is small.cls
    assert loaded.get_config() == small.model.get_config()
    assert_equal(loaded, small.model)
    for mark in small.model.endpoints().values():
        if mark.name in (small.model.main_endpoint, "sample"):
            arguments = arguments_of(small, mark, 2)
            for one, other in zip(
                answers_of(small, mark, arguments).values(),
                np.atleast_1d(getattr(loaded, mark.name)(**arguments))[None],
                strict=True,
            ):
                np.testing.assert_array_equal(one, other)
    data = small.batch(4, seed=9)
    for model in (small.model, loaded):
        model.fit(data, batch_size=4, verbose=0)
    assert_equal(loaded, small.model)


def new(small):
    """Returns a model that is compiled with averages; two of them have the same weights."""
    random.seed(0)
    model = small.untrained()
    model.compile(ema=0.9)
    return model


def in_threes(small):
    """Returns data of three steps, and how many epochs take a model into its last stage and once more through that."""
    data = tf.data.Dataset.from_tensor_slices(small.batch(12, seed=9)).batch(4)
    return data, len(small.model.stages()) + 1


@costly
def test_a_model_that_is_stopped_within_an_epoch_goes_on_to_the_same_numbers(small, tmp_path):
    data, epochs = in_threes(small)
    whole, stopped = new(small), new(small)
    history = whole.fit(data, epochs=epochs, verbose=0).history
    last = 3 * (epochs - 1) + 1  # the first step of the last epoch
    stop = RunCheckpoint(tmp_path, stop=lambda: int(stopped._steps.numpy()) == last)
    with pytest.raises(Interrupted):
        stopped.fit(data, epochs=epochs, callbacks=[stop], verbose=0)
    path = Checkpoints(tmp_path).newest()
    place, loaded = read_place(path), tfgen.load_model(path)
    assert (place.epoch, place.step) == (epochs - 1, 1)
    on = RunCheckpoint(tmp_path, start=place)
    again = loaded.fit(
        data.skip(1), initial_epoch=epochs - 1, epochs=epochs, callbacks=[on], verbose=0, total_epochs=epochs
    ).history
    assert_equal(loaded, whole)
    assert {name: values[-1:] for name, values in history.items() if name in again} == again


@pytest.mark.slow
@pytest.mark.parametrize("how", ["BackupAndRestore", "ModelCheckpoint", "save_weights"])
def test_the_ways_of_keras_to_go_on_lead_to_the_same_numbers(small, tmp_path, how):
    data, epochs = in_threes(small)
    whole, first = new(small), new(small)
    whole.fit(data, epochs=epochs, verbose=0)
    kept = {
        "BackupAndRestore": lambda: keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False),
        "ModelCheckpoint": lambda: keras.callbacks.ModelCheckpoint(tmp_path / "model.keras"),
        "save_weights": lambda: keras.callbacks.ModelCheckpoint(tmp_path / "m.weights.h5", save_weights_only=True),
    }[how]
    first.fit(data, epochs=epochs - 1, total_epochs=epochs, callbacks=[kept()], verbose=0)
    if how == "ModelCheckpoint":
        second = tfgen.load_model(tmp_path / "model.keras")
    else:
        second = new(small)
        if how == "save_weights":
            second.load_weights(tmp_path / "m.weights.h5")
    begin = 0 if how == "BackupAndRestore" else epochs - 1
    callbacks = [kept()] if how == "BackupAndRestore" else []
    second.fit(data, initial_epoch=begin, epochs=epochs, total_epochs=epochs, callbacks=callbacks, verbose=0)
    assert_equal(second, whole)


def assert_equal(model, other):
    """Weights (with the random counter and averages among them) and every player's optimizer."""
    groups = [(model.weights, other.weights)]
    groups += [(optimizer.variables, other.optimizers[name].variables) for name, optimizer in model.optimizers.items()]
    assert len(groups) == 1 + len(other.players())
    for ours, theirs in groups:
        assert len(ours) == len(theirs) > 0
        for one, two in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one.numpy(), two.numpy(), one.path)
