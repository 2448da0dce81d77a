import csv
import json
import shutil
import signal

import keras
import numpy as np
import pytest

import tfgen
from tests.training.runs import OPTIONS, SMALL, At, assert_same, crash, history, press_ctrl_c
from tfgen.errors import InputError
from tfgen.training import Interrupted, Run, resume, train
from tfgen.training.checkpoints import read_place

# The default handler, or none where the tests run in the background.
AT_FIRST = signal.getsignal(signal.SIGINT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Uninterrupted runs of the small models, made when first asked for."""
    made = {}

    def get(id):
        if id not in made:
            options = OPTIONS | ({"ema": 0.9, "validation": "test"} if id == "vae" else {})
            made[id] = train(id, out=tmp_path_factory.mktemp(id), arguments=SMALL[id], **options)
        return made[id]

    return get


def test_a_run_folder_holds_what_it_says(whole):
    run = whole("vae")
    assert sorted(path.name for path in run.path.iterdir()) == [
        "checkpoints", "history.csv", "model.keras", "run.json", "samples", "tensorboard",
    ]  # fmt: skip
    assert [path.name for path in sorted((run.path / "samples").iterdir())] == [f"epoch_000{n}.png" for n in (1, 2, 3)]
    assert [row["epoch"] for row in history(run)] == ["1", "2", "3"]
    assert next((run.path / "tensorboard").iterdir()).stat().st_size > 0


def test_the_record_is_enough_to_repeat_the_run(whole, tmp_path):
    run = whole("vae")
    record = json.loads((run.path / "run.json").read_text())
    training = dict(record["training"])
    again = train(
        record["model"]["id"], out=tmp_path, data=record["data"]["name"], data_options=record["data"]["options"],
        arguments=record["model"]["arguments"], verbose=0, **training,
    )  # fmt: skip
    assert_same(run, again)


def test_two_who_write_in_a_record_lose_nothing_of_each_other(whole, tmp_path):
    shutil.copytree(whole("vae").path, tmp_path / "run")
    trains, measures, also = (Run.open(tmp_path / "run") for _ in range(3))
    trains.write(status="running", seconds=12.5)
    measured = measures.evaluate("test")
    also.evaluate("train[:10]")
    trains.write(status="finished")
    record = Run.open(tmp_path / "run").record
    assert (record["status"], record["seconds"]) == ("finished", 12.5)
    assert record["evaluations"]["test"] == measured
    assert set(record["evaluations"]) == {"test", "train[:10]"}
    assert record == trains.record


def test_the_record_says_what_happened(whole):
    record = whole("vae").record
    assert record["status"] == "finished"
    assert record["started"] <= record["ended"]
    assert record["seconds"] > 0
    assert record["parameters"] == sum(v.numpy().size for p in whole("vae").model.players() for v in p.variables)
    assert record["optimizers"]["model"]["class_name"] == "Adam"
    assert record["data"]["specs"]["image"] == {"kind": "Images", "shape": [8, 8, 1], "levels": 17}
    assert {"tfgen", "tensorflow", "keras", "numpy", "python"} <= record["versions"].keys()
    last = next(reversed(history(whole("vae"))))
    assert record["metrics"] == {name: float(value) for name, value in last.items() if name != "epoch"}
    assert "val_elbo" in record["metrics"]


# Of the staged ones the second epoch is a stage of its own, behind data that were read again, or one of drawn weights.
TO_STOP = [("vae", 1), ("vae", 3), ("vae", 4), ("pixel_cnn", 2), ("dcgan", 2), ("adagan", 2), ("bayesian_gan", 2)]


@pytest.mark.parametrize(("id", "batch"), TO_STOP)
def test_ctrl_c_and_resume_give_the_run_that_was_not_interrupted_bit_for_bit(whole, tmp_path, id, batch):
    options = OPTIONS | ({"ema": 0.9, "validation": "test"} if id == "vae" else {})
    with pytest.raises(Interrupted, match="epoch 2 of 3"):
        train(id, out=tmp_path, arguments=SMALL[id], callbacks=[At(2, batch, press_ctrl_c)], **options)
    stopped = Run.open(tmp_path)
    assert stopped.record["status"] == "interrupted"
    place = read_place(stopped.checkpoints.newest())
    assert (place.epoch, place.step) == ((1, batch) if batch < 3 else (2, 0))
    assert_same(resume(tmp_path, verbose=0), whole(id))


def test_a_crash_costs_the_epoch_that_was_not_finished_and_nothing_else(whole, tmp_path):
    options = OPTIONS | {"ema": 0.9, "validation": "test"}
    with pytest.raises(RuntimeError, match="crash"):
        train("vae", out=tmp_path, arguments=SMALL["vae"], callbacks=[At(3, 2, crash)], **options)
    assert Run.open(tmp_path).record["status"] == "failed"
    with pytest.raises(Interrupted):  # and once more, on the way back
        resume(tmp_path, callbacks=[At(3, 1, press_ctrl_c)], verbose=0)
    assert_same(resume(tmp_path, verbose=0), whole("vae"))


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_anew(whole, tmp_path):
    with pytest.raises(RuntimeError, match="crash"):
        train("dcgan", out=tmp_path, arguments=SMALL["dcgan"], callbacks=[At(1, 2, crash)], **OPTIONS)
    assert_same(resume(tmp_path, verbose=0), whole("dcgan"))


def test_a_finished_run_goes_on_to_more_epochs(whole, tmp_path):
    train("dcgan", out=tmp_path, arguments=SMALL["dcgan"], **OPTIONS | {"epochs": 2})
    assert_same(resume(tmp_path, epochs=3, verbose=0), whole("dcgan"))
    with pytest.raises(InputError, match="has 3 epochs already"):
        resume(tmp_path, epochs=2)


def test_what_is_kept_and_done_at_a_nan_may_be_said_anew_when_a_run_is_resumed(tmp_path):
    options = OPTIONS | {"validation": "test", "keep_last": 1, "keep_best": "val_loss"}
    run = train("vae", out=tmp_path, arguments=SMALL["vae"], **options | {"epochs": 2})
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.keras", "epoch_0002.keras"]
    losses = [float(row["val_loss"]) for row in history(run)]
    best = {"metric": "val_loss", "value": min(losses), "epoch": 1 + losses.index(min(losses))}
    assert run.record["best"] == best | {"path": "checkpoints/best.keras"}
    run = resume(tmp_path, epochs=3, keep_last=2, keep_best="val_elbo", on_nan="rollback", rollbacks=1, verbose=0)
    assert len(list((tmp_path / "checkpoints").glob("epoch_*"))) == 2
    assert run.record["best"]["metric"] == "val_elbo"
    assert (run.record["training"]["on_nan"], run.record["training"]["rollbacks"]) == ("rollback", 1)


def test_a_run_of_before_these_options_goes_on(whole, tmp_path):
    train("dcgan", out=tmp_path, arguments=SMALL["dcgan"], **OPTIONS | {"epochs": 2})
    record = json.loads((tmp_path / "run.json").read_text())
    for name in ("keep_last", "keep_best", "on_nan", "rollbacks"):
        del record["training"][name]
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert_same(resume(tmp_path, epochs=3, verbose=0), whole("dcgan"))


def test_a_damaged_checkpoint_costs_its_epoch_and_nothing_else(whole, tmp_path):
    with pytest.raises(Interrupted):
        train("dcgan", out=tmp_path, arguments=SMALL["dcgan"], callbacks=[At(3, 1, press_ctrl_c)], **OPTIONS)
    newest = Run.open(tmp_path).checkpoints.newest()
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="is damaged"):
        run = resume(tmp_path, verbose=0)
    assert_same(run, whole("dcgan"))


def test_another_seed_gives_another_run(whole, tmp_path):
    other = train("dcgan", out=tmp_path, arguments=SMALL["dcgan"], **OPTIONS | {"seed": 6, "epochs": 1})
    assert history(other)[0] != history(whole("dcgan"))[0]


def test_ctrl_c_works_again_after_a_training(whole):
    whole("dcgan")
    assert signal.getsignal(signal.SIGINT) is AT_FIRST


def test_progress_is_shown_while_many_samples_are_drawn(whole, capsys):
    run = whole("vae")
    samples, _ = run.sample(300, seed=7, verbose=1)
    shown = capsys.readouterr().out
    assert "256/300" in shown
    assert "300/300" in shown
    np.testing.assert_array_equal(samples[:256], run.sample(256, seed=7)[0])
    assert capsys.readouterr().out == ""


def test_a_run_completes_pictures_of_its_data(whole):
    run = whole("pixel_cnn")
    made = run.complete(3, completions=2, known=0.25, seed=1)
    x = run.source().arrays("test")["image"][:3]
    np.testing.assert_array_equal(made["original"], x)
    np.testing.assert_array_equal(made["known"], [True, True] + [False] * 6)
    assert made["completed"].shape == (2, 3, 8, 8, 1)
    for completed in made["completed"]:
        np.testing.assert_array_equal(completed[:, :2], x[:, :2])
    assert not np.array_equal(*made["completed"])
    # Of 17 levels: the teacher-forced conditionals' own entropies.
    logits = run.model.conditionals(x)[..., 0, :].numpy()
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(made["entropy"], -(p * np.log(p)).sum(-1), rtol=1e-4)
    with pytest.raises(InputError, match="vae does not complete pictures"):
        whole("vae").complete()
    with pytest.raises(InputError, match="0.99 is 8 of 8 rows"):
        run.complete(known=0.99)


def test_a_run_that_is_opened_samples_and_measures_as_the_one_that_trained(whole):
    run = whole("vae")
    other = Run.open(run.path)
    one, _ = run.sample(3, seed=7)
    two, _ = other.sample(3, seed=7)
    np.testing.assert_array_equal(one, two)
    assert (one.shape, one.dtype) == ((3, 8, 8, 1), np.uint8)
    assert other.evaluate("test") == pytest.approx(run.evaluate("test"), rel=1e-5)
    assert other.record["evaluations"]["test"]["elbo"] < 0
    assert other.evaluate("test", importance_samples=4)["nats"] > 0
    with pytest.raises(InputError, match="dcgan has no latent variables to weight"):
        whole("dcgan").evaluate("test", importance_samples=4)
    with pytest.raises(InputError, match="unknown split 'tset'; did you mean test"):
        run.evaluate("tset")


def test_an_export_is_verified_and_its_card_knows_the_run(whole):
    run = whole("vae")
    path, report = run.export()
    assert report.ok, str(report)
    card = json.loads((path / "card.json").read_text())
    assert card["data"]["name"] == "digits"
    assert card["metrics"]["train"] == run.record["metrics"]
    with pytest.raises(InputError, match="exists"):
        run.export()
    assert run.export(force=True)[1].ok


def test_a_conditional_run_draws_the_labels_that_it_is_asked_for(tmp_path):
    arguments = {"width": 2, "depth": 2, "kernel_size": 3, "head_width": 4}
    options = OPTIONS | {"epochs": 1, "batch_size": 1437}
    run = train("gated_pixel_cnn", out=tmp_path, arguments=arguments, conditional=True, **options)
    assert run.model.label.count == 10
    assert run.sample(12)[1].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert run.sample(3, labels=4)[1].tolist() == [4, 4, 4]
    for labels, message in (([1, 2], "2 for 3 samples"), (10, r"expected 0\.\.9")):
        with pytest.raises(InputError, match=message):
            run.sample(3, labels=labels)


@pytest.mark.parametrize("precision", ["mixed_bfloat16"])
def test_half_precision_trains_and_comes_back(tmp_path, precision):
    run = train("vae", out=tmp_path, arguments=SMALL["vae"], precision=precision, **OPTIONS | {"epochs": 1})
    model = Run.open(tmp_path).model
    assert model.encoder.layers[-2].compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    np.testing.assert_array_equal(model.sample(2, seed=1), run.sample(2, seed=1)[0])


def test_the_learning_rate_is_that_of_every_player(tmp_path):
    options = OPTIONS | {"epochs": 1, "batch_size": 1437}
    run = train("dcgan", out=tmp_path, arguments=SMALL["dcgan"], learning_rate=0.25, **options)
    assert {float(optimizer.learning_rate) for optimizer in run.model.optimizers.values()} == {0.25}
    assert run.record["optimizers"]["generator"]["config"]["learning_rate"] == 0.25


def test_a_learning_rate_takes_the_place_of_a_schedule(tmp_path):
    assert callable(tfgen.create("gumbel_vae", image_shape=(8, 8, 1)).default_optimizers()["model"]._learning_rate)
    run = train(
        "gumbel_vae", out=tmp_path, epochs=1, arguments={"hidden": (4,)}, learning_rate=0.25, samples=1, verbose=0
    )
    assert float(run.model.optimizers["model"].learning_rate) == 0.25


def test_points_get_a_scatter_plot(tmp_path):
    ring = {"data": "ring", "data_options": {"count": 500, "data_dir": str(tmp_path)}}
    options = OPTIONS | ring | {"epochs": 1, "batch_size": 100}
    run = train("vae", out=tmp_path / "run", arguments=SMALL["vae"], **options)
    assert run.sample(5)[0].shape == (5, 2)
    assert (tmp_path / "run" / "samples" / "epoch_0001.png").exists()


@pytest.mark.parametrize(
    ("id", "options", "message"),
    [
        ("dcgan", {"data_options": {"image_size": 9}}, "9x9 pixels cannot be halved"),
        ("dcgan", {"data": "ring"}, "dcgan models pictures, but ring"),
        ("dcgan", {"conditional": True}, "dcgan takes no labels"),
        ("dcgan", {"data": "digit"}, "digits"),
        ("dcgan", {"arguments": {"width": -3}}, "dcgan: cannot be built so"),
        ("dcgan", {"arguments": {"generator": 3}}, "DCGAN: the generator does not take inputs"),
        ("dcgan", {"epochs": 0}, "epochs: 0, expected"),
        ("dcgan", {"batch_size": 2.0}, "batch_size: 2.0"),
        ("dcgan", {"learning_rate": -1.0}, "learning_rate: -1.0"),
        ("dcgan", {"ema": 1.0}, "ema: 1.0"),
        ("dcgan", {"precision": "float16"}, "unknown precision 'float16'; did you mean"),
        ("dcgan", {"batch_size": 5000}, "fewer than a batch"),
        ("dcgan", {"validation": "valid"}, "unknown split 'valid'"),
        ("adagan", {"epochs": 6}, r"epochs: 6, but ada_gan\w* is trained in 7 stages"),
        ("vae", {"keep_last": 0}, "keep_last: 0"),
        ("vae", {"keep_best": "val_loss"}, "keep_best: val_loss is measured with --validation"),
        ("vae", {"keep_best": "loss:least"}, "expected a metric as val_loss"),
        ("vae", {"on_nan": "rolback"}, "unknown on_nan 'rolback'; did you mean rollback"),
        ("vae", {"doctor": True}, "doctor: vae is no adversarial model"),
        ("dcg", {}, "unknown model 'dcg'; did you mean dcgan"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_before_any_training(tmp_path, id, options, message):
    with pytest.raises(InputError, match=message) as error:
        train(id, out=tmp_path / "run", verbose=0, **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_bernoulli_likelihood_of_17_levels_is_said(tmp_path):
    from tfgen.distributions import BernoulliLikelihood

    with pytest.raises(InputError, match="the pictures have 17 levels"):
        train("vae", out=tmp_path, arguments={"likelihood": BernoulliLikelihood()}, verbose=0)


def test_a_likelihood_that_was_passed_is_in_the_record(tmp_path):
    from tfgen.distributions import DiscretizedLogisticLikelihood

    arguments = SMALL["vae"] | {"likelihood": DiscretizedLogisticLikelihood(min_log_scale=-3.0)}
    with pytest.raises(RuntimeError, match="crash"):
        train("vae", out=tmp_path, arguments=arguments, callbacks=[At(1, 1, crash)], **OPTIONS)
    assert resume(tmp_path, epochs=1, verbose=0).model.p_x.min_log_scale == -3.0


def test_a_failed_start_leaves_the_folder_free(tmp_path):
    for _ in range(2):
        with pytest.raises(InputError, match="cannot be halved"):
            train("dcgan", out=tmp_path / "run", data_options={"image_size": 9}, verbose=0)


def test_a_folder_that_holds_something_is_not_touched_without_force(tmp_path):
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "epoch_0009.png").touch()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty; --force writes into it"):
        Run.claim(tmp_path)
    Run.claim(tmp_path, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(InputError, match="is a file"):
        Run.claim(tmp_path / "notes.txt", force=True)


def test_data_that_changed_since_are_said(tmp_path):
    images = np.random.default_rng(0).integers(0, 17, (40, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "data.npz", train=images, test=images)
    options = OPTIONS | {"epochs": 1, "batch_size": 40}
    train("vae", data=str(tmp_path / "data.npz"), out=tmp_path / "run", arguments=SMALL["vae"], **options)
    np.savez(tmp_path / "data.npz", train=images[:, :6], test=images[:, :6])
    with pytest.raises(InputError, match="is not what it was"):
        resume(tmp_path / "run", epochs=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no run here"),
        ("{", "cannot be read"),
        ("[]", "not a record of format"),
        ('{"format": 99}', "another version"),
    ],
)
def test_a_folder_without_a_run_is_said(tmp_path, content, message):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=message):
        Run.open(tmp_path)


def test_the_history_is_a_plain_csv_file(whole):
    with open(whole("dcgan").path / "history.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][:2] == ["epoch", "seconds"]
    assert len(rows) == 4


def test_the_model_file_is_one_that_keras_users_can_load(whole):
    model = tfgen.load_model(whole("pixel_cnn").path / "model.keras")
    np.testing.assert_array_equal(model.sample(2, seed=3), whole("pixel_cnn").sample(2, seed=3)[0])
