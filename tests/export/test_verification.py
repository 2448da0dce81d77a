"""Verification finds what is wrong with an artifact."""

import shutil

import pytest
import tensorflow as tf

import tfgen
from tfgen.errors import InputError
from tfgen.export import verification, verify
from tfgen.export.signatures import captured_variables, signatures


@pytest.mark.parametrize("id", ["vae", "pixel_cnn", "dcgan"])
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


def save_with(path, model, functions, card_of):
    """Writes a SavedModel by hand, with the card of another."""
    weights = tf.Module()
    weights.all = captured_variables(functions.values())
    tf.saved_model.save(weights, str(path), signatures=functions)
    shutil.copy(card_of / "card.json", path)
    return path


def test_missing_and_foreign_signatures_are_named(clusters, tmp_path):
    whole = tfgen.export.saved_model(clusters, tmp_path / "whole")
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
    whole = tfgen.export.saved_model(clusters, tmp_path / "whole")
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


@pytest.mark.parametrize(
    ("file", "harm", "message"),
    [
        ("saved_model.pb", truncate, "damaged, can not be loaded"),
        ("saved_model.pb", lambda path: path.unlink(), "no saved_model.pb in it"),
        (WEIGHTS, truncate, "damaged, can not be loaded"),
        (WEIGHTS, flip, "damaged, can not be loaded"),
        (WEIGHTS, lambda path: path.unlink(), "damaged, can not be loaded"),
        ("card.json", truncate, "damaged"),
        ("card.json", lambda path: path.unlink(), "no card.json in it"),
    ],
)
def test_a_damaged_artifact_gets_a_clear_line(artifacts, models, tmp_path, file, harm, message):
    path = tmp_path / "copy"
    shutil.copytree(artifacts["dcgan"], path)
    harm(path / file)
    with pytest.raises(InputError, match=message) as caught:
        verify(path, models["dcgan"])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_artifact_gets_a_clear_line(models, tmp_path):
    with pytest.raises(InputError, match="no such artifact"):
        verify(tmp_path / "nowhere", models["dcgan"])
