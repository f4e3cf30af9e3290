"""One process for each back end of Keras, which runs `worker` once; PyTorch runs in the process of the tests."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
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
def measured(tmp_path_factory, pytestconfig) -> Iterator[Callable[..., Results]]:
    """What Keras gives on a back end: name -> array. The workers of all back ends run at the same time."""
    folder, compiled = tmp_path_factory.mktemp("parity"), pytestconfig.cache.mkdir("jax")
    workers: dict[tuple[str, bool], subprocess.Popen] = {}

    def start(backend: str, full: bool) -> subprocess.Popen:
        environment = {
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": str(ROOT),
            "JAX_ENABLE_X64": "1",
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(compiled),  # compiling is most of the work
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_cpu_multi_thread_eigen=false",
            "OMP_NUM_THREADS": "1",
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_NUM_INTEROP_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
        }
        command = [sys.executable, "-m", "tests.parity.worker", str(folder / f"{backend}{full}.npz"), *(["full"] if full else [])]
        with open(folder / f"{backend}{full}.log", "w") as log:
            return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)

    @functools.cache
    def result(backend: str, full: bool = False) -> Results:
        for other in (backend, *common.BACKENDS):
            if (other, full) not in workers and installed(other):
                workers[other, full] = start(other, full)
        if workers[backend, full].wait():
            log = (folder / f"{backend}{full}.log").read_text()
            pytest.fail(f"the worker on {backend} failed:\n{log[-4000:]}", pytrace=False)
        with np.load(folder / f"{backend}{full}.npz") as file:
            return Measured(file)

    yield result
    for worker in workers.values():
        worker.kill()
        worker.wait()


def installed(backend: str) -> bool:
    return importlib.util.find_spec(backend) is not None


@pytest.fixture(params=common.BACKENDS)
def backend(request) -> str:
    if not installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    return request.param


@pytest.fixture
def results(measured, backend) -> Results:
    return measured(backend)
