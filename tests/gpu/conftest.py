"""The GPU that the tests run on; without one they are skipped. AXIALZOO_REHEARSE_GPU=cpu runs the tests themselves on a CPU."""

from __future__ import annotations

import os

import pytest

from axialzoo.runtime.device import find_device, is_cpu
from tests.cli.conftest import axialzoo, folder  # noqa: F401 (fixtures)
from tests.train.conftest import image_folder  # noqa: F401


@pytest.fixture(scope="session")
def gpu() -> str:
    if rehearsal := os.environ.get("AXIALZOO_REHEARSE_GPU"):
        return rehearsal
    name = find_device()
    if is_cpu(name):
        pytest.skip("no GPU: PyTorch finds cpu alone")
    return name
