"""Tests run from the repository as it lies: the package, the converters and the tests themselves are importable."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests run side by side; several threads each would wait for one another
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

settings.register_profile("steady", derandomize=True)  # the same examples each time: a change is judged by what it changes
settings.register_profile("search", print_blob=True)  # new ones each time, for `make test-full`
settings.load_profile(os.environ.get("AXIALZOO_EXAMPLES", "steady"))


def pytest_configure(config):
    config.addinivalue_line("markers", "full: larger grids and slow checks, run by `make test-full`")
