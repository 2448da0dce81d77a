"""What is in an artifact's folder is what its card tells of."""

import hashlib
import json
import os
import shutil
import subprocess

import pytest

from tfgen.errors import InputError
from tfgen.export import check_files, read_card
from tfgen.export.card import write_card
from tfgen.export.files import seal

CARD = {"format": 2, "model": "vae"}


@pytest.fixture
def artifact(tmp_path):
    path = tmp_path / "artifact"
    (path / "variables").mkdir(parents=True)
    (path / "assets").mkdir()  # empty folders hold nothing that could be wrong
    (path / "graph").write_bytes(bytes(range(256)))
    (path / "variables" / "data").write_bytes(b"weights")
    (path / "empty").touch()
    seal(path, CARD)
    return path


def test_a_card_tells_size_and_sha256_of_every_file(artifact):
    digest = hashlib.sha256(b"weights").hexdigest()
    card = check_files(artifact)
    assert card["model"] == "vae"
    assert list(card["files"]) == ["empty", "graph", "variables/data"]
    assert card["files"]["variables/data"] == {"size": 7, "sha256": digest}
    link = artifact.with_name("link")
    link.symlink_to(artifact)
    assert check_files(link) == card


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum")
def test_the_digest_beside_the_card_is_for_sha256sum_too(artifact):
    subprocess.run(["sha256sum", "--check", "--strict", "card.json.sha256"], cwd=artifact, check=True)


def test_a_flipped_bit_in_any_file_is_found_and_its_file_named(artifact):
    for file in sorted(path for path in artifact.rglob("*") if path.is_file()):
        content = file.read_bytes()
        for place in range(0, len(content), 1 if len(content) < 300 else 7):
            file.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
            with pytest.raises(InputError, match=file.name) as caught:
                check_files(artifact)
            assert "\n" not in str(caught.value)
        file.write_bytes(content)
    check_files(artifact)


def test_a_truncated_or_longer_file_is_named_with_its_sizes(artifact):
    (artifact / "graph").write_bytes(bytes(range(100)))
    with pytest.raises(InputError, match="graph: damaged, 100 bytes instead of 256"):
        check_files(artifact, content=False)
    (artifact / "graph").write_bytes(bytes(range(256)) + b"\0")
    with pytest.raises(InputError, match="graph: damaged, 257 bytes instead of 256"):
        check_files(artifact)
    for file in ("card.json", "card.json.sha256"):
        shutil.copy(artifact / file, artifact.with_name("kept"))
        for length in (0, 1, 60):
            (artifact / file).write_bytes(artifact.with_name("kept").read_bytes()[:length])
            with pytest.raises(InputError, match=r"card\.json: damaged"):
                check_files(artifact)
        shutil.copy(artifact.with_name("kept"), artifact / file)


def test_missing_and_additional_files_are_named(artifact):
    (artifact / "variables" / "data").unlink()
    with pytest.raises(InputError, match=f"{artifact}/variables/data: missing; export anew"):
        check_files(artifact)
    (artifact / "variables" / "data").write_bytes(b"weights")
    (artifact / "assets" / ".hidden").write_text("run me")
    with pytest.raises(InputError, match=r"assets/\.hidden: does not belong to the artifact"):
        check_files(artifact)


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "graph", "nowhere"])
def test_links_are_refused_wherever_they_lead(artifact, target):
    artifact.with_name("outside").write_bytes(b"weights")
    (artifact / "variables" / "data").unlink()
    (artifact / "variables" / "data").symlink_to(target)
    with pytest.raises(InputError, match="variables/data: is a link or a device"):
        check_files(artifact)


def test_linked_folders_are_refused(artifact):
    shutil.copytree(artifact / "variables", artifact.with_name("outside"))
    shutil.rmtree(artifact / "variables")
    (artifact / "variables").symlink_to(artifact.with_name("outside"))
    with pytest.raises(InputError, match="variables: is a link or a device"):
        check_files(artifact)


def test_a_pipe_is_refused_and_not_waited_for(artifact):
    (artifact / "graph").unlink()
    os.mkfifo(artifact / "graph")
    with pytest.raises(InputError, match="graph: is a link or a device"):
        check_files(artifact)


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/passwd",
        "variables/../../outside",
        "./graph",
        "variables//data",
        "",
        "C:\\x",
        "a\\b",
        "card.json",
    ],
)
def test_a_card_that_tells_of_files_outside_is_refused(artifact, name):
    artifact.with_name("outside").write_bytes(b"weights")
    told = {"size": 7, "sha256": hashlib.sha256(b"weights").hexdigest()}
    card = read_card(artifact)
    write_card(artifact, card | {"files": card["files"] | {name: told}})
    with pytest.raises(InputError, match="is no path inside of the artifact; do not trust it"):
        check_files(artifact)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "tells of no files"),
        (["graph"], "tells of no files"),
        ({"graph": 256}, "tells neither size nor SHA-256 of 'graph'"),
        ({"graph": {"size": "256", "sha256": "0" * 64}}, "tells neither size nor SHA-256 of 'graph'"),
        ({"graph": {"size": 256, "sha256": "0" * 63}}, "tells neither size nor SHA-256 of 'graph'"),
        ({"graph": {"size": 256}}, "tells neither size nor SHA-256 of 'graph'"),
    ],
)
def test_a_card_without_checksums_is_refused(artifact, files, message):
    write_card(artifact, CARD | {"files": files})
    with pytest.raises(InputError, match=message):
        check_files(artifact)


def test_the_card_that_is_read_is_the_one_that_was_written(artifact):
    card = read_card(artifact)
    card["model"] = "dcgan"
    (artifact / "card.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"card\.json: damaged, its SHA-256 is not that in card\.json\.sha256"):
        read_card(artifact)
