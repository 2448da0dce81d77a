"""Settings for the whole suite."""

import os

# Before TensorFlow is imported: no banners, and one thread for each of the processes that share the cores; with a second
# one for operations, sums of several gradients are not the same to the last bit on every run (see `players.steady_sum`).
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import sys

import pytest


def pytest_configure(config):
    """Leaves the order of files to `pytest_collection_modifyitems`: xdist would begin with those of the most tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Puts the files that take longest first, so that no process is left alone with one of them at the end."""
    items.sort(key=lambda item: (item.path.parent.name != "contract", item.path.parent.name != "zoo"))


@pytest.fixture(autouse=True)
def _same_weights_on_every_run():
    """Seeds the initializers, where Keras has been imported at all."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)
