"""Keras's inference form is equal to the model on every back end, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = [pytest.param("tensorflow", marks=pytest.mark.full), pytest.param("jax", marks=pytest.mark.full), "torch"]


@pytest.fixture(scope="module", params=BACKENDS)
def found(request, tmp_path_factory) -> dict:
    environment = {**os.environ, "KERAS_BACKEND": request.param, "PYTHONPATH": str(ROOT), "JAX_ENABLE_X64": "1"}
    command = [sys.executable, "-m", "tests.kernels.keras_forms", str(tmp_path_factory.mktemp(request.param))]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=850)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_outputs_are_those_of_the_model(found):
    assert {name: error for name, error in found["apart"].items() if not error <= 1e-9} == {}
    assert found["float32"] <= 2e-5 and found["predict"] <= 1e-5


def test_only_norms_that_share_their_convolution_are_left_and_the_logits_own(found):
    left = found["norms"]
    assert left["axial_fcos_blood_cells_xs"] > left["axial_resnet_cifar10_xs"]
    assert 0 < left["axial_resnet_cifar10_xs"] < 0.25  # those of the logits, which have a factor a head


def test_a_saved_form_is_the_same_and_a_planted_error_is_seen(found):
    assert found["saved"] <= 1e-6
    assert found["planted"] > 1e-3


def test_what_wants_the_tensors_of_a_model_refuses_its_form(found):
    refused = found["refused"]
    assert all("optimised for inference" in refused[name] for name in ("checkpoint", "weights", "classes"))
    assert refused["classes"].startswith("reset_classifier: ")
    assert "has been optimised" in refused["again"] and "found Sequential" in refused["other"] and "mixed_bfloat16" in refused["mixed"]
    assert found["trainable"] == 0
