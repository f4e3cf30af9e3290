"""Tests run in long-lived processes of the back ends, and fail as any other."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests import backends

PLAIN = """
import os, signal, time, warnings
import pytest

PROCESSES = []
pytestmark = pytest.mark.backends("torch")


@pytest.fixture(scope="module")
def process():
    PROCESSES.append(os.getpid())
    return os.getpid()


@pytest.mark.parametrize("number", [1, 2])
def test_passes(process, number, tmp_path):
    import keras

    assert keras.backend.backend() == os.environ["KERAS_BACKEND"] == "torch" and tmp_path.is_dir()
    assert PROCESSES == [process]


def test_compares():
    left = 1
    assert left == 2, "as it should not"


def test_prints():
    print("some words")
    raise ValueError("planted")


def test_warns():
    warnings.warn("planted", RuntimeWarning)


def test_skips():
    pytest.skip("for a reason")


def test_dies():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.timeout(1)
def test_sleeps():
    time.sleep(30)


def test_passes_in_the_next_process(process):
    assert PROCESSES == [process]
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> str:
    """Output of pytest about the tests above."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "test_plain.py").write_text(PLAIN)
    (folder / "conftest.py").write_text("from tests.conftest import *")
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "-n", "1"]  # reports also pass through pytest-xdist
    environment = {**os.environ, "PYTHONPATH": str(backends.ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300).stdout


def test_reports_come_back_as_of_any_test(outcome):
    assert outcome.count("PASSED") == 3 and "5 failed" in outcome and "1 skipped" in outcome, outcome
    for line in (
        "AssertionError: as it should not",
        "assert 1 == 2",
        "some words",
        "RuntimeWarning: planted",
        "test_plain.py:38: for a reason",
    ):
        assert line in outcome, outcome


def test_a_test_that_kills_its_process_fails_and_so_does_one_that_hangs_and_the_next_has_another(outcome):
    assert "FAILED test_plain.py::test_dies[torch]" in outcome and "the process of torch died with exit status -9 in this test" in outcome
    assert "FAILED test_plain.py::test_sleeps[torch] - Failed: Timeout" in outcome
    assert "PASSED test_plain.py::test_passes_in_the_next_process[torch]" in outcome


@pytest.mark.backends("tensorflow", "jax", "torch")
def test_a_test_runs_on_its_back_end(backend, tmp_path, monkeypatch):
    import keras

    assert keras.backend.backend() == backend
    monkeypatch.setenv("X", "1")
    assert tmp_path.is_dir()


class Case:
    """Stands for a test item of one back end."""

    def __init__(self, backend: str, index: int):
        self.nodeid, self.callspec, self.left = f"a.py::test_a[{backend}-{index}]", SimpleNamespace(params={"backend": backend}), False

    def get_closest_marker(self, name: str):
        return pytest.mark.backends("jax", "torch", every={"jax": 3}).mark if name == "backends" else None

    def add_marker(self, marker) -> None:
        self.left = marker.name == "full"


def test_every_third_case_on_jax_is_run_and_the_others_are_left_to_the_full_run():
    cases = [Case(backend, index) for backend in ("jax", "torch") for index in range(5)]
    backends.leave_to_full(cases)
    assert [case.nodeid for case in cases if case.left] == [f"a.py::test_a[jax-{index}]" for index in (1, 2, 4)]
