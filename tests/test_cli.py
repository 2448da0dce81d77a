import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest
from PIL import Image

from tfgen import cli, export, registry
from tfgen.export import verification
from tfgen.training import Run, train

SMALL = ("vae", "--set", "hidden=(8,)", "--set", "latent_size=2", "--batch-size", "400", "--samples", "4", "--quiet")


@pytest.fixture
def tfgen(monkeypatch, capfd):
    """Runs the command in this process; returns exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tfgen", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return (end.value.code, *capfd.readouterr())

    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small trained run."""
    path = tmp_path_factory.mktemp("cli") / "run"
    return train("vae", out=path, arguments={"hidden": (8,), "latent_size": 2}, epochs=1, batch_size=400, verbose=0)


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def quickest(*arguments):
    """Returns exit code, lines of stderr, and what was imported, and the least time of a few processes."""
    seconds = []
    for _ in range(3):
        began = processor_seconds()
        process = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", "from tfgen.cli import main; main()", *arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        seconds.append(processor_seconds() - began)
    lines = process.stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time")}
    stderr = [line for line in lines if not line.startswith("import time")]
    return process.returncode, stderr, imported, min(seconds)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["train", "--help"], 0),
        (["list"], 0),
        (["show", "vae"], 0),
        (["train", "pixelcnn"], 2),
        (["train", "vae", "--set", "hiden=3"], 2),
        (["train", "vae", "--out", "."], 2),
        (["sample", "runs/none"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_needs_no_tensorflow_is_answered_at_once(arguments, code):
    answer, stderr, imported, seconds = quickest(*arguments)
    assert answer == code
    assert len(stderr) == (1 if code else 0)
    assert not imported & {"tensorflow", "numpy", "rich", "sklearn", "PIL"}
    assert seconds < 1.0  # a fifth of it on a machine that does nothing else


def test_help_names_every_command(tfgen):
    for arguments in ((), ("--help",)):
        code, out, err = tfgen(*arguments)
        assert (code, err) == (0, "")
        for command in ("list", "show", "train", "sample", "evaluate", "export", "verify", "demo"):
            assert re.search(rf"^  {command} ", out, re.MULTILINE)


def test_list_shows_every_model_and_families_one_by_one(tfgen):
    assert [line.split()[0] for line in tfgen("list")[1].splitlines()] == [entry.id for entry in registry.list_models()]
    assert all("variational" in line for line in tfgen("list", "--family", "variational")[1].splitlines())
    assert tfgen("list", "--markdown")[1] == registry.markdown_table() + "\n"


def test_show_names_paper_recipes_and_arguments(tfgen):
    code, out, _ = tfgen("show", "vae")
    assert code == 0
    assert "Auto-Encoding Variational Bayes\nD. P. Kingma, M. Welling, 2014\nhttps://arxiv.org/abs/1312.6114" in out
    assert re.search(r"^  digits: --epochs \d+ --batch-size \d+ --set ", out, re.MULTILINE)
    assert re.search(r" --set 'hidden=\([\d,]+\)'", out)
    assert re.search(r"^  latent_size=50: of z", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shwo"], "No such command 'shwo'"),
        (["show"], "Missing argument 'ID|ARTIFACT'"),
        (["show", "vea"], "unknown model 'vea'; did you mean vae?"),
        (["list", "--family", "variation"], "unknown family 'variation'; did you mean variational"),
        (["train"], "say which model"),
        (["train", "vae", "--epoch", "3"], "No such option: --epoch"),
        (["train", "vae", "--epochs", "0"], "Invalid value for '--epochs'"),
        (["train", "vae", "--epochs", "many"], "Invalid value for '--epochs'"),
        (["train", "vae", "--set", "hidden"], "expected name=value"),
        (["train", "vae", "--set", "latent_sice=3"], "did you mean latent_size?"),
        (["train", "vae", "--set", "latent_size=big"], "expected something like 50"),
        (["train", "vae", "--set", "seed=3"], "use --seed"),
        (["train", "vae", "--precision", "bfloat16"], "did you mean mixed_bfloat16"),
        (["train", "vae", "--image-size", "8by8"], "expected 32, or HEIGHTxWIDTH"),
        (["train", "--resume"], "say which model"),
        (["train", "vae", "--resume"], "runs/vae_digits: no run here"),
        (["train", "--resume", "--out", "none"], "none: no run here"),
        (["train", "vae", "--out", "full"], "full: not empty; --force writes into it"),
        (["train", "vae", "--data", "digit", "--out", "x"], "digits"),
        (["train", "dcgan", "--image-size", "9", "--out", "x"], "9x9 pixels cannot be halved"),
        (["train", "dcgan", "--data", "ring", "--out", "x"], "dcgan models pictures"),
        (["train", "dcgan", "--conditional", "--out", "x"], "takes no labels"),
        (["sample", "none"], "none: no run here"),
        (["evaluate", "none"], "none: no run here"),
        (["export", "none"], "none: no run here"),
        (["demo", "--out", "full"], "full: not empty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_ends_with_one_line_and_exit_code_2(tfgen, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    code, out, err = tfgen(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("tfgen: ")
    assert err.count("\n") == 1
    assert message in err


def test_mistakes_with_a_run_end_with_one_line(tfgen, run, tmp_path):
    (tmp_path / "taken.png").touch()
    for arguments, message in (
        (["train", "dcgan", "--resume", "--out", run.path], "is a run of vae, not of dcgan"),
        (["train", "--resume", "--out", run.path, "--seed", "3"], "was begun with seed 0, not 3; leave it out"),
        (["train", "--resume", "--out", run.path, "--set", "latent_size=3"], "was begun with latent_size 2, not 3"),
        (["train", "--resume", "--out", run.path, "--levels", "2"], "was begun with levels None, not 2"),
        (["train", "--resume", "--out", run.path, "--data", "ring"], "was begun with data digits, not ring"),
        (["train", "vae", "--out", run.path], "--resume goes on with it, --force overwrites it"),
        (["sample", run.path, "--out", "a.gif"], "ends in .png or .npz"),
        (["sample", run.path, "--out", tmp_path / "taken.png"], "--force overwrites it"),
        (["sample", run.path, "--labels", "1"], "trained without labels"),
        (["sample", run.path, "--labels", "one"], "expected classes as 3, or 3,1,4"),
        (["sample", run.path, "--count", "0"], "Invalid value for '--count'"),
        (["evaluate", run.path, "--split", "tset"], "did you mean test?"),
        (["export", run.path, "--out", tmp_path], "exists already"),
    ):
        code, _, err = tfgen(*arguments)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


def test_train_writes_what_was_asked_for(tfgen, tmp_path):
    options = ["--epochs", 1, "--levels", 2, "--image-size", "4x6", "--seed", 3, "--ema", 0.5, "--learning-rate", 0.01]
    code, out, err = tfgen("train", *SMALL, *options, "--out", tmp_path / "run")
    assert (code, err) == (0, "")
    assert out.startswith("vae: 1 epochs; ")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["model"] == {"id": "vae", "arguments": {"latent_size": 2, "hidden": [8]}, "conditional": False}
    assert record["data"]["options"] == {"image_size": [4, 6], "levels": 2}
    assert record["data"]["specs"]["image"] == {"kind": "Images", "shape": [4, 6, 1], "levels": 2}
    assert record["training"] | {"seed": 3, "ema": 0.5, "learning_rate": 0.01, "epochs": 1} == record["training"]
    assert record["command"][:3] == ["tfgen", "train", "vae"]
    assert Run.open(tmp_path / "run").source().example.shape == (4, 6, 1)


def test_a_finished_run_is_resumed_by_the_line_that_began_it_and_does_nothing(tfgen, run):
    before = (run.path / "run.json").read_bytes()
    line = ["vae", "--data", "digits", "--set", "hidden=(8,)", "--epochs", "1", "--batch-size", "400", "--seed", "0"]
    assert tfgen("train", *line, "--out", run.path, "--resume", "--quiet")[0] == 0
    assert (run.path / "run.json").read_bytes() == before


def test_sample_writes_a_picture_or_an_array(tfgen, run, tmp_path):
    assert tfgen("sample", run.path, "--count", "6", "--seed", "1")[:2] == (0, f"{run.path}/samples_1.png\n")
    assert Image.open(run.path / "samples_1.png").size == (3 * 70 + 6, 2 * 70 + 6)
    assert tfgen("sample", run.path, "--count", "6", "--seed", "1", "--out", tmp_path / "a" / "six.npz")[0] == 0
    with np.load(tmp_path / "a" / "six.npz") as arrays:
        assert list(arrays) == ["image"]
        np.testing.assert_array_equal(arrays["image"], run.sample(6, seed=1)[0])


def test_complete_writes_a_picture_or_says_that_the_model_cannot(tfgen, run, tmp_path):
    code, _, err = tfgen("complete", run.path)
    assert (code, err.count("\n")) == (2, 1)
    assert "vae does not complete pictures" in err
    line = ["--set", "width=2", "--set", "blocks=1", "--set", "head_width=4", "--epochs", "1", "--batch-size", "400"]
    assert tfgen("train", "pixel_cnn", *line, "--out", tmp_path / "run", "--quiet")[0] == 0
    assert tfgen("complete", tmp_path / "run", "--count", "2")[:2] == (0, f"{tmp_path}/run/completions_0.png\n")
    assert Image.open(tmp_path / "run" / "completions_0.png").size == (6 * 70 + 6, 2 * 70 + 6)


def test_evaluate_prints_figures_with_their_errors(tfgen, run):
    code, out, _ = tfgen("evaluate", run.path, "--importance-samples", "4")
    assert code == 0
    assert out.splitlines()[0] == "vae on digits, test"
    assert re.search(r"^  elbo +-\d+\.\d+ ± \d\.\d+$", out, re.MULTILINE)
    assert re.search(r"^  nats +\d+\.\d+ ± \d\.\d+$", out, re.MULTILINE)


def test_evaluate_probes_what_a_model_knows_of_classes(tfgen, tmp_path):
    sizes, options = {"hidden": (8,), "latent_size": 2}, {"image_size": (4, 4)}
    train("vae", out=tmp_path / "run", arguments=sizes, epochs=1, batch_size=400, verbose=0, data_options=options)
    code, out, err = tfgen("evaluate", tmp_path / "run", "--probe", "--split", "test[:90]")
    assert (code, err) == (0, "")
    shares = dict(re.findall(r"^  (\w+_accuracy) +(\d\.\d+) ± 0\.\d+$", out, re.MULTILINE))
    # After one epoch two latents know next to nothing.
    assert 0.05 < float(shares["probe_accuracy"]) < 0.5 < float(shares["raw_accuracy"]) < 1.0
    code, _, err = tfgen("evaluate", tmp_path / "run", "--probe", "--split", "train")
    assert (code, err) == (2, "tfgen: probe: digits: train is what a probe learns from; name another\n")


def test_export_prints_a_report_and_fails_if_the_artifact_differs(tfgen, run, tmp_path, monkeypatch):
    code, out, _ = tfgen("export", run.path, "--out", tmp_path / "artifact")
    assert code == 0
    assert "equal to Python" in out
    assert out.splitlines()[-1] == str(tmp_path / "artifact")
    assert (tmp_path / "artifact" / "card.json").exists()

    class Differs:
        ok = False

    monkeypatch.setattr(Run, "export", lambda *_, **__: (tmp_path, Differs()))
    assert tfgen("export", run.path, "--force", "--out", tmp_path / "artifact")[0] == 1


def test_verify_needs_the_artifact_alone_and_its_exit_code_tells_damage(tfgen, run, tmp_path):
    artifact = tmp_path / "artifact"
    export.saved_model(run.model, artifact)
    code, out, err = tfgen("verify", artifact)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"{artifact}: equal to Python"
    code, out, _ = tfgen("show", artifact)
    assert code == 0
    assert "(also serving_default)" in out
    graph = artifact / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:-1])
    size = graph.stat().st_size
    code, out, err = tfgen("verify", artifact)
    assert (code, out) == (2, "")
    assert err == f"tfgen: {graph}: damaged, {size} bytes instead of {size + 1}; export anew\n"
    assert tfgen("show", artifact)[::2] == (code, err)


def test_verify_fails_where_the_answers_differ(tfgen, run, tmp_path, monkeypatch):
    artifact = tmp_path / "artifact"
    export.saved_model(run.model, artifact)
    loaded = verification.load(artifact).signatures
    wrong = types.SimpleNamespace(signatures=dict(loaded) | {"sample": loaded["manifold"]})
    monkeypatch.setattr(verification, "load", lambda _: wrong)
    code, out, _ = tfgen("verify", artifact)
    assert code == 1
    assert "FAILED: " in out


def test_export_for_tf_lite_writes_a_file_that_verify_and_show_know(tfgen, run, tmp_path):
    file = tmp_path / "model.tflite"
    code, out, err = tfgen("export", run.path, "--tflite", "float32", "--batch", 2, "--out", file)
    assert (code, out.splitlines()[-1]) == (0, str(file)), err
    assert tfgen("export", run.path, "--tflite", "float32", "--out", file)[0] == 2
    code, out, _ = tfgen("verify", file, file)
    assert (code, out.count("equal to Python")) == (0, 2)
    assert "ms, 1 thread" in out
    assert "TF-Lite, float32" in tfgen("show", file)[1]


def test_export_for_tensorflow_serving_writes_the_next_version(tfgen, run, tmp_path):
    for version in (1, 2):
        code, out, err = tfgen("export", run.path, "--serving", tmp_path, "--name", "mine", "--no-warmup")
        assert (code, err) == (0, "")
        assert out.splitlines()[-1] == str(tmp_path / "mine" / str(version))
        assert "equal to Python" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "models.config"]
    card = export.read_card(tmp_path / "mine" / "2")
    assert card["data"]["name"] == "digits"
    assert card["recipe"]["epochs"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--name", "mine"], "--name and --no-warmup go with --serving ROOT"),
        (["--no-warmup"], "--name and --no-warmup go with --serving ROOT"),
        (["--serving", "root", "--force"], "leave out --out and --force"),
        (["--serving", "root", "--out", "there"], "leave out --out and --force"),
        (["--serving", "root", "--name", "../mine"], "name '../mine': letters, digits"),
    ],
)
def test_options_of_an_export_that_do_not_go_together_are_named(tfgen, run, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = tfgen("export", run.path, *options)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "none"], "none: no such artifact"),
        (["verify", "."], "no card.json in it"),
        (["show", "./vae"], "vae: no such artifact"),
        (["show", "folder"], "folder: no card.json in it"),
    ],
)
def test_what_is_no_artifact_is_named(tfgen, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "vae").touch()
    code, out, err = tfgen(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    code, out, _ = tfgen("show", "vae")
    assert code == 0
    assert "Auto-Encoding Variational Bayes" in out


def test_an_artifact_is_shown_at_once(run, tmp_path):
    artifact = export.saved_model(run.model, tmp_path / "artifact")
    answer, stderr, imported, seconds = quickest("show", str(artifact))
    assert (answer, stderr) == (0, [])
    assert not imported & {"tensorflow", "numpy", "rich"}
    assert seconds < 1.0  # as above


def command(*arguments):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.Popen(
        [sys.executable, "-c", "from tfgen.cli import main; main()", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def wait_for(path, process):
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_ctrl_c_saves_says_how_to_resume_and_ends_with_130(tfgen, tmp_path):
    out = tmp_path / "run"
    process = command("train", *SMALL, "--epochs", "2000", "--out", out)
    wait_for(out / "checkpoints" / "epoch_0001.keras", process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    lines = err.strip().splitlines()
    assert lines[0].startswith("stopping after this step")
    assert re.fullmatch(rf"tfgen: stopped .* of 2000; saved\. Resume with: tfgen train --out {out} --resume", lines[1])
    assert len(lines) == 2
    done = len((out / "history.csv").read_text().splitlines()) - 1
    assert tfgen("train", "--resume", "--quiet", "--epochs", done + 1, "--out", out)[0] == 0
