"""Keras as its users use it: losses, heads, pictures, mixed precision, fine-tuning; each back end in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from axialzoo.checkpoint import load_checkpoint
from tests.usage.made import WRONG

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = [pytest.param("tensorflow"), pytest.param("jax", marks=pytest.mark.full), pytest.param("torch", marks=pytest.mark.full)]


@pytest.fixture(scope="module", params=BACKENDS)
def found(request, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp(request.param)
    environment = {**os.environ, "KERAS_BACKEND": request.param, "PYTHONPATH": str(ROOT), "JAX_ENABLE_X64": "1"}
    command = [sys.executable, "-m", "tests.usage.in_keras", str(folder)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    return {**json.loads(done.stdout.splitlines()[-1]), "folder": folder}


def test_losses_of_probabilities_are_refused_however_they_are_given(found):
    refused = found["losses"]["refused"]
    assert len(refused) == 11 and [name for name, text in refused.items() if "gives logits" not in text] == []
    assert "loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)" in refused["string"]
    assert "loss=keras.losses.CategoricalCrossentropy(from_logits=True)" in refused["dictionary"]


def test_losses_of_logits_are_taken(found):
    assert len(found["losses"]["taken"]) == 6 and set(found["losses"]["taken"].values()) == {""}


def test_fine_tuning_with_the_heads_own_loss_learns(found):
    assert found["tuned"] > 0.9


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
def test_resetting_the_classifier_keeps_all_else(found, dtype):
    assert found["heads"][dtype]["kept"] and found["heads"][dtype]["classes"] == [3, 3, [3, 64]]


def test_labels_go_with_the_classes(found):
    assert found["heads"]["labels"] == [10, 0, 10] and found["heads"]["five"] == 5
    config = load_checkpoint(found["folder"] / "three").config
    assert config.spec.num_classes == 3 and [label.name for label in config.labels] == ["a", "b", "c"]


def test_outputs_are_float32_where_the_policy_is_mixed(found):
    assert "float32" in found["heads"]["mixed_float16"]["outputs"] and found["heads"]["maps"] == ["float32"]
    assert "float64" in found["heads"]["float64"]["outputs"]


def test_models_that_are_no_longer_what_their_spec_says_are_not_saved(found):
    assert "spec" in found["heads"]["by hand"] and "spec" in found["heads"]["load"]
    assert "reset_classifier" in found["heads"]["variables"]
    assert not (found["folder"] / "cut").exists() and not (found["folder"] / "changed").exists()


def test_any_kind_of_picture_is_the_same_batch(found):
    assert found["pictures"]["shapes"] == [[1, 32, 32, 3]] and found["pictures"]["furthest"] < 1e-6
    assert found["pictures"]["first"] == [[3, 16, 20], [1, 3, 16, 20]]


def test_what_is_no_picture_is_refused(found):
    wrong = found["pictures"]["wrong"]
    assert [name for name, (_, message) in WRONG.items() if message not in wrong[name]] == []
