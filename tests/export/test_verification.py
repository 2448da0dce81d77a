"""Verification finds what is wrong with an artifact."""

import shutil

import keras
import pytest
import tensorflow as tf

import tfgen
from tfgen.errors import InputError
from tfgen.export import read_card, saved_model, verification, verify
from tfgen.export.files import seal
from tfgen.export.reference import pack_cases
from tfgen.export.signatures import captured_variables, signatures


@pytest.mark.parametrize("id", ["vae", pytest.param("pixel_cnn", marks=pytest.mark.slow), "dcgan"])
def test_every_endpoint_of_a_fresh_artifact_is_verified(artifacts, models, id):
    report = verify(artifacts[id], models[id])
    assert report.ok, str(report)
    assert {row.signature for row in report.rows} == {*models[id].endpoints(), "serving_default"}
    for row in report.rows:
        assert (row.equal == 1.0) if row.dtype == "uint8" else (row.equal is None)
        assert row.max_error <= 1e-3


def test_reference_inputs_exercise_two_batch_sizes_and_differ_between_parameters(models):
    found = [case for case in verification.cases(models["dcgan"]) if case.signature == "interpolate"]
    assert [case.inputs["start"].shape for case in found] == [(1, 4), (3, 4)]
    for case in found:
        assert (case.inputs["start"] != case.inputs["stop"]).all()


def test_a_wrong_weight_is_found_where_it_matters(artifacts, models):
    bias = models["vae"].encoder.weights[-1]  # of the means, then of the log-scales
    right = bias.numpy()
    try:
        bias.assign_add([0.01, 0.0, 0.0, 0.0])
        report = verify(artifacts["vae"], models["vae"])
    finally:
        bias.assign(right)
    problems = {(row.signature, row.output): row.problem for row in report.rows if not row.ok}
    assert not report.ok
    assert "of the numbers differ" in problems["encode", "mean"]
    assert not {("encode", "scale"), ("decode", "image"), ("sample", "image")} & problems.keys()
    assert "FAILED" in str(report)


def test_every_endpoint_of_a_fresh_artifact_is_verified_without_its_model(artifacts, models, monkeypatch):
    monkeypatch.setattr(keras.Model, "__init__", None)  # no model can be made, nor asked
    monkeypatch.setattr(type(models["dcgan"]), "compiled_endpoint", None)
    report = verify(artifacts["dcgan"])
    assert report.ok, str(report)
    assert {row.signature for row in report.rows} == {*models["dcgan"].endpoints(), "serving_default"}


def test_the_card_tells_what_came_out_when_the_artifact_was_written(artifacts, models):
    told = read_card(artifacts["dcgan"])["verification"]
    report = verify(artifacts["dcgan"], models["dcgan"]).to_dict()
    key = lambda row: (row["signature"], row["output"])
    assert told["ok"] is True
    assert told["limits"] == report["limits"]
    assert sorted(told["rows"], key=key) == sorted(report["rows"], key=key)
    assert told["when"].endswith("+00:00")


def test_an_artifact_that_answers_otherwise_says_so_itself(clusters, tmp_path, monkeypatch):
    from tfgen.export import saving

    def wrong(model):
        for case in verification.cases(model):
            yield type(case)(case.signature, case.inputs, {name: it + 1 for name, it in case.outputs.items()})

    monkeypatch.setattr(saving, "cases", wrong)
    path = saved_model(clusters, tmp_path / "clusters")
    assert read_card(path)["verification"]["ok"] is False
    report = verify(path)
    assert {row.output: row.problem for row in report.rows if row.signature == "sample"} == {
        "point": "100.0% of the numbers differ by more than 0.0001"
    }
    assert verify(path, clusters).ok


def save_with(path, model, functions, card_of, reference=None):
    """Writes a SavedModel by hand, with the card and the reference cases of another."""
    weights = tf.Module()
    weights.all = captured_variables(functions.values())
    tf.saved_model.save(weights, str(path), signatures=functions)
    shutil.copy(card_of / "reference.npz", path)
    if reference is not None:
        (path / "reference.npz").write_bytes(pack_cases(reference))
    seal(path, read_card(card_of))
    return path


