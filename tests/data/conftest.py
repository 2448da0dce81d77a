import numpy as np
import pytest


@pytest.fixture(scope="session")
def pictures():
    """Makes random levels, uint8 `(count, height, width, channels)`."""

    def make(count=10, size=(4, 6), channels=1, high=256, seed=0):
        return np.random.default_rng(seed).integers(0, high, (count, *size, channels)).astype(np.uint8)

    return make


@pytest.fixture
def save(tmp_path):
    """Writes arrays to an `.npz` file and gives its path."""

    def write(**arrays):
        np.savez(tmp_path / "set.npz", **arrays)
        return tmp_path / "set.npz"

    return write


@pytest.fixture
def small_memory(monkeypatch):
    """Makes every split too large for memory."""
    from tfgen.data import source

    monkeypatch.setattr(source, "IN_MEMORY", 0)
