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


TEXT = """\
axial_resnet_cifar10_xs: 51,938 parameters; input 32 x 32 or any other, 3 channels
  stem: conv 3 x 3; stride 1
  stages.0: 2 x basic; stride 2, 16 channels
  stages.1: 1 x axial (height then width, 4 heads, up to 16 positions); stride 2, 32 channels
  stages.2: 1 x basic, 1 x axial (height then width, 4 heads, up to 8 positions); stride 4, 64 channels
  head: classifier, classification, 10 classes"""


def test_a_printed_model_and_a_runner_say_what_they_are():
    from axialzoo import load_runner
    from axialzoo.torch import create_model

    model = create_model("axial_resnet_cifar10_xs")
    assert str(model) == TEXT and repr(model).startswith("AxialModel(\n  (stem)")
    assert model.reset_classifier(3) is model and "3 classes" in str(model)
    expected = "Runner(axial_resnet_cifar10_xs: classification, 10 classes; PyTorch on cpu, float32)"
    assert repr(load_runner("axial_resnet_cifar10_xs", "torch", optimize=False)) == expected


@pytest.mark.backends("tensorflow", full=("jax", "torch"))
def test_keras_prints_the_same(backend):
    from axialzoo.keras import create_model

    model = create_model("axial_resnet_cifar10_xs")
    assert str(model) == TEXT and "3 classes" in str(model.reset_classifier(3))


def test_all_public_names_are_listed():
    import axialzoo

    assert set(axialzoo.__all__) <= set(dir(axialzoo))


def test_results_of_another_type_are_refused_before_a_model_is_built():
    from axialzoo import load_runner
    from axialzoo.spec import SpecError
    from axialzoo.tasks import Detections

    with pytest.raises(SpecError, match="expected Classification, which 'axial_resnet_cifar10_xs' gives, found Detections"):
        load_runner("axial_resnet_cifar10_xs", result=Detections)


def test_a_missing_folder_is_said_at_once(tmp_path, monkeypatch):
    from axialzoo.checkpoint import CheckpointError
    from axialzoo.hub.resolve import locate

    monkeypatch.chdir(tmp_path)
    assert not isinstance(locate("runs/first"), Path)  # a repository on the Hub
    (tmp_path / "runs").mkdir()
    with pytest.raises(CheckpointError, match=r"expected a folder, found 'runs' without it; .*'runs/first@main'"):
        locate("runs/first")
    assert not isinstance(locate("runs/first@main"), Path)


def test_tiles_tell_how_many_are_done():
    import numpy as np

    from axialzoo.tasks.segmentation.tiles import tiled_maps
    from axialzoo.tasks.tta import tile_progress

    done: list[tuple[int, int]] = []
    token = tile_progress.set(lambda *numbers: done.append(numbers))
    try:
        tiled_maps(lambda x: {"semantic": np.zeros((*x.shape[:2], 2), np.float32)}, np.zeros((20, 24, 3)), (12, 12), (4, 4))
    finally:
        tile_progress.reset(token)
    assert done == [(number, 6) for number in range(1, 7)]