def test_without_a_model_missing_and_foreign_signatures_are_named_too(clusters, tmp_path):
    whole = saved_model(clusters, tmp_path / "whole")
    functions = signatures(clusters)
    functions["dream"] = functions.pop("locate")
    other = save_with(tmp_path / "other", clusters, functions, whole)
    assert {row.signature: row.problem for row in verify(other).rows if not row.ok} == {
        "locate": "missing in the artifact",
        "dream": "not in the card",
        "card.json": "tells of other signatures than the artifact has",
    }
    samples = verification.cases(clusters, ["sample"])
    unasked = save_with(tmp_path / "unasked", clusters, signatures(clusters), whole, samples)
    assert {row.signature: row.problem for row in verify(unasked).rows if not row.ok} == {
        "locate": "no case in reference.npz",
        "serving_default": "no case in reference.npz",
    }


def test_missing_and_foreign_signatures_are_named(clusters, tmp_path):
    whole = saved_model(clusters, tmp_path / "whole")
    functions = signatures(clusters)
    functions["dream"] = functions.pop("locate")
    report = verify(save_with(tmp_path / "other", clusters, functions, whole), clusters)
    problems = {row.signature: row.problem for row in report.rows if not row.ok}
    assert problems == {
        "locate": "missing in the artifact",
        "dream": "no endpoint of the model",
        "card.json": "tells of other signatures than the artifact has",
    }


def test_another_answer_of_the_right_name_is_found(clusters, tmp_path):
    whole = saved_model(clusters, tmp_path / "whole")
    right = signatures(clusters)["locate"]
    specs = right.structured_input_signature[1]

    @tf.function
    def wrong(point, label):
        answer = right(point=point, label=label)
        return {"nearest": answer["nearest"][:1], "distance": tf.cast(answer["distance"], tf.float64)}

    functions = signatures(clusters) | {"locate": wrong.get_concrete_function(**specs)}
    report = verify(save_with(tmp_path / "wrong", clusters, functions, whole), clusters)
    problems = {row.output: row.problem for row in report.rows if row.signature == "locate"}
    assert problems == {
        "nearest": "gives int32 (1,), expected int32 (3,)",
        "distance": "gives float64 (1,), expected float32 (1,)",
    }


def test_a_signature_that_takes_other_pictures_is_not_called(artifacts):
    report = verify(artifacts["dcgan"], tfgen.create("dcgan", image_shape=(16, 16, 1), latent_size=4, width=4))
    (row,) = [row for row in report.rows if row.signature == "discriminate"]
    assert row.problem == "takes image uint8 [None, 8, 8, 1]; expected image uint8 [None, 16, 16, 1]"
    (row,) = [row for row in report.rows if row.signature == "sample"]
    assert row.problem == "gives uint8 (1, 8, 8, 1), expected uint8 (1, 16, 16, 1)"


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


WEIGHTS = "variables/variables.data-00000-of-00001"


def test_what_is_not_as_the_card_says_is_not_loaded(artifacts, models, tmp_path, monkeypatch):
    path = tmp_path / "copy"
    shutil.copytree(artifacts["dcgan"], path)
    flip(path / WEIGHTS)
    monkeypatch.setattr(tf.saved_model, "load", None)
    for model in (None, models["dcgan"]):
        with pytest.raises(InputError, match="variables.data-00000-of-00001: damaged, its SHA-256 is not that in the"):
            verify(path, model)


@pytest.mark.parametrize(
    ("file", "harm", "message"),
    [
        ("saved_model.pb", truncate, "damaged, can not be loaded"),
        ("saved_model.pb", lambda path: path.unlink(), "no saved_model.pb in it"),
        (WEIGHTS, truncate, "damaged, can not be loaded"),
        (WEIGHTS, flip, "damaged, can not be loaded"),
        (WEIGHTS, lambda path: path.unlink(), "damaged, can not be loaded"),
        ("reference.npz", truncate, "reference.npz: damaged, or no reference cases"),
        ("reference.npz", lambda path: path.unlink(), "reference.npz: cannot be read"),
    ],
)
def test_an_artifact_that_was_damaged_before_its_card_was_written_gets_a_clear_line(
    artifacts, tmp_path, file, harm, message
):
    path = tmp_path / "copy"
    shutil.copytree(artifacts["dcgan"], path)
    harm(path / file)
    seal(path, read_card(path))
    with pytest.raises(InputError, match=message) as caught:
        verify(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_artifact_gets_a_clear_line(models, tmp_path):
    with pytest.raises(InputError, match="no such artifact"):
        verify(tmp_path / "nowhere", models["dcgan"])
