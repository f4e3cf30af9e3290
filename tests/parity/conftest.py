"""One process for each back end of Keras, which runs `worker` once; PyTorch runs in the process of the tests."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.parity import common

ROOT = Path(__file__).resolve().parents[2]
Results = Mapping[str, np.ndarray]


class Measured(dict):
    """Name -> array; what is not there fails the test with the worker's errors."""

    def __missing__(self, name: str):
        errors = "\n".join(str(self[key]) for key in self if key.startswith("error/"))
        pytest.fail(f"the worker has not measured {name}\n{errors[-4000:]}", pytrace=False)


@pytest.fixture(scope="session")
def measured(tmp_path_factory) -> Callable[..., Results]:
    """What Keras gives on a back end: name -> array."""

    @functools.cache
    def run(backend: str, full: bool = False) -> Results:
        out = tmp_path_factory.mktemp("parity") / f"{backend}.npz"
        environment = {
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": str(ROOT),
            "JAX_ENABLE_X64": "1",
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_cpu_multi_thread_eigen=false",  # compiling is most of the work here
            "OMP_NUM_THREADS": "1",  # networks are small, and other processes are likely to want the cores
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_NUM_INTEROP_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
        }
        command = [sys.executable, "-m", "tests.parity.worker", str(out), *(["full"] if full else [])]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"the worker on {backend} failed:\n{done.stderr[-4000:]}", pytrace=False)
        with np.load(out) as file:
            return Measured(file)

    return run


@pytest.fixture(params=common.BACKENDS)
def backend(request) -> str:
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


@pytest.fixture
def results(measured, backend) -> Results:
    return measured(backend)
