"""Data that vanish or break while a model trains on them."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.training.runs import At, assert_same
from tfgen.data import open_source, source
from tfgen.errors import InputError
from tfgen.training import resume, train

VAE = {"hidden": (4,), "latent_size": 2}
OPTIONS = {"arguments": VAE, "epochs": 2, "batch_size": 20, "samples": 4, "verbose": 0}


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder of pictures that does not fit in memory."""
    monkeypatch.setattr(source, "IN_MEMORY", 0)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, levels in enumerate(np.random.default_rng(0).integers(0, 256, (400, 4, 4), np.uint8)):
        Image.fromarray(levels).save(folder / f"{index}.png")
    return folder


@pytest.mark.parametrize("how", ["gone", pytest.param("broken", marks=pytest.mark.slow)])
def test_a_picture_that_is_gone_or_broken_since_is_named_and_the_run_goes_on_when_it_is_back(tmp_path, pictures, how):
    data = {"data": str(pictures)}
    kept = tmp_path / "kept"
    shutil.copytree(pictures, kept)

    def spoil():
        for file in pictures.iterdir():
            file.unlink() if how == "gone" else file.write_bytes(file.read_bytes()[:30])

    with pytest.raises(InputError, match=r"pictures/\d+\.png: broken since training began .*; the last") as error:
        train("vae", out=tmp_path / "run", callbacks=[At(2, 1, spoil)], **OPTIONS, **data)
    assert "\n" not in str(error.value)
    shutil.copytree(kept, pictures, dirs_exist_ok=True)
    if how == "broken":
        assert_same(resume(tmp_path / "run", verbose=0), train("vae", out=tmp_path / "whole", **OPTIONS, **data))


def spoil_records(folder, how):
    for file in folder.rglob("*train.tfrecord*"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2 + 20] ^= 1
        size = len(content) // 2 + 3
        {
            "truncated": lambda file=file, size=size: os.truncate(file, size),
            "flipped": lambda file=file, content=content: file.write_bytes(content),
            "gone": lambda file=file: file.unlink(),
        }[how]()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "message"), [("truncated", "truncated, 2\\d* of 400 records"), ("flipped", "broken"), ("gone", "has gone")]
)
def test_a_record_file_that_breaks_is_named(tmp_path, monkeypatch, how, message):
    monkeypatch.setattr(source, "IN_MEMORY", 0)
    ring = {"data": "ring", "data_options": {"count": 400, "data_dir": str(tmp_path / "sets")}}
    spoiler = At(1, 3, lambda: spoil_records(tmp_path / "sets", how))
    told = rf"ring-train\.tfrecord-00000-of-00001: .*{message}.*; remove .*400_seed0/1\.0\.0, and the set is prepared again"
    with pytest.raises(InputError, match=told) as error:
        train("vae", out=tmp_path / "run", callbacks=[spoiler], **OPTIONS, **ring)
    assert "\n" not in str(error.value)
    shutil.rmtree(next((tmp_path / "sets").rglob("1.0.0")))
    assert resume(tmp_path / "run", verbose=0).finished


@pytest.mark.parametrize("how", ["truncated", "flipped"])
def test_a_record_file_that_is_broken_from_the_beginning_is_named(tmp_path, how):
    ring = {"count": 400, "data_dir": str(tmp_path)}
    open_source("ring", **ring).dataset()
    spoil_records(tmp_path, how)
    with pytest.raises(InputError, match=r"ring-train\.tfrecord-00000-of-00001: broken"):
        open_source("ring", **ring).dataset()
