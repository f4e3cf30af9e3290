"""Keras on JAX trains on two devices as on one: statistics are those of the whole batch, without any setting."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from axialzoo.spec import entry, list_models, parameters
from tests.parity import common
from tests.parity.reference import relative

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-9  # relative, float64, after ten steps


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> Mapping[str, Mapping[str, np.ndarray]]:
    """What training on one device and on two ends at: how -> name of the case and tensor -> array."""
    pytest.importorskip("jax")
    folder, found = tmp_path_factory.mktemp("devices"), {}
    for how, devices in (("one", 1), ("data", 2), ("model", 2)):
        environment = {
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_ENABLE_X64": "1",
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "tests.parity.devices", str(folder / f"{how}.npz"), how if devices > 1 else "data"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        with np.load(folder / f"{how}.npz") as file:
            found[how] = dict(file)
    return found


@pytest.mark.parametrize("how", ["data", "model"])
@pytest.mark.parametrize("name", common.DEVICES)
def test_two_devices_end_where_one_ends(ended, name, how):
    assert (ended["one"]["shares"], ended["data"]["shares"]) == (1, 2)
    start = common.tensors(common.DEVICES[name].spec, last_gamma=0.1)
    wanted, found = ({tensor: of[f"{name}/{tensor}"] for tensor in start} for of in (ended["one"], ended[how]))
    assert max(relative(found[tensor], wanted[tensor], 1e-3) for tensor in start) <= TOLERANCE
    assert max(relative(start[tensor], wanted[tensor], 1e-3) for tensor in start) > 1e-2


def test_statistics_of_each_half_of_the_batch_are_caught(ended):
    names = common.tensors(common.DEVICES["whole"].spec)
    assert max(relative(ended["one"][f"halves/{name}"], ended["one"][f"whole/{name}"], 1e-3) for name in names) > 1e5 * TOLERANCE


@pytest.mark.parametrize("devices", [2, 8])
def test_the_largest_model_is_cut_almost_wholly(devices):
    """What a device holds, of parameters that all would hold whole, is little more than its share."""
    pytest.importorskip("keras")
    from axialzoo.keras.distribution import layout_of

    largest = max((entry(name).spec for name in list_models()), key=lambda spec: sum(one.size for one in parameters(spec)))
    layout, every = layout_of(largest, devices), parameters(largest)
    cut = sum(one.size for one in every if one.keras_name.replace(".", "/") in layout)
    projections = [one for one in every if one.role == "linear" and one.size >= 1 << 16]
    assert projections and all(one.keras_name.replace(".", "/") in layout for one in projections)
    assert cut > 0.97 * sum(one.size for one in every)
