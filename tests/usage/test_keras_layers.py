"""Keras layers call sub-layers that a tool has changed: counted, replaced, adapted, quantized and frozen ones, on each back end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = [pytest.param("tensorflow", marks=pytest.mark.full), pytest.param("jax", marks=pytest.mark.full), pytest.param("torch")]


@pytest.fixture(scope="module", params=BACKENDS)
def found(request, tmp_path_factory) -> dict:
    environment = {**os.environ, "KERAS_BACKEND": request.param, "PYTHONPATH": str(ROOT), "JAX_ENABLE_X64": "1"}
    command = [sys.executable, "-m", "tests.usage.layers_in_keras", str(tmp_path_factory.mktemp(request.param))]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_layers_as_they_were_made_say_nothing(found):
    assert found["unchanged"] == []


def test_a_sub_layer_that_is_looked_into_is_called_once_a_call_and_the_numbers_stay(found):
    assert {name: item for name, item in found["hooks"].items() if item[0] != 2 or not item[1] <= 1e-5} == {}


def test_the_warning_names_the_sub_layer_and_the_reason_once(found):
    for name, (_, _, texts) in found["hooks"].items():
        sub, how, _ = name.partition(": ")[2].rsplit(", ", 2)
        reason = {"subclass": f"{sub} is a Counted", "patched": f"{sub} has another call method", "hook": f"{sub} has hooks"}[how]
        assert len(texts) == 1 and reason in texts[0], name


def test_a_convolution_that_is_looked_into_is_called_once_its_norm_is_folded(found):
    assert {name: item for name, item in found["folded"].items() if item[0] != 1 or not item[1] <= 1e-5 or len(item[2]) != 1} == {}


def test_every_layer_of_a_model_is_called_once_in_evaluation_and_in_training(found):
    assert found["model"] == {"False": [1], "True": [1]}


def test_every_adapter_has_a_gradient_and_merging_changes_nothing(found):
    lora = found["lora"]
    assert lora["adapted"] == ["expand/conv", "height/qkv", "reduce/conv", "shortcut/conv", "width/qkv"]
    assert len(lora["gradients"]) == 10 and min(lora["gradients"].values()) > 1e-3
    assert lora["unchanged"] <= 1e-5 and lora["moved"] > 1e-2 and lora["merged"] <= 1e-5
    assert len(lora["said"]) == 5 and all("an adapter of rank 2 (enable_lora)" in text for text in lora["said"])


def test_fit_trains_every_adapter(found):
    still = found["fit"]["still"]  # an A has no gradient while its B is zero, as all are at first
    assert found["fit"]["adapters"] >= 20 and [path for path in still if not path.endswith("lora_kernel_a")] == []


def test_int8_reaches_projections_and_the_classifier(found):
    quantized = found["quantized"]
    names = quantized["names"]
    assert "head/fc" in names and sum(name.endswith("/qkv") for name in names) == 4
    assert 1e-6 < quantized["moved"] < 0.05
    assert len(quantized["said"]) == 4 and all("is quantized to int8" in text for text in quantized["said"])
    assert quantized["said again"] == 0


def test_a_stale_weight_of_a_quantized_layer_would_be_seen(found):
    assert found["quantized"]["stale"] > 0.05


def test_a_file_of_a_quantized_model_gives_the_same_model(found):
    assert found["quantized"]["loaded"] <= 1e-6


def test_a_quantized_model_is_not_folded_and_makes_no_checkpoint(found):
    assert "is quantized to int8" in found["quantized"]["optimised"]
    assert "kernel_scale" in found["quantized"]["checkpoint"]


def test_norms_that_are_frozen_keep_their_statistics_and_others_do_not_mind(found):
    assert [name for name, (remaining, others, _) in found["frozen"].items() if not (remaining and others)] == []
    assert min(count for _, _, count in found["frozen"].values()) >= 1


def test_training_with_every_norm_frozen_computes_what_evaluation_does(found):
    assert max(found["frozen outputs"].values()) <= 1e-5


def test_a_norm_of_keras_takes_the_place_of_ours(found):
    assert {name: item for name, item in found["foreign"].items() if not item[0] <= 1e-5 or len(item[1]) != 1} == {}


def test_a_class_that_was_patched_is_called_until_it_is_patched_back(found):
    assert found["class"] == [1, 1]


def test_a_check_that_is_left_out_would_be_seen(found):
    assert set(found["planted"].values()) == {0}
