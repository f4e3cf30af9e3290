"""The native runtime as a framework: runners, the command line, worker processes, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from axialzoo import load_runner
from axialzoo.checkpoint import Checkpoint, default_config
from axialzoo.hub import fetch_checkpoint
from axialzoo.native import NoPlan
from axialzoo.native.report import plan_report
from axialzoo.ops.kernels import kernel
from axialzoo.runtime import Runner, frameworks
from axialzoo.runtime.local import default_framework
from axialzoo.runtime.process import Worker
from axialzoo.runtime.verify import targets
from axialzoo.spec import SpecError, adapt, get_entry
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.heads.mask_parts import PostprocessConfig
from tests.parity.common import tensors

XS = "axial_resnet_cifar10_xs"
PHOTO = Path(__file__).parents[2] / "docs/photos/chelsea.jpg"
PREDICT = """
import sys
from axialzoo.cli import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
HEAVY = {"torch", "keras", "tensorflow", "jax", "scipy", "huggingface_hub", "matplotlib"}


class Unknown(Classifier):
    kind = "unknown"


def test_predictions_are_those_of_pytorch():
    runners = [load_runner(XS, framework) for framework in ("native", "torch")]
    native, reference = (runner.predict(PHOTO) for runner in runners)
    assert (runners[0].title, runners[0].device, runners[0].backend) == ("Native", "cpu", None)
    assert np.abs(native.probabilities - reference.probabilities).max() < 1e-5
    x = np.random.default_rng(0).standard_normal((3, 33, 31, 3))
    assert np.abs(runners[0].outputs(x)["logits"] - runners[1].outputs(x)["logits"]).max() < 1e-4


@pytest.mark.parametrize("name", ["max_deeplab_nuclei_xs", "kmax_deeplab_nuclei_xs"])
def test_segments_of_a_mask_transformer_are_those_of_pytorch(name):
    spec = adapt(
        get_entry(name).spec, things=(0, 1), postprocess=PostprocessConfig("pixelwise", 0.0, 0.0, 0.0)
    )  # random weights are sure of nothing
    checkpoint = Checkpoint(default_config(spec), tensors(spec, "float32"), Path())
    native, reference = (Runner(checkpoint, framework).predict(PHOTO) for framework in ("native", "torch"))
    assert len(reference) > 1
    assert np.mean(native.segmentation == reference.segmentation) > 0.9999
    assert [info["label_id"] for info in native.segments_info] == [info["label_id"] for info in reference.segments_info]


def test_predicting_from_the_command_line_imports_no_framework():
    command = [sys.executable, "-c", PREDICT, "predict", str(PHOTO), "--model", XS, "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout)["predictions"][0]["framework"] == "native"
    modules = set(ran.stderr.split())
    assert "axialzoo.native" in modules and not HEAVY & modules


def test_a_worker_process_runs_it():
    checkpoint, x = fetch_checkpoint(XS), np.random.default_rng(0).standard_normal((2, 32, 32, 3), np.float32)
    with closing(Worker("native")) as worker:
        runner = Runner(checkpoint, "native", worker=worker)
        assert np.array_equal(runner.outputs(x)["logits"], Runner(checkpoint, "native").outputs(x)["logits"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "float64"}, "precision: the native runtime expected float32, found 'float64'"),
        ({"device": "cuda"}, "device: the native runtime expected auto or cpu, found 'cuda'"),
        ({"backend": "jax"}, "backend: Native has none"),
    ],
)
def test_what_it_cannot_do_is_refused(options, message):
    with pytest.raises(SpecError, match=message):
        load_runner(**{"source": XS, "framework": "native", **options})


def test_it_cannot_train():
    with pytest.raises(SpecError, match="expected torch or keras, found 'native'"):
        frameworks.choose("native")
    assert frameworks.choose("native,torch", native=True) == ["native", "torch"]


def test_prediction_takes_it_where_it_can_and_says_where_not(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr("axialzoo.runtime.local.has_accelerator", lambda: False)
    assert default_framework(get_entry(XS).spec, "auto", True, lines.append) == "native" and not lines
    other = replace(get_entry(XS).spec, head=Unknown(5))
    assert default_framework(other, "cpu", True, lines.append) == "torch"
    assert re.fullmatch(r"the native runtime has no plan for .*'unknown': PyTorch runs it", lines[0])
    assert default_framework(get_entry(XS).spec, "auto", False, lines.append) == "torch"  # --no-fused
    monkeypatch.setattr("axialzoo.runtime.local.has_accelerator", lambda: True)
    assert default_framework(get_entry(XS).spec, "auto", True, lines.append) == "torch"
    monkeypatch.setattr("axialzoo.runtime.local.available", lambda: [])
    assert default_framework(get_entry(XS).spec, "auto", True, lines.append) == "native"
    with pytest.raises(NoPlan):
        default_framework(other, "auto", True, lines.append)


def test_verification_compares_it():
    assert [target.name for target in targets() if not target.missing][-1] == "Native"


def test_a_plan_tells_operations_costs_and_times():
    checkpoint = fetch_checkpoint(XS)
    report = plan_report(checkpoint.config.spec, checkpoint.tensors, (40, 32))
    assert report["multiply_adds"] == sum(row["multiply_adds"] for row in report["operations"])
    assert report["operations"][0]["from"] == [40, 32, 3]
    if kernel() is not None:
        assert report["seconds"] > 0 and 0 < report["of_peak"] < 1.5
    shapes = plan_report(get_entry("axial_resnet50_s").spec, None, (224, 224))
    assert shapes["seconds"] is None and 0.9 < shapes["multiply_adds"] / 2.843e9 < 1.1
