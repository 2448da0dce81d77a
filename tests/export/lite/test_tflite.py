"""A TF-Lite file answers as its model does, where neither this package nor TensorFlow is."""

import dataclasses
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import tfgen
from tfgen.errors import InputError
from tfgen.export import present, side_by_side, tflite, verify
from tfgen.export.comparison import SAMPLES, Case, Row
from tfgen.export.lite import conversion, exporting
from tfgen.export.lite.contest import _times
from tfgen.export.lite.exporting import lite_endpoints
from tfgen.export.lite.files import operations, read_file
from tfgen.export.lite.running import Interpreter
from tfgen.registry import get_entry

FOREIGN_PROCESS = """
import sys
sys.modules["tfgen"] = sys.modules["tensorflow"] = None
import numpy as np
from ai_edge_litert.interpreter import Interpreter

_, inputs, outputs, *paths = sys.argv
with np.load(inputs) as arrays:
    given = dict(arrays)
answers = {}
for path, signature in zip(paths[::2], paths[1::2]):
    run = Interpreter(path).get_signature_runner(signature)
    own = {key.split("/")[1]: value for key, value in given.items() if key.startswith(signature + "/")}
    answers[signature] = run(**own)["image"]
np.savez(outputs, **answers)
"""


@pytest.fixture(scope="module")
def files(models, tmp_path_factory):
    root = tmp_path_factory.mktemp("lite")
    return {id: tflite(model, root / f"{id}.tflite", card={"data": "digits"}) for id, model in models.items()}


def test_every_endpoint_without_random_numbers_is_there_and_samplers_take_noise(files, models):
    assert set(read_file(files["dcgan"])[1]["signatures"]) == {
        "arithmetic", "discriminate", "features", "generate", "interpolate",
    }  # fmt: skip
    assert set(read_file(files["pixel_cnn"])[1]["signatures"]) == {
        "complete_from_noise", "log_prob", "sample_from_noise",
    }  # fmt: skip
    card = read_file(files["vae"])[1]
    assert set(card["signatures"]) == {"decode", "encode", "interpolate", "manifold", "reconstruct", "sample"}
    assert set(card["noise"]["sample"].values()) == {"normal", "uniform"}
    assert card["signatures"]["sample"]["inputs"].keys() == card["noise"]["sample"].keys()


@pytest.mark.parametrize("id", ["vae", "pixel_cnn", "dcgan"])
def test_a_file_verifies_itself_and_needs_built_in_operations_only(files, id):
    report = verify(files[id])
    assert report.ok, report
    assert {row.signature for row in report.rows} == set(read_file(files[id])[1]["signatures"])
    assert all(name.isupper() for name in operations(read_file(files[id])[0]))
    assert tfgen.export.check_files(files[id])["data"] == "digits"


def test_without_tensorflow_the_same_noise_gives_the_same_pictures(files, models, tmp_path):
    rng = np.random.default_rng(3)
    noise = rng.random((5, *models["pixel_cnn"].noise_shape)).astype(np.float32)
    z = {id: rng.normal(size=(5, models[id].latent_size)).astype(np.float32) for id in ("vae", "dcgan")}
    np.savez(
        tmp_path / "in.npz",
        **{"decode/z": z["vae"], "generate/z": z["dcgan"], "sample_from_noise/noise": noise},
    )
    asked = [files["vae"], "decode", files["dcgan"], "generate", files["pixel_cnn"], "sample_from_noise"]
    command = [sys.executable, "-I", "-c", FOREIGN_PROCESS, tmp_path / "in.npz", tmp_path / "out.npz", *asked]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as answers:
        np.testing.assert_array_equal(answers["decode"], models["vae"].decode(z["vae"]))
        np.testing.assert_array_equal(answers["generate"], models["dcgan"].generate(z["dcgan"]))
        np.testing.assert_array_equal(answers["sample_from_noise"], models["pixel_cnn"].sample_from_noise(noise))


def test_averaged_weights_are_written(tmp_path):
    model = tfgen.create("dcgan", image_shape=(8, 8, 1), latent_size=4, width=4)
    model.compile(ema=0.5)
    model.fit(np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), np.uint8), batch_size=4, verbose=0)
    path = tflite(model, tmp_path / "model.tflite", endpoints=["generate"])
    z = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    answer = tfgen.export.lite.running.Interpreter(path.read_bytes()).run("generate", {"z": z})["image"]
    np.testing.assert_array_equal(answer, model.generate(z))
    with model.averaged_weights(False):
        assert (answer != model.generate(z).numpy()).any()


