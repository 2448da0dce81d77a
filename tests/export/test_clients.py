"""The programs in `examples/` draw what the model draws, where this package is not."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfgen.export import saved_model, tflite
from tfgen.export.lite.files import read_file

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"

#: Module that Python imports when it begins; who imports one of these afterwards fails.
BLOCK = "import sys\nfor name in {names!r}: sys.modules[name] = None\n"


@pytest.fixture(scope="module")
def files(models, clusters, tmp_path_factory):
    root = tmp_path_factory.mktemp("lite")
    sampler = {"pixel_cnn": "sample_from_noise", "dcgan": "generate", "vae": "sample"}
    found = {id: tflite(models[id], root / f"{id}.tflite", endpoints=[name]) for id, name in sampler.items()}
    return found | {"clusters": tflite(clusters, root / "clusters.tflite", endpoints=["sample"])}


def run(client, *arguments, folder, without):
    """Runs a program of `examples/` in a folder, without some packages; returns the finished process."""
    (folder / "sitecustomize.py").write_text(BLOCK.format(names=("tfgen", "PIL", *without)))
    command = [sys.executable, EXAMPLES / client, *arguments]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True)


def drawn(client, *arguments, folder, without):
    done = run(client, *arguments, folder=folder, without=without)
    assert done.returncode == 0, done.stderr


def pictures_in(file, count, height, width):
    """Returns the first pictures of a sheet, from left to right and from above."""
    sheet = np.asarray(Image.open(file))
    columns = sheet.shape[1] // width
    corners = [(height * (number // columns), width * (number % columns)) for number in range(count)]
    return np.stack([sheet[top : top + height, left : left + width] for top, left in corners])


WITHOUT = {"litert_client.py": ("tensorflow", "keras"), "saved_model_client.py": ("ai_edge_litert", "tf_keras")}


def test_litert_draws_a_picture_pixel_by_pixel_as_the_model_does(files, models, tmp_path):
    model = models["pixel_cnn"]
    client = "litert_client.py"
    drawn(client, files["pixel_cnn"], "--count", 7, "--seed", 3, folder=tmp_path, without=WITHOUT[client])
    noise = np.random.default_rng(3).random((7, *model.noise_shape), np.float32)
    levels = model.sample_from_noise(noise).numpy()[..., 0]
    assert np.unique(levels).size == 5
    np.testing.assert_array_equal(pictures_in(tmp_path / "samples.png", 7, 4, 4), np.rint(levels * (255 / 4)))


def test_litert_draws_codes_from_the_prior_of_the_generator(files, models, tmp_path):
    client = "litert_client.py"
    drawn(client, files["dcgan"], "--count", 5, "--seed", 1, folder=tmp_path, without=WITHOUT[client])
    z = 2.0 * np.random.default_rng(1).random((5, 4), np.float32) - 1.0
    expected = models["dcgan"].generate(z).numpy()[..., 0]
    np.testing.assert_array_equal(pictures_in(tmp_path / "samples.png", 5, 8, 8), expected)


def test_litert_answers_with_what_a_seed_draws_if_it_gets_that_noise(files, models, tmp_path):
    client = "litert_client.py"
    (case,) = [case for case in read_file(files["vae"])[2] if case.outputs["image"].shape[0] == 3]
    np.savez(tmp_path / "noise.npz", **case.inputs)
    options = ["--count", 3, "--inputs", "noise.npz", "--out", "x.npy"]
    drawn(client, files["vae"], *options, folder=tmp_path, without=WITHOUT[client])
    # Reference inputs of `sample`: three examples, and the seed of its second parameter.
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), models["vae"].sample(3, seed=(1, 1)))


@pytest.mark.parametrize("id", ["vae", pytest.param("dcgan", marks=pytest.mark.slow)])
def test_tensorflow_draws_what_the_model_draws_from_the_same_seed(artifacts, models, tmp_path, id):
    client = "saved_model_client.py"
    options = ["--count", 5, "--seed", 7, "--out", "x.png"]
    drawn(client, artifacts[id], *options, folder=tmp_path, without=WITHOUT[client])
    levels = models[id].sample(5, seed=7).numpy()[..., 0]
    expected = np.rint(levels * (255.0 / (models[id].example.levels - 1)))
    np.testing.assert_array_equal(pictures_in(tmp_path / "x.png", 5, 8, 8), expected)


def test_classes_are_asked_for_and_what_is_no_picture_is_an_array(files, clusters, tmp_path):
    there = {"folder": tmp_path, "without": WITHOUT["litert_client.py"]}
    asked = run("litert_client.py", files["clusters"], **there)
    assert asked.returncode == 1 and "sample takes label, int32 [None], too; pass --label" in asked.stderr
    drawing = run("litert_client.py", files["clusters"], "--label", 2, **there)
    assert drawing.returncode == 1 and "float32 (16, 2) are no pictures of one channel or three" in drawing.stderr
    drawn("litert_client.py", files["clusters"], "--label", 2, "--out", "x.npy", **there)
    expected = clusters.centers(np.full(16, 2)) + np.random.default_rng(0).standard_normal((16, 2), np.float32)
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), expected, rtol=1e-5)


@pytest.mark.slow
def test_tensorflow_is_asked_for_classes_too(clusters, tmp_path):
    client, path = "saved_model_client.py", saved_model(clusters, tmp_path / "clusters")
    there = {"folder": tmp_path, "without": WITHOUT[client]}
    for options, message in {
        (): f"{path}: the model draws by class; pass --label",
        ("--label", 2): f"{path}: float32 (16, 2) are no pictures of one channel or three",
    }.items():
        done = run(client, path, *options, **there)
        assert done.returncode == 1 and done.stderr.splitlines()[-1] == message
    drawn(client, path, "--label", 2, "--out", "x.npy", **there)
    expected = clusters.sample(16, seed=0, label=np.full(16, 2, np.int32))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected)
    done = run(client, tmp_path / "nowhere", **there)
    assert done.returncode == 1 and done.stderr.splitlines()[-1].endswith(
        "No such file or directory: " + repr(str(tmp_path / "nowhere/card.json"))
    )


@pytest.mark.slow
def test_what_a_client_can_not_do_is_told_in_a_line(files, models, tmp_path):
    other, decoder = tmp_path / "other.tflite", tmp_path / "decoder.tflite"
    other.write_bytes(read_file(files["dcgan"])[0])
    tflite(models["vae"], decoder, endpoints=["decode"])
    fixed = tflite(models["dcgan"], tmp_path / "fixed.tflite", endpoints=["generate"], batch=2)
    for path, message in {
        tmp_path / "none.tflite": "No such file",
        other: "no card in it",
        decoder: "no sampler in it, only decode",
        fixed: "draws 2 at a time; pass --count 2",
    }.items():
        done = run("litert_client.py", path, folder=tmp_path, without=WITHOUT["litert_client.py"])
        assert done.returncode == 1 and message in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    drawn("litert_client.py", fixed, "--count", 2, folder=tmp_path, without=WITHOUT["litert_client.py"])


def test_pictures_with_colours_come_back_from_a_sheet(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    from png import write_png

    pictures = np.random.default_rng(0).integers(0, 256, (6, 3, 5, 3), np.uint8)
    write_png(tmp_path / "sheet.png", pictures)
    np.testing.assert_array_equal(pictures_in(tmp_path / "sheet.png", 6, 3, 5), pictures)
    with pytest.raises(ValueError, match="are no pictures"):
        write_png(tmp_path / "sheet.png", pictures[..., :2])


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="needs a compiler of C++")
def test_the_program_in_cpp_draws_what_the_model_draws_from_the_same_seed(artifacts, models, clusters, tmp_path):
    source = (EXAMPLES / "saved_model_client.cc").read_text()
    assert len(source.splitlines()) < 100
    # Built as its comment says.
    told = re.search(r"(TF=.*?)\n//   \./saved", source, re.DOTALL).group(1).replace("\n//   ", "\n")
    there = {
        "cwd": EXAMPLES,
        "env": os.environ | {"PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"},
    }
    subprocess.run(told.replace("-o saved_model_client", f"-o {tmp_path}/client"), shell=True, check=True, **there)
    call = lambda *arguments: subprocess.run(
        [tmp_path / "client", *map(str, arguments)], capture_output=True, text=True, cwd=tmp_path
    )
    done = call(artifacts["vae"], 16, 5, "samples.pgm", 17)
    assert done.returncode == 0, done.stderr
    head, pixels = b"P5\n8 128\n16\n", (tmp_path / "samples.pgm").read_bytes()
    assert pixels.startswith(head)
    np.testing.assert_array_equal(
        np.frombuffer(pixels[len(head) :], np.uint8).reshape(16, 8, 8, 1), models["vae"].sample(16, seed=5)
    )
    assert call(artifacts["dcgan"], 3, 0, "x.pgm").returncode == 0
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "x.pgm")).reshape(3, 8, 8, 1), models["dcgan"].sample(3, 0)
    )
    labelled = saved_model(clusters, tmp_path / "clusters")
    for arguments, message in {
        (tmp_path / "nowhere", 3, 0, "x.pgm"): "Could not find SavedModel",
        (labelled, 3, 0, "x.pgm"): "sample takes label, too",
        (artifacts["vae"], 3, 0, "nowhere/x.pgm", 17): "nowhere/x.pgm: cannot be written",
        (artifacts["vae"], "many", 0, "x.pgm"): "usage: ",
    }.items():
        done = call(*arguments)
        assert done.returncode and message in done.stderr.splitlines()[-1]
