"""Settings for the whole suite."""

import os
import random

# Before TensorFlow is imported: no banners, and one thread for each of the processes that share the cores; with a second
# one for operations, sums of several gradients are not the same to the last bit on every run (see `precision.steady_sum`).
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import pytest


def pytest_configure(config):
    """Leaves the order of groups to `pytest_collection_modifyitems`: xdist would begin with those of the most tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """Says what one process tests: a file, or one model's contract; the longest first, so that none ends alone with one."""
    items.sort(key=lambda item: (item.path.parent.name != "contract", item.path.parent.name != "zoo"))
    for item in items:
        model = item.path.parent.name == "contract" and next(iter(item.callspec.params.values()), None)
        item.add_marker(pytest.mark.xdist_group(model or str(item.path.relative_to(item.config.rootpath))))


@pytest.fixture(autouse=True)
def _same_weights_on_every_run():
    """Seeds Python's numbers, of which Keras draws the seeds of initializers and layers.

    `keras.utils.set_random_seed` would seed TensorFlow too, which then forgets every graph that it has prepared: half of
    the suite's time.
    """
    random.seed(0)