def test_a_fixed_batch_leaves_no_shape_open(models, tmp_path):
    path = tflite(models["vae"], tmp_path / "model.tflite", batch=2)
    assert verify(path).ok
    for name, told in read_file(path)[1]["signatures"].items():
        for side in ("inputs", "outputs"):
            assert not [key for key, one in told[side].items() if None in one["shape"]], name


@pytest.mark.slow
def test_fewer_bits_make_smaller_files_and_the_report_tells_what_is_lost(models, tmp_path):
    model = tfgen.create("vae", image_shape=(8, 8, 1), levels=17, latent_size=4, hidden=(256, 256), seed=1)
    data = {"image": np.random.default_rng(0).integers(0, 17, (40, 8, 8, 1), np.uint8)}
    paths = {
        kind: tflite(model, tmp_path / f"{kind}.tflite", precision=kind, data=data, endpoints=["encode", "decode"])
        for kind in ("float32", "float16", "dynamic", "int8")
    }
    sizes = {kind: len(read_file(path)[0]) for kind, path in paths.items()}
    assert sizes["float32"] > 500_000
    assert sizes["float32"] / sizes["float16"] > 1.9
    assert sizes["float32"] / sizes["dynamic"] > 3.5
    assert sizes["float32"] / sizes["int8"] > 3.5
    reports = {kind: verify(path) for kind, path in paths.items()}
    assert all(report.ok for report in reports.values())
    assert "equal to Python" in str(reports["float32"])
    lost = {kind: max(row.loss for row in report.rows if row.signature == "encode") for kind, report in reports.items()}
    assert lost["float32"] < lost["float16"] < lost["int8"] < 0.1
    assert f"{lost['int8']:.1%}" in str(reports["int8"])
    assert "dB" in str(reports["int8"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("id", "arguments"),
    [
        ("vae", {"latent_size": 12, "hidden": (256, 256)}),
        ("householder_vae", {"latent_size": 12, "hidden": (256, 256)}),
        ("dcgan", {"latent_size": 16, "width": 48}),
        # With the recipes for digits: of many small layers, or of biases as wide as a picture.
        ("began", None),
        ("ladder_vae", None),
        ("pixel_rnn_multiscale", None),
        ("pixel_cnn_pp", None),
        ("multiscale_pixel_cnn", None),
        ("vq_vae", None),
    ],
)
def test_with_all_of_its_endpoints_an_int8_file_is_three_and_a_half_times_smaller(tmp_path, id, arguments):
    side = 16 if id == "dcgan" else 8
    arguments = get_entry(id).recipe("digits")["model"] if arguments is None else arguments
    model = tfgen.create(id, image_shape=(side, side, 1), levels=17, seed=1, **arguments)
    data = {"image": np.random.default_rng(0).integers(0, 17, (40, side, side, 1), np.uint8)}
    whole, small = (
        read_file(tflite(model, tmp_path / f"{kind}.tflite", precision=kind, data=data)) for kind in ("float32", "int8")
    )
    assert set(small[1]["precisions"].values()) == {"int8"}
    assert small[1]["precisions"].keys() == lite_endpoints(model).keys()
    assert len(whole[0]) > 500_000
    assert len(whole[0]) / len(small[0]) > 3.5


@pytest.mark.slow
def test_an_int8_likelihood_is_off_by_a_part_of_a_nat(tmp_path):
    source = tfgen.data.open_source("digits", levels=2)
    model = tfgen.create("made", example=source.example, hidden=(64,), seed=0)
    model.compile()
    model.fit(source.dataset("train", 64), epochs=10, verbose=0)
    path = tflite(model, tmp_path / "m.tflite", precision="int8", data=source.arrays("train"), endpoints=["log_prob"])
    images = source.arrays("test")["image"][:50]
    told = Interpreter(read_file(path)[0]).run("log_prob", {"image": images})["log_prob"]
    expected = model.log_prob(images).numpy()
    assert np.ptp(expected) > 5.0
    assert np.abs(told - expected).mean() < 0.5


@pytest.mark.slow
def test_what_loses_too_much_stays_float32(models, tmp_path):
    data = {"image": np.random.default_rng(0).integers(0, 17, (16, 8, 8, 1), np.uint8)}
    options = {"precision": "int8", "data": data, "endpoints": ["encode", "decode"]}
    path = tflite(models["vae"], tmp_path / "model.tflite", max_loss=0.0, **options)
    told = read_file(path)[1]["precisions"]
    assert told["encode"].startswith("float32: int8 loses 0.")
    assert all(row.ok for row in verify(path).rows)


def test_what_does_not_run_with_fewer_bits_stays_float32(models, tmp_path, monkeypatch):
    """As `generate` of an `adagan` of which a component has nothing to draw: a transposed convolution of an empty batch."""

    def check(name, data, cases, precisions, *peak):
        report = exporting_check(name, data, cases, precisions, *peak)
        if precisions != {"decode": "dynamic"}:
            return report
        return dataclasses.replace(report, rows=(Row("decode", problem="does not run: batch_size != 0"), *report.rows))

    exporting_check = exporting.check
    monkeypatch.setattr(exporting, "check", check)
    path = tflite(models["vae"], tmp_path / "model.tflite", precision="dynamic", endpoints=["decode", "encode"])
    assert read_file(path)[1]["precisions"] == {
        "decode": "float32: dynamic does not run: batch_size != 0", "encode": "dynamic",
    }  # fmt: skip
    assert verify(path).ok


def test_where_calibration_crashes_weights_have_8_bits_and_the_card_says_why(models, tmp_path, monkeypatch):
    crash = tmp_path / "python"
    crash.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr(conversion.sys, "executable", str(crash))
    data = {"image": np.zeros((8, 8, 8, 1), np.uint8)}
    path = tflite(models["vae"], tmp_path / "model.tflite", precision="int8", data=data, endpoints=["decode", "encode"])
    assert set(read_file(path)[1]["precisions"].values()) == {"dynamic: the calibration crashed with exit code -11"}
    assert verify(path).ok


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "model.lite"}, r"ends in \.tflite"),
        ({"precision": "int4"}, "unknown precision 'int4'"),
        ({"precision": "int8"}, "int8: pass data"),
        ({"precision": "int8", "data": {"pictures": np.zeros((2, 8, 8, 1), np.uint8)}}, "int8: pass data"),
        ({"batch": 0}, "batch: 0"),
        ({"max_loss": 2.0}, "max_loss: 2.0"),
        ({"endpoints": ["decod"]}, "unknown endpoint 'decod'; did you mean"),
        ({"endpoints": ["log_prob"]}, "unknown endpoint 'log_prob'"),
    ],
    ids=str,
)
def test_wrong_arguments_are_told_before_any_work(models, tmp_path, options, message):
    path = tmp_path / options.pop("path", "model.tflite")
    with pytest.raises(InputError, match=message):
        tflite(models["vae"], path, **options)
    assert os.listdir(tmp_path) == []


