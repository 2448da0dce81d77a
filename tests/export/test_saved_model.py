"""A SavedModel answers as its model does, where this package is not."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.endpoints import endpoint
from tfgen.errors import InputError
from tfgen.export import saved_model, saving
from tfgen.export.verification import load

FOREIGN_PROCESS = """
import sys
sys.modules["tfgen"] = None
import numpy as np
import tensorflow as tf

vae, pixel_cnn, dcgan = (tf.saved_model.load(path).signatures for path in sys.argv[2:])
answers = {}
for name, served in {"vae": vae, "pixel_cnn": pixel_cnn, "dcgan": dcgan}.items():
    for main in ("sample", "serving_default"):
        for count, seed in ((1, 7), (5, 7), (5, 8)):
            image = served[main](count=tf.constant(count), seed=tf.constant([seed, 0]))["image"]
            answers[f"{name}/{main}/{count}/{seed}"] = image.numpy()
levels = tf.constant(np.arange(2 * 64).reshape(2, 8, 8, 1) % 17, tf.uint8)
answers["mean"] = vae["encode"](image=levels)["mean"].numpy()
answers["log_prob"] = pixel_cnn["log_prob"](image=levels[:, :4, :4] % 5)["log_prob"].numpy()
foreign = [name for name in sys.modules if name.split(".")[0] in ("tfgen", "tensorflow_probability", "tf_keras")]
assert foreign == ["tfgen"], foreign
np.savez(sys.argv[1], **answers)
"""


@pytest.fixture(scope="module")
def foreign(artifacts, tmp_path_factory):
    """Answers of the artifacts in a process that can import TensorFlow, but not this package."""
    folder = tmp_path_factory.mktemp("foreign")
    paths = [str(artifacts[id]) for id in ("vae", "pixel_cnn", "dcgan")]
    command = [sys.executable, "-I", "-c", FOREIGN_PROCESS, str(folder / "answers.npz"), *paths]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "answers.npz")


@pytest.mark.parametrize("id", ["vae", "pixel_cnn", "dcgan"])
def test_without_this_package_the_same_seed_gives_the_same_pictures(foreign, models, id):
    for count, seed in ((1, 7), (5, 7), (5, 8)):
        expected = models[id].sample(count, seed=(seed, 0)).numpy()
        assert expected.dtype == np.uint8
        for signature in ("sample", "serving_default"):
            np.testing.assert_array_equal(foreign[f"{id}/{signature}/{count}/{seed}"], expected)
    assert (foreign[f"{id}/sample/5/7"] != foreign[f"{id}/sample/5/8"]).any()


def test_without_this_package_codes_and_likelihoods_are_the_same(foreign, models):
    levels = (np.arange(2 * 64).reshape(2, 8, 8, 1) % 17).astype(np.uint8)
    np.testing.assert_allclose(foreign["mean"], models["vae"].encode(levels)["mean"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        foreign["log_prob"], models["pixel_cnn"].log_prob(levels[:, :4, :4] % 5), rtol=1e-5, atol=1e-5
    )


def saved_model_cli(*arguments):
    script = pathlib.Path(sys.executable).with_name("saved_model_cli")
    done = subprocess.run([script, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_saved_model_cli_shows_every_endpoint_with_names(artifacts, models):
    shown = saved_model_cli("show", "--dir", artifacts["dcgan"], "--tag_set", "serve", "--all")
    for name in [*models["dcgan"].endpoints(), "serving_default"]:
        assert f"signature_def['{name}']" in shown
    signature = shown.split("signature_def['sample']")[1].split("signature_def[")[0]
    inputs, outputs = signature.split("The given SavedModel SignatureDef contains the following output")
    assert "inputs['count']" in inputs
    assert "inputs['seed']" in inputs
    assert "outputs['image']" in outputs
    assert "dtype: DT_UINT8" in outputs
    assert "shape: (-1, 8, 8, 1)" in outputs


@pytest.mark.slow
def test_saved_model_cli_draws_the_same_picture(artifacts, models, tmp_path):
    np.save(tmp_path / "count.npy", np.int32(2))
    np.save(tmp_path / "seed.npy", np.array([7, 0], np.int32))
    saved_model_cli(
        *("run", "--dir", artifacts["pixel_cnn"], "--tag_set", "serve", "--signature_def", "serving_default"),
        *("--inputs", f"count={tmp_path}/count.npy;seed={tmp_path}/seed.npy", "--outdir", tmp_path),
    )
    np.testing.assert_array_equal(np.load(tmp_path / "image.npy"), models["pixel_cnn"].sample(2, seed=(7, 0)))


def stored_weights(path):
    """Returns the arrays in an artifact's checkpoint, sorted for comparison."""
    reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    arrays = [reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    return sorted(arrays, key=lambda array: (array.shape, array.tobytes()))


def assert_same_weights(stored, expected):
    expected = sorted(map(np.asarray, expected), key=lambda array: (array.shape, array.tobytes()))
    assert len(stored) == len(expected)
    for one, other in zip(stored, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_averaged_weights_are_written_and_the_raw_ones_stay(clusters, tmp_path):
    model = type(clusters)()
    model.compile(ema=0.5)
    points = np.random.default_rng(0).normal(size=(32, 2)).astype(np.float32)
    model.fit(points, np.arange(32) % 3, batch_size=8, verbose=0)
    raw, average = model.centers.embeddings.numpy(), model.averages["model"].weights[0].numpy()
    assert np.abs(raw - average).max() > 0.01
    path = saved_model(model, tmp_path / "clusters")
    assert_same_weights(stored_weights(path), [average])
    np.testing.assert_array_equal(model.centers.embeddings, raw)
    assert tfgen.export.read_card(path)["weights"]["averaged"] == ["model"]
    assert tfgen.export.verify(path, model).ok


@pytest.fixture(scope="module")
def conditional(clusters, tmp_path_factory):
    points = np.random.default_rng(0).normal(size=(32, 2)).astype(np.float32)
    clusters.fit(points, np.arange(32) % 3, verbose=0)
    return saved_model(clusters, tmp_path_factory.mktemp("conditional") / "clusters")


def test_neither_optimizers_nor_unused_weights_are_written(clusters, conditional):
    assert clusters.optimizers["model"].iterations.numpy() > 0
    assert_same_weights(stored_weights(conditional), [clusters.centers.embeddings.numpy()])


def test_a_conditional_model_takes_labels(clusters, conditional):
    sample = load(conditional).signatures["sample"]
    label = np.array([2, 0, 0, 1], np.int32)
    drawn = sample(count=tf.constant(4), seed=tf.constant([5, 0]), label=tf.constant(label))["point"]
    np.testing.assert_array_equal(drawn, clusters.sample(4, seed=(5, 0), label=label))
    assert tfgen.export.verify(conditional, clusters).ok


def test_an_artifact_is_its_seven_files(artifacts):
    files = {str(path.relative_to(artifacts["vae"])) for path in artifacts["vae"].rglob("*") if path.is_file()}
    assert files == {
        "card.json", "card.json.sha256", "reference.npz", "fingerprint.pb", "saved_model.pb",
        "variables/variables.index", "variables/variables.data-00000-of-00001",
    }  # fmt: skip


def test_an_export_that_breaks_off_leaves_the_old_artifact_and_no_half_one(clusters, conditional, monkeypatch):
    before = {path: path.read_bytes() for path in conditional.rglob("*") if path.is_file()}
    centers = clusters.centers.embeddings.numpy()
    seen = []

    def break_off(folder, card):
        seen.append((folder / "saved_model.pb").is_file())
        raise KeyboardInterrupt

    monkeypatch.setattr(saving, "seal", break_off)
    try:
        clusters.centers.embeddings.assign(centers + 1.0)
        with pytest.raises(KeyboardInterrupt):
            saved_model(clusters, conditional, overwrite=True)
        with pytest.raises(KeyboardInterrupt):
            saved_model(clusters, conditional.with_name("other"))
    finally:
        clusters.centers.embeddings.assign(centers)
    assert seen == [True, True]
    assert {path: path.read_bytes() for path in conditional.rglob("*") if path.is_file()} == before
    assert [path.name for path in conditional.parent.iterdir()] == ["clusters"]


def test_an_artifact_is_overwritten_only_when_asked(clusters, tmp_path):
    path = saved_model(clusters, tmp_path / "clusters")
    with pytest.raises(InputError, match="exists already"):
        saved_model(clusters, path)
    assert saved_model(clusters, path, overwrite=True, card={"data": "second"}) == path
    assert tfgen.export.read_card(path)["data"] == "second"


def test_names_that_serving_needs_are_refused(clusters, tmp_path):
    class Serving(type(clusters)):
        @endpoint()
        def serve(self):
            return tf.zeros(())

    with pytest.raises(InputError, match="'serve' can not be served as a name"):
        saved_model(Serving(), tmp_path / "model")

    class Aimless(type(clusters)):
        main_endpoint = "dream"

    with pytest.raises(InputError, match="main_endpoint is 'dream', but it offers locate, sample"):
        saved_model(Aimless(), tmp_path / "model")
    with pytest.raises(InputError, match="Module has no endpoints"):
        saved_model(tf.Module(), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_importing_the_exporter_does_not_import_tensorflow():
    script = "import sys, tfgen.export, tfgen.export.folder, tfgen.export.card; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
