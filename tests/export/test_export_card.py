"""The card tells what an artifact is."""

import json
import pathlib
import platform

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.errors import InputError
from tfgen.export import make_card, read_card


def test_a_card_tells_model_arguments_paper_and_versions(artifacts):
    card = read_card(artifacts["vae"])
    assert (card["model"], card["class"]) == ("vae", "tfgen.zoo.variational.vae.VAE")
    assert card["paper"]["title"] == "Auto-Encoding Variational Bayes"
    assert card["specs"] == {"image": {"kind": "Images", "shape": [8, 8, 1], "levels": 17}}
    assert (card["data"], card["recipe"], card["metrics"]) == ("digits", None, {"nats": 1.5})
    assert card["versions"]["tfgen"] == tfgen.__version__
    assert card["versions"]["tensorflow"] == tf.__version__
    assert card["versions"]["python"] == platform.python_version()


def test_the_arguments_of_a_card_make_the_model_again(artifacts, models):
    card = read_card(artifacts["vae"])
    again = type(models["vae"]).from_config(card["arguments"])
    assert (again.example, again.latent_size) == (models["vae"].example, 2)
    assert [weight.shape for weight in again.weights] == [weight.shape for weight in models["vae"].weights]


def test_a_card_tells_the_signatures(artifacts):
    signatures = read_card(artifacts["pixel_cnn"])["signatures"]
    image = {"image": {"dtype": "uint8", "shape": [None, 4, 4, 1]}}
    seed = {"dtype": "int32", "shape": [2]}
    assert signatures["sample"] == {
        "inputs": {"count": {"dtype": "int32", "shape": []}, "seed": seed},
        "outputs": image,
    }
    assert signatures["complete"] == {
        "inputs": image | {"mask": {"dtype": "float32", "shape": [None, 4, 4]}, "seed": seed},
        "outputs": image,
    }
    assert signatures["log_prob"] == {"inputs": image, "outputs": {"log_prob": {"dtype": "float32", "shape": [None]}}}
    assert signatures["serving_default"] == signatures["sample"]


def test_a_card_counts_the_weights_that_endpoints_read(clusters):
    # Three centers of two coordinates; `idle` has 7 * 11 + 7 more.
    assert make_card(clusters)["weights"] == {"count": 6, "averaged": [], "trained_in": "float32"}


def test_a_card_of_a_model_that_is_not_registered_tells_its_class(clusters, models):
    card = make_card(clusters)
    assert (card["model"], card["paper"], card["class"].split(".")[-1]) == (None, None, "Clusters")
    derived = type("Derived", (type(models["dcgan"]),), {})
    assert make_card(derived(**models["dcgan"].arguments))["model"] is None
    assert card["specs"]["label"] == {"kind": "Labels", "count": 3, "names": []}


def test_what_a_caller_adds_is_turned_into_strict_json(clusters):
    metrics = {"nats": np.float32(1.5), "curve": np.array([1, 2]), "bits": float("nan"), "best": np.inf}
    card = make_card(clusters, {"metrics": metrics, "run": pathlib.Path("runs") / "x", "recipe": {"epochs": (1, 2)}})
    told = json.loads(json.dumps(card, allow_nan=False))
    assert told["metrics"] == {"nats": 1.5, "curve": [1, 2], "bits": "nan", "best": "inf"}
    assert (told["run"], told["recipe"]) == (str(pathlib.Path("runs") / "x"), {"epochs": [1, 2]})


def test_what_can_not_stand_in_a_card_is_named(clusters):
    with pytest.raises(InputError, match="card: metrics: nats: set is not for JSON"):
        make_card(clusters, {"metrics": {"nats": {1.0, 2.0}}})
    with pytest.raises(InputError, match="card: signatures is filled in by the exporter"):
        make_card(clusters, {"signatures": {}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no card.json in it"),
        ('{"format": 1, "mod', "damaged"),
        (b"\xff\xfe\x00", "damaged"),
        ("[]", "not an artifact's card"),
        ("{}", "not an artifact's card"),
        ('{"format": 99}', "format 99, but this tfgen reads 2; export anew"),
        ('{"format": 1, "model": "vae"}', "format 1, but this tfgen reads 2; export anew"),
        ('{"format": 2}', "card.json.sha256 is missing"),
        ("[" * 100_000, "damaged"),
    ],
)
def test_a_card_that_can_not_be_read_gets_a_clear_line(tmp_path, content, message):
    if content is not None:
        (tmp_path / "card.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        read_card(tmp_path)


def test_a_missing_artifact_gets_a_clear_line(tmp_path):
    with pytest.raises(InputError, match="no such artifact"):
        read_card(tmp_path / "nowhere")
