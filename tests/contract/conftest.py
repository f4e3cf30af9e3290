"""One process for each framework and back end, which knows the toy head; this process never does."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("torch", "keras-tensorflow", "keras-jax", "keras-torch")


@pytest.fixture(scope="session")
def worker(tmp_path_factory, pytestconfig) -> Callable[..., dict[str, Any]]:
    """What `tests.contract.worker` finds in a place: of the contract, or, with a folder of data, of the toy that it trains."""
    compiled = pytestconfig.cache.mkdir("jax")

    @functools.cache
    def found(place: str, data: Path | None = None) -> dict[str, Any]:
        framework, _, backend = place.partition("-")
        folder = tmp_path_factory.mktemp(place)
        environment = {
            **os.environ,
            "KERAS_BACKEND": backend or "torch",
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(compiled),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_cpu_multi_thread_eigen=false",
            "OMP_NUM_THREADS": "1",
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_NUM_INTEROP_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
        }
        out = folder / "found.json"
        command = [sys.executable, "-m", "tests.contract.worker", framework, str(out), *([str(data), str(folder)] if data else [])]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            pytest.fail(f"the worker in {place} failed:\n{done.stderr[-4000:]}", pytrace=False)
        return json.loads(out.read_text())

    return found


@pytest.fixture(params=PLACES)
def place(request) -> str:
    needed = request.param.split("-")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    return request.param
