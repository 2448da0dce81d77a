import json

import numpy as np
import pytest
from PIL import Image

from tfgen import demo
from tfgen.data import open_source
from tfgen.evaluation import label_coverage


@pytest.fixture(scope="module")
def source():
    return open_source("digits")


def test_the_classifier_tells_real_digits_and_has_not_seen_the_test_split(source):
    classifier = demo.Classifier(source)
    assert classifier.accuracy > 0.97
    test = source.arrays("test")
    assert classifier.accuracy == np.mean(classifier(test["image"]) == test["label"])
    assert label_coverage(classifier(test["image"]), 10).covered == 10


def result(**changes):
    coverage = label_coverage(np.arange(100) % 8, 10)
    return demo.Result(**{"id": "m", "parameters": 12345, "seconds": 7.0, "epoch_seconds": 0.5, "figures": {},
                          "coverage": coverage, "verified": True, **changes})  # fmt: skip


def test_results_read_as_a_person_would_say_them():
    exact = {"nats": 128 * np.log(2.0), "nats_se": 0.5, "bits_per_dim": 2.0}
    assert result(figures=exact).line == "88.72 ± 0.50 nats, 2.000 bits/dim"
    # The bits of a bound that was importance-weighted are those of the better bound.
    bound = exact | {"elbo": -92.0, "elbo_se": 0.25, "bits_per_dim": 2.07}
    assert result(figures=bound).line == "ELBO -92.00 ± 0.25; 88.72 ± 0.50 nats, 2.000 bits/dim"
    assert result().line == "digits covered: 8 of 10, the rarest is 8: 0.0%"
    assert result().cells["rarest"] == "8: 0.0%"


def test_the_table_says_when_an_artifact_differs():
    from rich.console import Console

    console = Console(width=200, record=True)
    console.print(demo._table([result(), result(id="other", verified=False)]))
    text = console.export_text()
    assert "12,345" in text
    assert [line.split()[-2] for line in text.splitlines() if "12,345" in line] == ["verified", "DIFFERS"]


@pytest.mark.slow
def test_the_demo_draws_measures_exports_and_verifies_all_three(tmp_path, capsys):
    assert demo.run_demo(tmp_path, quick=True, verbose=2)
    out = capsys.readouterr().out
    for id in demo.MODELS:
        assert Image.open(tmp_path / f"{id}.png").size == Image.open(tmp_path / "digits.png").size
        assert (tmp_path / id / "export" / "saved_model.pb").exists()
        assert (tmp_path / id / "samples" / "epoch_0001.png").exists()
    assert Image.open(tmp_path / "demo.png").width > 4 * Image.open(tmp_path / "digits.png").width
    results = {result["model"]: result for result in json.loads((tmp_path / "demo.json").read_text())}
    assert list(results) == ["vae", "pixel_cnn", "dcgan"]
    assert all(result["verified"] for result in results.values())
    assert results["pixel_cnn"]["figures"]["nats"] < 64 * np.log(17)  # better than noise after one epoch
    assert results["vae"]["figures"]["nats"] < -results["vae"]["figures"]["elbo"]
    assert "demo.png" in out
    assert "verified" in out
