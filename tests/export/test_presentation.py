"""`tfgen show` tells what an artifact is and how to call it, and the calls work."""

import json
import shlex
import shutil
import subprocess
import sys

import pytest
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.export import present, read_card, saved_model, serving
from tfgen.export.card import write_card
from tfgen.export.files import seal
from tfgen.export.verification import load


def section(text, name):
    return text.split(f"\n{name}\n")[1].split("\n\n")[0]


def test_signatures_are_listed_with_what_goes_in_and_out(artifacts, models):
    listed = section(present(artifacts["dcgan"]), "Signatures").splitlines()
    assert [line.split()[0] for line in listed] == sorted(models["dcgan"].endpoints())
    assert "  discriminate  image uint8 (batch, 8, 8, 1) -> score float32 (batch)" in listed
    (sample,) = (line for line in listed if "serving_default" in line)
    assert sample.split("  ")[1:3] == ["sample", ""]
    assert "count int32 (), seed int32 (2) -> image uint8 (batch, 8, 8, 1)" in sample


@pytest.fixture(scope="module")
def conditional(clusters, tmp_path_factory):
    return saved_model(clusters, tmp_path_factory.mktemp("conditional") / "a 'b'")


@pytest.mark.parametrize("id", ["dcgan", "conditional"])
def test_the_program_that_is_shown_runs(artifacts, conditional, id):
    path = conditional if id == "conditional" else artifacts[id]
    program = [line.strip() for line in section(present(path), "Python").splitlines()]
    names = {}
    exec("\n".join(program[:-1]), names)
    answer = eval(program[-1], names)
    assert answer.shape[0] == 4


def request(text):
    """Returns URL and body of the curl line, as a shell would split it."""
    (line,) = (line for line in section(text, "TensorFlow Serving").splitlines() if "curl" in line)
    words = shlex.split(line)
    return words[1], json.loads(words[3])


@pytest.mark.parametrize("id", ["dcgan", "conditional"])
def test_the_request_that_is_shown_is_one_that_the_signature_takes(artifacts, conditional, id):
    path = conditional if id == "conditional" else artifacts[id]
    url, body = request(present(path))
    assert url == f"http://localhost:8501/v1/models/{'model' if id == 'conditional' else id}:predict"
    function = load(path).signatures[body["signature_name"]]
    specs = function.structured_input_signature[1]
    assert body["inputs"].keys() == specs.keys()
    (answer,) = function(
        **{key: tf.constant(value, specs[key].dtype) for key, value in body["inputs"].items()}
    ).values()
    assert answer.shape[0] == 4


def test_pictures_are_not_written_out_in_a_request(artifacts, tmp_path):
    path = shutil.copytree(artifacts["dcgan"], tmp_path / "copy")
    card = read_card(path)
    card["signatures"] = dict.fromkeys(("discriminate", "serving_default"), card["signatures"]["discriminate"])
    seal(path, card)
    text = present(path)
    assert request(text)[1] == {"signature_name": "discriminate", "inputs": {"image": "..."}}
    assert "with nested lists of numbers for image" in text
    assert '["discriminate"](image=tf.zeros((4, 8, 8, 1), tf.uint8))["score"]' in text


def test_a_version_for_tensorflow_serving_is_shown_with_its_root_and_name(clusters, tmp_path):
    path, _ = serving(clusters, tmp_path / "all models", name="blobs", warmup=False)
    text = present(path)
    assert f"-v '{tmp_path}/all models':/models tensorflow/serving" in text
    assert request(text)[0] == "http://localhost:8501/v1/models/blobs:predict"


def test_checks_tell_what_came_out_when_the_artifact_was_written(artifacts, tmp_path):
    path = shutil.copytree(artifacts["dcgan"], tmp_path / "copy")
    card = read_card(path)
    checks = section(present(path), "Checks")
    assert f"when written, {card['verification']['when']}: 7 signatures run, equal to Python" in checks
    assert "integers 100% equal" in checks
    row = next(row for row in card["verification"]["rows"] if row["signature"] == "sample")
    row |= {"ok": False, "equal": 0.98765, "problem": "1.2% of the numbers differ"}
    card["verification"]["ok"] = False
    seal(path, card)
    checks = section(present(path), "Checks")
    assert "DIFFERS from Python: sample image: 1.2% of the numbers differ" in checks
    assert "integers 98.7% equal" in checks


def test_damage_and_unknown_kinds_get_a_clear_line(artifacts, tmp_path):
    path = shutil.copytree(artifacts["dcgan"], tmp_path / "copy")
    card = read_card(path)
    write_card(path, card | {"kind": "hologram"})
    with pytest.raises(InputError, match="an artifact of kind 'hologram'; this tfgen knows saved_model"):
        present(path)
    write_card(path, card | {"signatures": {"sample": 7}})
    with pytest.raises(InputError, match="the card lacks what a saved_model tells of itself"):
        present(path)
    write_card(path, card)
    (path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(InputError, match=r"saved_model\.pb: damaged, 0 bytes instead of"):
        present(path)
    with pytest.raises(InputError, match="no such artifact"):
        present(tmp_path / "nowhere")


def test_a_card_can_not_command_the_terminal_nor_the_shell(artifacts, tmp_path):
    path = shutil.copytree(artifacts["dcgan"], tmp_path / "copy")
    seal(path, read_card(path) | {"data": "\x1b[2Jdigits\x07", "model": "x; rm -r ~"})
    text = present(path)
    assert "trained on ?[2Jdigits?" in text
    assert shlex.split(section(text, "TensorFlow Serving").splitlines()[-1])[1].endswith("/models/x; rm -r ~:predict")


def test_showing_imports_neither_tensorflow_nor_numpy(artifacts):
    script = "import sys; from tfgen.export import present; print(present(sys.argv[1])); " \
             "assert not {'tensorflow', 'keras', 'numpy'} & sys.modules.keys()"  # fmt: skip
    subprocess.run([sys.executable, "-c", script, artifacts["vae"]], check=True, capture_output=True)
