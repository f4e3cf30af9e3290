"""Keras is imported where tests run, which is a process of a back end: tests/backends.py."""

from __future__ import annotations

from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def in_keras() -> ModuleType:
    """The module of what tests compute in Keras."""
    from tests.parity import in_keras

    return in_keras


@pytest.fixture
def float64_optimizers(in_keras, monkeypatch) -> None:
    """Keras's optimizers, unlike our layers, use operations that make float32 of float64 on JAX and PyTorch."""
    monkeypatch.setitem(in_keras.keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")


@pytest.fixture
def channels_first(in_keras):
    """Keras's setting, which is as before when the test ends."""
    in_keras.keras.config.set_image_data_format("channels_first")
    yield
    in_keras.keras.config.set_image_data_format("channels_last")
