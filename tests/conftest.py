"""Tests run from the repository as it lies: the package, the converters and the tests themselves are importable."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests run side by side; several threads each would wait for one another
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests import backends  # noqa: E402

settings.register_profile("steady", derandomize=True)  # the same examples each time: a change is judged by what it changes
settings.register_profile("search", print_blob=True)  # new ones each time, for `make test-full`
settings.load_profile(os.environ.get("AXIALZOO_EXAMPLES", "steady"))


def pytest_configure(config):
    config.addinivalue_line("markers", "full: larger grids and slow checks, run by `make test-full`")
    config.addinivalue_line("markers", "backends(*names, full=(), every={}): in a process of each of these back ends: tests/backends.py")
    if pipes := os.environ.pop(backends.PIPES, None):
        from tests.backend_process import RequestedTests

        config.pluginmanager.register(RequestedTests(*map(int, pipes.split())))
    else:
        config.pluginmanager.register(backends.BackendTests())


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Seeds what has been imported, so that a test draws the same numbers whichever tests ran before it in its process."""
    random.seed(0)
    for module, seed in (("numpy", lambda numpy: numpy.random.seed(0)), ("torch", lambda torch: torch.manual_seed(0))):
        if module in sys.modules:
            seed(sys.modules[module])


def pytest_generate_tests(metafunc):
    backends.parametrize(metafunc)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Like ``--dist loadfile``, but the tests of a file on different back ends may go to different workers."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = backends.scope_of
    return scheduler
