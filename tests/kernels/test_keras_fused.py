"""Keras's folded layers on the fused kernel are equal to their plain form, in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from axialzoo.kernels import kernel

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", params=["small", pytest.param("large", marks=pytest.mark.full)])
def found(request) -> dict:
    if kernel() is None:
        pytest.skip("no kernel: there is no compiler here")
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.kernels.keras_fused", request.param]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=850, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_layers_are_equal_to_their_plain_form_and_to_the_original(found):
    assert {name: errors for name, errors in found["cases"].items() if not max(errors) <= 1e-5} == {}


def test_the_kernel_has_served(found):
    assert found["calls"] == 2 * len(found["cases"])  # the fused form twice, the plain one never


def test_a_planted_error_is_seen_whatever_was_kept(found):
    assert min(found["planted"].values()) > 1e-3
