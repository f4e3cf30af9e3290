"""A user's script has no unknown types in pyright's strict mode, and a misspelt argument is found before it runs."""

from __future__ import annotations

import json
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


def errors(folder: Path, script: str) -> list[str]:
    """Messages of pyright's strict mode about `script` in its own project, with the interpreter of these tests."""
    (folder / "script.py").write_text(script)
    (folder / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "pythonVersion": "3.11", "include": ["script.py"]})
    )
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    said = json.loads(done.stdout)
    assert said["summary"]["filesAnalyzed"] >= 1, done.stderr
    return [f"line {item['range']['start']['line'] + 1}: {item['message']} ({item['rule']})" for item in said["generalDiagnostics"]]


def test_a_script_has_no_unknown_types(tmp_path):
    assert errors(tmp_path, SCRIPT) == []


def test_a_misspelt_argument_is_one_error(tmp_path):
    actual = errors(tmp_path, SCRIPT.replace("num_classes=10", "num_clases=3"))
    wrong = [item for item in actual if "(reportUnknown" not in item]  # what follows from it is unknown
    assert len(wrong) == 1 and wrong[0].startswith("line 5:") and "No overloads" in wrong[0]


def test_a_wrong_type_is_found(tmp_path):
    actual = errors(tmp_path, SCRIPT.replace("logits[0]", "logits.semantic"))
    assert len([item for item in actual if "(reportAttributeAccessIssue)" in item and item.startswith("line 9:")]) == 1


def test_help_shows_the_arguments():
    from axialzoo.torch import axial_resnet50

    text = pydoc.render_doc(axial_resnet50, renderer=pydoc.plaintext)
    assert all(
        name in text for name in ("axial_resnet50(", "pretrained", "features_only", "out_indices", "num_classes", "in_channels", "span")
    )
    assert "(also" in text or "Source:" in text
