"""`axialzoo train --framework keras --devices 2` trains the model that one device trains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from axialzoo.spec import SpecError
from axialzoo.train import run
from tests.train.test_processes import SETTINGS, distance

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-3  # of a tensor's size, float32, after three steps of SGD


def train(data: Path, out: Path, devices: int, *more: str) -> subprocess.CompletedProcess[str]:
    flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "axialzoo", "train", "cifar10", "--data", str(data), "--out", str(out), "--framework", "keras"]
    command += [
        "--epochs",
        "1",
        "--batch-size",
        "4",
        "--devices",
        str(devices),
        *(part for setting in SETTINGS for part in ("--set", setting)),
    ]
    return subprocess.run([*command, *more], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=900)


@pytest.mark.full
def test_two_devices_train_the_model_of_one(image_folder, tmp_path):
    pytest.importorskip("jax")
    for name, devices, more in (("one", 1, ()), ("two", 2, ()), ("other", 1, ("--seed", "1"))):
        done = train(image_folder, tmp_path / name, devices, "--set", "drop_path=0", "--set", "ema_decay=0.4", *more)
        assert done.returncode == 0, done.stderr[-3000:]
    actual = distance(tmp_path / "one", tmp_path / "two")
    print(f"the largest difference is {actual:.1e}")
    assert actual < TOLERANCE < distance(tmp_path / "one", tmp_path / "other") / 10


@pytest.mark.full
def test_more_devices_than_there_are_and_batches_that_do_not_divide_are_refused(image_folder, tmp_path):
    pytest.importorskip("jax")
    done = train(image_folder, tmp_path / "run", 1, "--devices", "4")
    assert done.returncode == 1 and "devices: expected at least 4, found cpu:0" in done.stderr
    done = train(image_folder, tmp_path / "odd", 2, "--batch-size", "3")
    assert done.returncode == 1 and "batch_size: expected a multiple of the 2 devices, found 3" in done.stderr


def test_devices_are_of_keras(image_folder, tmp_path):
    with pytest.raises(SpecError, match="of Keras on JAX; expected framework 'keras', found 'torch'"):
        run("cifar10", image_folder, tmp_path / "run", devices=2)
