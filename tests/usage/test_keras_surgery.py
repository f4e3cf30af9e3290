"""What is frozen stays frozen: in models cut from ours, in their copies, and in a file that another process reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FULL = [pytest.param((backend, "all"), marks=pytest.mark.full) for backend in ("tensorflow", "jax", "torch")]
KINDS = ("new_head", "whole", "cut", "copy")


@pytest.fixture(scope="module", params=[("tensorflow", "few"), *FULL], ids="-".join)
def found(request, tmp_path_factory) -> tuple[dict, dict]:
    """What was made, and what another process found in the files."""
    backend, which = request.param
    folder, answers = tmp_path_factory.mktemp(backend), []
    for action in ("make", "load"):
        command = [sys.executable, "-m", "tests.usage.surgery", action, str(folder), which]
        environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr[-4000:]
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    return answers[0], answers[1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_frozen_stays_frozen_in_a_file(found, kind):
    made, loaded = found
    names = [name for name in made if name.endswith(f"-{kind}")]
    assert len(names) >= 4
    for name in names:
        assert loaded[name]["variables"] == made[name]["variables"], name
        assert loaded[name]["layers"] == made[name]["layers"], name
        assert loaded[name]["sum"] == pytest.approx(made[name]["sum"], rel=1e-4), name


def test_what_is_frozen_stays_frozen_in_a_copy(found):
    for name, one in found[0].items():
        if name.endswith("-copy"):
            assert one == found[0][name.replace("-copy", "-cut")], name


def test_a_frozen_backbone_trains_its_new_head_alone(found):
    assert all(len(one["variables"]) == 2 for name, one in found[1].items() if name.endswith("-new_head"))


def test_layers_that_forget_what_is_frozen_inside_would_be_seen(found):
    made, loaded = found
    assert len(loaded["planted"]["variables"]) > len(made["planted"]["variables"])
