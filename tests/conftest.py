"""Tests run from the repository as it lies: the package, the converters and the tests themselves are importable."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests run side by side; several threads each would wait for one another
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


def pytest_configure(config):
    config.addinivalue_line("markers", "full: larger grids and slow checks, run by `make test-full`")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Side by side by file; those that share the processes of the parity tests stay together, and start first."""
    for item in items:
        parity = item.path.parent.name == "parity"
        item.add_marker(pytest.mark.xdist_group("parity" if parity else str(item.path)))
    items.sort(key=lambda item: item.path.parent.name != "parity")
