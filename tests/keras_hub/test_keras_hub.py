"""keras-hub's own test case passes on our backbone, task, preprocessor and preset, on every back end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from axialzoo.runtime.frameworks import BACKENDS, installed

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_suite_of_keras_hub(backend):
    missing = [name for name in ("keras_hub", backend) if not installed(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; pip install 'axialzoo[keras-hub]'")
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(ROOT / "tests" / "keras_hub" / "suite.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "\nOK" in done.stderr and done.stdout.split()[0] == backend
