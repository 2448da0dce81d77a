"""TensorFlow Serving finds whole versions, each of them new, and requests to warm up with."""

import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
import tensorflow as tf

import tfgen
from tfgen.errors import InputError
from tfgen.export import check_files, layout, read_card, saving, serving, verify, warmup
from tfgen.export.verification import load

try:
    from tensorflow_serving.config import model_server_config_pb2
except ImportError:
    model_server_config_pb2 = None

needs_protos = pytest.mark.skipif(not model_server_config_pb2, reason="needs the extra: pip install tfgen[serving]")


def hidden(root):
    return [path.name for path in root.iterdir() if path.name.startswith(".")]


def test_each_export_is_the_next_version_and_the_old_ones_stay(clusters, tmp_path):
    first, report = serving(clusters, tmp_path, name="clusters", warmup=False)
    assert (first, report.path, report.ok) == (tmp_path / "clusters" / "1", str(first), True)
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    (tmp_path / "clusters" / "9").mkdir()
    (tmp_path / "clusters" / "notes").mkdir()
    second, _ = serving(clusters, tmp_path, name="clusters", warmup=False)
    assert second == tmp_path / "clusters" / "10"
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before
    for path in (first, second):
        assert verify(path).ok
        assert verify(path, clusters).ok
    assert not hidden(tmp_path)


@pytest.fixture(scope="module")
def served(models, clusters, tmp_path_factory):
    """Root with two models; needs the extra."""
    root = tmp_path_factory.mktemp("root") / "models"
    serving(models["dcgan"], root)
    serving(clusters, root, name="a-1_b.c")
    return root


@needs_protos
def test_warm_up_requests_of_every_signature_are_read_back_and_answered(served, models):
    path = served / "dcgan" / "1"
    found = warmup.read_warmup(path)
    assert {(name, signature) for name, signature, _ in found} == {
        ("dcgan", signature) for signature in [*models["dcgan"].endpoints(), "serving_default"]
    }
    signatures = load(path).signatures
    for _, signature, inputs in found:
        told = signatures[signature].structured_input_signature[1]
        assert {name: spec.dtype for name, spec in told.items()} == {
            name: tf.as_dtype(value.dtype) for name, value in inputs.items()
        }
        signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
    seeds = [inputs["seed"].tolist() for _, signature, inputs in found if signature == "sample"]
    assert seeds == [[1, 1], [1, 1]]
    assert verify(path, models["dcgan"]).ok
    assert "assets.extra/tf_serving_warmup_requests" in check_files(path)["files"]


@needs_protos
def test_the_config_lists_every_model_as_the_server_reads_it(served, clusters):
    from google.protobuf import text_format

    (served / "empty").mkdir()
    (served / "other").mkdir()
    (served / "other" / "1").mkdir()
    serving(clusters, served, name="a-1_b.c")
    config = text_format.Parse((served / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    assert [(it.name, it.base_path, it.model_platform) for it in config.model_config_list.config] == [
        (name, f"/models/{name}", "tensorflow") for name in ("a-1_b.c", "dcgan", "other")
    ]


@needs_protos
def test_the_card_tells_how_to_serve_the_root(served, tmp_path):
    told = read_card(served / "dcgan" / "1")["serving"]
    assert told["name"] == "dcgan"
    assert re.fullmatch(
        r'docker run .* -v "\$PWD":/models tensorflow/serving --model_config_file=/models/models\.config .*',
        told["docker"],
    )
    assert f"-v '{tmp_path}/a b':/models" in layout.docker_command(tmp_path / "a b")


@needs_protos
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.unlink(), "missing or damaged"),
        (lambda path: path.write_bytes(bytes(range(100))), "missing or damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "missing or damaged"),
        (lambda path: path.write_bytes(b"few"), "no requests in it"),
    ],
)
def test_damaged_warm_up_requests_get_a_clear_line(served, tmp_path, harm, message):
    path = shutil.copytree(served / "dcgan" / "1", tmp_path / "copy")
    harm(path / warmup.NAME)
    with pytest.raises(InputError, match=f"tf_serving_warmup_requests: {message}"):
        warmup.read_warmup(path)


