"""Unknown back ends, progress in a file, and what the demo leaves behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from axialzoo.train import progress  # the module

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("backend", ["foo", "numpy"])
def test_an_unknown_back_end_is_named_with_the_choices(backend):
    done = subprocess.run(
        [sys.executable, "-c", "import axialzoo.keras"],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert done.stderr.rstrip().endswith(f"KERAS_BACKEND: expected one of tensorflow, jax, torch, found {backend!r}")


class Clock:
    """Seconds that pass as they are told to."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    built = Clock()
    monkeypatch.setattr("axialzoo.train.progress.time", built)
    return built


def lines(capsys, clock, steps: int, seconds: float, begun: int = 0) -> list[str]:
    """Return the lines that a run without a terminal writes when every step takes `seconds`."""
    with progress.progress("training", steps, begun) as update:
        for step in range(begun + 1, steps + 1):
            clock.now += seconds
            update(step, "loss 1.000")
    return capsys.readouterr().err.splitlines()


def test_a_file_gets_a_line_each_twentieth_and_not_one_each_step(capsys, clock):
    actual = lines(capsys, clock, steps=2000, seconds=5.0)
    assert [int(re.findall(r"(\d+) of 2000", line)[0]) for line in actual] == list(range(100, 2001, 100))
    assert "training: 1000 of 2000, about 83 min left, loss 1.000" in actual


def test_steps_that_fly_by_give_a_line_a_minute_at_most(capsys, clock):
    assert len(lines(capsys, clock, steps=10_000, seconds=0.03)) in (4, 5)  # five minutes


def test_a_resumed_run_counts_from_where_it_stopped(capsys, clock):
    actual = lines(capsys, clock, steps=2000, seconds=60.0, begun=1800)
    assert actual[0] == "training: 1900 of 2000, about 100 min left, loss 1.000"


def test_what_the_demo_writes_is_ignored_by_git():
    if not (ROOT / ".git").exists():
        pytest.skip("the files lie in no git checkout")
    recipe = (ROOT / "Makefile").read_text().partition("demo: ")[2].partition("\n\n")[0]
    written = [*re.findall(r"--out (\S+)", recipe), ".venv/.ready", "axialzoo.egg-info/PKG-INFO", "build/lib"]
    assert "runs/demo.png" in written
    for path in written:
        assert subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode == 0, path
