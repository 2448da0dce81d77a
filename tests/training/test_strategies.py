import json

import pytest

from tfgen import training
from tfgen.errors import InputError
from tfgen.training import strategies

CLUSTER = {"worker": ["a:1", "b:1"]}


@pytest.mark.parametrize(
    ("cluster", "task", "follows"),
    [
        (CLUSTER, {"type": "worker", "index": 0}, False),
        (CLUSTER, {"type": "worker", "index": 1}, True),
        (CLUSTER | {"chief": ["c:1"]}, {"type": "chief", "index": 0}, False),
        (CLUSTER | {"chief": ["c:1"]}, {"type": "worker", "index": 0}, True),
    ],
)
def test_the_chief_or_the_first_worker_writes(cluster, task, follows, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    assert strategies.follows("multi_worker") is follows
    assert not strategies.follows("mirrored")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "needs TF_CONFIG"),
        ("{", "TF_CONFIG: expected"),
        (json.dumps({"cluster": CLUSTER}), "TF_CONFIG: expected"),
        (json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}), "a task of the cluster"),
    ],
)
def test_workers_that_are_not_told_where_they_are_say_so(config, message, monkeypatch, tmp_path):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(InputError, match=message):
        training.train("vae", out=tmp_path / "run", strategy="multi_worker")
    assert not (tmp_path / "run").exists()


def test_an_unknown_strategy_is_named(tmp_path):
    with pytest.raises(InputError, match="unknown strategy 'miror'; did you mean mirrored"):
        training.train("vae", out=tmp_path / "run", strategy="miror")


def test_a_folder_of_a_worker_that_follows_has_what_a_run_goes_on_with(tmp_path):
    for name in ("run.json", "history.csv", "checkpoints/epoch_0001.keras", "samples/epoch_0001.png", ".lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    copy = strategies.scratch(tmp_path)
    assert {path.name for path in copy.rglob("*") if path.is_file()} == {"run.json", "history.csv", "epoch_0001.keras"}
