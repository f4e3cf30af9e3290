"""A user's script has no unknown types in pyright's strict mode, and a misspelt argument is found before it runs."""

from __future__ import annotations

import json
import os
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyright", reason="the package pyright is not installed")

SCRIPT = """\
import torch

from axialzoo.torch import axial_resnet_cifar10, load_model, save_model

model = axial_resnet_cifar10(pretrained=True, num_classes=10).eval()
batch = model.preprocess(["a.jpg", "b.jpg"])
with torch.no_grad():
    logits = model(batch)
print(model.labels[int(logits[0].argmax())].name, load_model("runs/model").num_classes, model.spec.input_size)
for x, info in zip(axial_resnet_cifar10(features_only=True, out_indices=(1, 2))(batch), model.feature_info):
    print(x.shape, info["module"])
model.reset_classifier(3)
save_model(model, "runs/model", labels=("a", "b", "c"))
"""


CLASSES = """\
import axialzoo

runner = axialzoo.load_runner("axial_resnet_cifar10", framework="torch")
print(runner, axialzoo.load_runner("axial_resnet_cifar10").predict("x.jpg").label)
for result in runner.predict(["a.jpg", "b.jpg"], batch_size=2):
    print(result.top(3), result.probabilities.max())
print(runner.config.labels[0].name, runner.device, runner.title)
"""
BOXES = """\
import axialzoo
from axialzoo.tasks import Detections

runner = axialzoo.load_runner("axial_fcos_blood_cells", result=Detections)
cells = runner.predict("cells.jpg")
for box, score, name in zip(cells.boxes, cells.scores, cells.label_names):
    print(name.upper(), float(score), box.tolist())
print(len(cells), cells.summary(3), runner.config.model)
"""
SEGMENTS = """\
import axialzoo
from axialzoo.tasks import Segmentation

with axialzoo.load_runner("axial_deeplab_nuclei", result=Segmentation) as runner:
    nuclei = runner.predict("nuclei.png", hflip=True)
print(nuclei.segmentation.shape, nuclei.label_names[0].upper(), [info["area"] for info in nuclei.segments_info])
print(nuclei.to_detections().boxes.shape)
"""
WRONG = BOXES.replace("cells.boxes", "cells.label")
ROOT = Path(__file__).resolve().parents[2]


def errors(folder: Path, *scripts: str) -> list[str]:
    """Messages of pyright's strict mode about scripts in a project of its own, with the interpreter of these tests."""
    for number, script in enumerate(scripts):
        (folder / f"script_{number}.py").write_text(script)
    (folder / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "pythonVersion": "3.11", "include": ["script_*.py"], "extraPaths": [str(ROOT)]})
    )
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    said = json.loads(done.stdout)
    assert said["summary"]["filesAnalyzed"] >= 1, done.stderr
    return [f"line {item['range']['start']['line'] + 1}: {item['message']} ({item['rule']})" for item in said["generalDiagnostics"]]


def test_a_script_has_no_unknown_types(tmp_path):
    assert errors(tmp_path, SCRIPT, CLASSES, BOXES, SEGMENTS) == []


def test_a_misspelt_argument_is_one_error(tmp_path):
    actual = errors(tmp_path, SCRIPT.replace("num_classes=10", "num_clases=3"))
    wrong = [item for item in actual if "(reportUnknown" not in item]  # what follows from it is unknown
    assert len(wrong) == 1 and wrong[0].startswith("line 5:") and "No overloads" in wrong[0]


def test_a_wrong_type_is_found(tmp_path):
    actual = errors(tmp_path, SCRIPT.replace("logits[0]", "logits.semantic"))
    assert len([item for item in actual if "(reportAttributeAccessIssue)" in item and item.startswith("line 9:")]) == 1


def test_mypy_knows_the_results_too(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed (make test-ecosystem installs it)")
    for number, script in enumerate((CLASSES, BOXES, SEGMENTS, WRONG)):
        (tmp_path / f"script_{number}.py").write_text(script)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *sorted(map(str, tmp_path.glob("*.py")))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, env={**os.environ, "MYPYPATH": str(ROOT)})
    assert [line for line in done.stdout.splitlines() if line.startswith("script_") and ": error:" in line] == [
        'script_3.py:6: error: "Detections" has no attribute "label"; maybe "labels"?  [attr-defined]'
    ]


def test_help_shows_the_arguments():
    from axialzoo.torch import axial_resnet50

    text = pydoc.render_doc(axial_resnet50, renderer=pydoc.plaintext)
    assert all(
        name in text for name in ("axial_resnet50(", "pretrained", "features_only", "out_indices", "num_classes", "in_channels", "span")
    )
    assert "(also" in text or "Source:" in text
