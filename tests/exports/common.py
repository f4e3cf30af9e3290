"""``axialzoo export`` in a process of its own, which Keras's back ends need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from axialzoo.exports import FORMATS
from axialzoo.runtime.frameworks import installed

ROOT = Path(__file__).resolve().parents[2]
NEEDS = {".onnx": ("onnx", "onnxscript", "onnxruntime")}
TARGETS = {".pt2": "model.pt2", ".onnx": "model.onnx", ".tflite": "model.tflite", "": "model"}


def exported(source: str | Path, target: Path, place: str, sizes: str) -> subprocess.CompletedProcess:
    framework, _, backend = place.partition("-")
    command = [sys.executable, "-m", "axialzoo", "export", str(source), str(target), "--framework", framework, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **({"KERAS_BACKEND": backend} if backend else {})}
    options = ["--dynamic-shapes"] if sizes == "any" else []
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=900, check=False, env=environment, cwd=target.parent
    )


def skip_where_missing(place: str, suffix: str) -> None:
    missing = [name for name in (*NEEDS.get(suffix, ()), place.partition("-")[2] or "torch") if not installed(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; pip install 'axialzoo[export]'")


def check_written(source: str | Path, folder: Path, place: str, suffix: str, sizes: str) -> None:
    """Writes a model, which compares it, and looks at what is said of the comparison."""
    skip_where_missing(place, suffix)
    done = exported(source, folder / TARGETS[suffix], place, sizes)
    assert done.returncode == 0, done.stderr[-3000:]
    report: dict[str, Any] = json.loads(done.stdout)
    assert (report["framework"], report["format"]) == (place, FORMATS[suffix])
    assert (
        len(report["compared"]) == (7 if sizes == "any" else 2)
        and max(item.get("exact", item["error"]) for item in report["compared"]) <= 1e-5
    )
    assert (folder / TARGETS[suffix]).exists()
    if suffix == ".onnx":
        import onnx

        graph = onnx.load(folder / TARGETS[suffix], load_external_data=False).graph
        assert {value.type.tensor_type.shape.dim[0].dim_param for value in (*graph.input, *graph.output)} == {"batch"}
