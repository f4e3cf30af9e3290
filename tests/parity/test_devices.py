"""Keras on JAX trains on two devices as on one: statistics are those of the whole batch, without any setting."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.parity import common
from tests.parity.reference import relative

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-9  # relative, float64, after ten steps


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> Mapping[int, Mapping[str, np.ndarray]]:
    """What training on one and on two devices ends at: devices -> name of the case and tensor -> array."""
    pytest.importorskip("jax")
    folder, found = tmp_path_factory.mktemp("devices"), {}
    for devices in (1, 2):
        environment = {
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_ENABLE_X64": "1",
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "tests.parity.devices", str(folder / f"{devices}.npz")]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        with np.load(folder / f"{devices}.npz") as file:
            found[devices] = dict(file)
    return found


@pytest.mark.parametrize("name", common.DEVICES)
def test_two_devices_end_where_one_ends(ended, name):
    assert (ended[1]["shares"], ended[2]["shares"]) == (1, 2)
    start = common.tensors(common.DEVICES[name].spec, last_gamma=0.1)
    wanted, found = ({tensor: of[f"{name}/{tensor}"] for tensor in start} for of in (ended[1], ended[2]))
    assert max(relative(found[tensor], wanted[tensor], 1e-3) for tensor in start) <= TOLERANCE
    assert max(relative(start[tensor], wanted[tensor], 1e-3) for tensor in start) > 1e-2


def test_statistics_of_each_half_of_the_batch_are_caught(ended):
    names = common.tensors(common.DEVICES["whole"].spec)
    assert max(relative(ended[1][f"halves/{name}"], ended[1][f"whole/{name}"], 1e-3) for name in names) > 1e5 * TOLERANCE
