"""Fixtures for proofs of models."""

import keras
import pytest


@pytest.fixture
def float64():
    """Models made within compute in float64, where equality needs no tolerance."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)
