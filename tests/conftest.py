"""Tests run from the repository as it lies: the package, the converters and the tests themselves are importable."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


def pytest_configure(config):
    config.addinivalue_line("markers", "full: larger grids and slow checks, run by `make test-full`")