def test_a_failed_export_leaves_the_old_file(models, files, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(files["vae"].read_bytes())
    with pytest.raises(InputError, match="there already"):
        tflite(models["vae"], path)
    tflite(models["vae"], path, endpoints=["decode"], overwrite=True)
    assert list(read_file(path)[1]["signatures"]) == ["decode"]
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_files_are_set_side_by_side_by_signature(files, models, tmp_path):
    half = tflite(models["vae"], tmp_path / "half.tflite", precision="float16", endpoints=["decode"])
    paths = [files["vae"], half]
    first, *rows = side_by_side(paths, [verify(path) for path in paths], repeats=3).splitlines()
    assert first.split()[:4] == ["signature", "file", "kB", "precision"]
    told = {tuple(row.split()[:2]): row.split()[2:] for row in rows}
    assert told.keys() == {(name, "vae.tflite") for name in read_file(files["vae"])[1]["signatures"]} | {
        ("decode", "half.tflite")
    }
    assert told["decode", "half.tflite"][:2] == [f"{len(read_file(half)[0]) / 1e3:.1f}", "float16"]
    assert all(float(time) > 0 for row in told.values() for time in row[-2:])


@pytest.mark.parametrize(
    ("id", "drawn"),
    [
        ("vae", "sample answers with samples if noise_0 is normal and noise_1 is uniform"),
        ("pixel_cnn", "sample_from_noise answers with samples if noise is uniform"),
        ("dcgan", "generate answers with samples if z is uniform in [-1, 1]"),
    ],
)
def test_the_program_that_is_shown_for_a_file_draws_what_the_model_draws(files, models, id, drawn):
    shown = present(files[id])
    assert f"\n  {drawn}\n" in shown
    *program, call, _ = [line.strip() for line in shown.partition("\nPython\n")[2].splitlines()]
    names = {}
    exec("\n".join(program), names)
    answer = eval(call, names)
    rng, model = np.random.default_rng(0), models[id]
    if id == "vae":
        assert answer.shape == (4, 8, 8, 1) and answer.dtype == np.uint8
    elif id == "dcgan":
        np.testing.assert_array_equal(answer, model.generate(2 * rng.random((4, 4), np.float32) - 1))
    else:
        noise = rng.random((4, *model.noise_shape), np.float32)
        np.testing.assert_array_equal(answer, model.sample_from_noise(noise))


def test_a_file_without_a_sampler_shows_what_it_has(models, tmp_path):
    path = tflite(models["vae"], tmp_path / "model.tflite", endpoints=["decode"], batch=2)
    shown = present(path)
    assert "2 examples per call" in shown.splitlines()[0]
    assert shown.splitlines()[-1] == '  run(z=np.zeros((2, 2), np.float32))["image"]'


def test_every_number_of_examples_gets_an_interpreter_of_its_own(files):
    data, _, cases = read_file(files["pixel_cnn"])
    one, three = (case for case in cases if case.signature == "sample_from_noise")
    for _ in range(20):  # of XNNPack's answers after growing, every fourth was wrong
        interpreter = Interpreter(data)
        for case in (one, three, one):
            answer = interpreter.run("sample_from_noise", case.inputs)
            np.testing.assert_array_equal(answer["image"], case.outputs["image"])


@pytest.mark.parametrize(
    ("id", "sampler", "other", "precision", "batch", "count"),
    [
        ("dcgan", "generate", "features", "float16", None, SAMPLES),
        ("vae", "sample", "encode", "dynamic", None, SAMPLES),
        ("vae", "sample", "encode", "dynamic", 50, 150),  # three calls are the least
    ],
)
def test_of_samples_is_told_how_far_their_distribution_has_moved(
    models, tmp_path, id, sampler, other, precision, batch, count
):
    path = tflite(models[id], tmp_path / "model.tflite", precision=precision, endpoints=[sampler, other], batch=batch)
    report = verify(path)
    samples, others = (next(row for row in report.rows if row.signature == name) for name in (sampler, other))
    [case] = [case for case in read_file(path)[2] if len(case.outputs.get("image", ())) == count]
    codes = next(iter(case.inputs.values()))
    # As the model's prior has them: uniform in [-1, 1], or normal.
    assert (np.abs(codes).max() <= 1.0) == (id == "dcgan") and codes.min() < -0.9
    assert 0.0 <= samples.frechet < 0.1 * samples.chance
    assert others.frechet is None
    assert f"(chance {samples.chance:.2g})" in str(report)
    assert f"(chance {samples.chance:.2g})" in side_by_side([path], [report], repeats=1)


def test_a_fixed_batch_is_called_as_often_as_there_are_batches_and_takes_no_part_of_one(models, tmp_path):
    path = tflite(models["vae"], tmp_path / "model.tflite", endpoints=["decode"], batch=2)
    interpreter, z = Interpreter(read_file(path)[0]), np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    np.testing.assert_array_equal(interpreter.run("decode", {"z": z})["image"], models["vae"].decode(z))
    with pytest.raises(InputError, match=r"z of shape \(3, 2\), expected \(2, 2\), or several such batches"):
        interpreter.run("decode", {"z": z[:3]})


def test_files_are_timed_on_what_all_of_them_are_asked():
    asked = []
    runner = lambda at: {1: SimpleNamespace(run=lambda _, inputs: asked.append((at, len(inputs["z"]))))}
    case = lambda size: Case("generate", {"z": np.zeros((size, 2))}, {})
    _times("generate", {0: runner(0), 1: runner(1)}, {0: [case(1), case(3)], 1: [case(1), case(3), case(128)]}, 1)
    assert set(asked) == {(0, 3), (1, 3)}
    asked.clear()
    _times("generate", {0: runner(0), 1: runner(1)}, {0: [case(2)], 1: [case(1), case(3)]}, 1)
    assert set(asked) == {(0, 2), (1, 3)}