def test_a_missing_package_is_named_with_its_extra_before_anything_is_written(clusters, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(InputError, match=r'need tensorflow-serving-api .*pip install "tfgen\[serving\]"'):
        serving(clusters, tmp_path / "root", name="clusters")
    assert not (tmp_path / "root").exists()
    path, _ = serving(clusters, tmp_path / "root", name="clusters", warmup=False)
    assert not (path / "assets.extra").exists()


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "models.config", "/etc", "a b", "a\n"])
def test_names_that_lead_elsewhere_are_refused(clusters, tmp_path, name):
    with pytest.raises(InputError, match="name .*: letters, digits"):
        serving(clusters, tmp_path / "root", name=name, warmup=False)
    assert not list(tmp_path.iterdir())


def test_a_config_of_somebody_else_is_not_overwritten(clusters, tmp_path):
    (tmp_path / "models.config").write_text("model_config_list {}")
    with pytest.raises(InputError, match=r"models\.config: not written by tfgen"):
        serving(clusters, tmp_path, name="clusters", warmup=False)
    assert [path.name for path in tmp_path.iterdir()] == ["models.config"]
    assert (tmp_path / "models.config").read_text() == "model_config_list {}"


def test_what_answers_otherwise_is_not_published(clusters, tmp_path, monkeypatch):
    serving(clusters, tmp_path, name="clusters", warmup=False)

    def wrong(model):
        for case in tfgen.export.verification.cases(model):
            yield type(case)(case.signature, case.inputs, {name: it + 1 for name, it in case.outputs.items()})

    monkeypatch.setattr(saving, "cases", wrong)
    with pytest.raises(InputError, match="clusters: nothing published; .*of the numbers differ"):
        serving(clusters, tmp_path, name="clusters", warmup=False)
    assert [path.name for path in (tmp_path / "clusters").iterdir()] == ["1"]
    assert not hidden(tmp_path)


def test_exporters_at_the_same_time_get_different_versions_and_all_are_listed(tmp_path):
    sources, published = tmp_path / "sources", []
    barrier = threading.Barrier(12)

    def publish(number):
        folder = sources / str(number)
        folder.mkdir(parents=True)
        (folder / "card.json").write_text(str(number))
        barrier.wait()
        with layout.locked(root):
            path = layout.publish(folder, root / f"model_{number % 3}")
            layout.write_config(root)
        published.append((path, str(number)))

    root = tmp_path / "root"
    root.mkdir()
    threads = [threading.Thread(target=publish, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({path for path, _ in published}) == 12
    assert all((path / "card.json").read_text() == number for path, number in published)
    assert [layout.versions(root / f"model_{number}") for number in range(3)] == [[1, 2, 3, 4]] * 3
    assert (root / "models.config").read_text().count("base_path") == 3


def test_a_version_that_is_there_is_never_replaced(tmp_path, monkeypatch):
    for number in ("new", "home/1"):
        (tmp_path / number).mkdir(parents=True)
        (tmp_path / number / "card.json").write_text(number)
    monkeypatch.setattr(layout, "versions", lambda _: [])  # as if another machine had written it just now
    with pytest.raises(InputError, match="home: cannot be written"):
        layout.publish(tmp_path / "new", tmp_path / "home")
    assert (tmp_path / "home" / "1" / "card.json").read_text() == "home/1"


EXPORTER = """
import sys, tfgen
from tfgen.export import saved_model, serving
model = tfgen.create("dcgan", image_shape=(8, 8, 1), latent_size=4, width=4)
while True:
    saved_model(model, sys.argv[1] + "/plain", overwrite=True)
    print(serving(model, sys.argv[1], warmup=False)[0], flush=True)
"""


@pytest.mark.slow
def test_an_exporter_that_is_killed_at_any_moment_leaves_whole_versions_only(tmp_path, artifacts, models):
    first, _ = serving(models["dcgan"], tmp_path, warmup=False)
    rng, left, count = random.Random(0), 0, 0
    for _ in range(5):
        command = [sys.executable, "-c", EXPORTER, tmp_path]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout.readline()  # imports are done, and exports follow each other
        time.sleep(rng.uniform(0, 4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        left += bool(hidden(tmp_path))
        found = layout.versions(tmp_path / "dcgan")
        assert found == list(range(1, len(found) + 1))
        assert len(found) > count
        count = len(found)
        for version in found:
            check_files(tmp_path / "dcgan" / str(version))
        assert verify(first, models["dcgan"]).ok
        for path in (tmp_path / "dcgan" / str(found[-1]), tmp_path / "plain"):
            assert verify(path).ok
        assert 'name: "dcgan"' in (tmp_path / "models.config").read_text()
    assert left
    serving(models["dcgan"], tmp_path, warmup=False)
    assert not hidden(tmp_path)
