"""Settings for the whole suite."""

import os

# Before TensorFlow is imported: no banners, and one thread for each of the processes that share the cores.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")

import sys

import pytest


@pytest.fixture(autouse=True)
def _same_weights_on_every_run():
    """Seeds the initializers, where Keras has been imported at all."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)
