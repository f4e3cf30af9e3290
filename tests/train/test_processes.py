"""The commands of the help that start two processes do start two, and train the model that one would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from axialzoo.checkpoint import load_checkpoint

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-6  # of a tensor's largest value, float32, after nine steps
SETTINGS = (
    "model=axial_resnet_cifar10_xs", "holdout=0", "sizes=[]", "augment=resized_crop", "precision=float32", "drop_path=0.2",
    "learning_rate=0.001",
)  # fmt: skip
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ACCELERATE = ["-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu", "--mixed_precision", "no", "--num_machines", "1"]


def train(launcher: list[str], data: Path, out: Path, seed: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *launcher, "-m", "axialzoo", "train", "cifar10", "--data", str(data), "--out", str(out)]
    command += ["--epochs", "3", "--batch-size", "4", "--seed", str(seed)]
    command += [part for one in SETTINGS for part in ("--set", one)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600)


def distance(one: Path, other: Path) -> float:
    a, b = (load_checkpoint(folder / "model").tensors for folder in (one, other))
    return max(float(np.abs(a[name] - b[name]).max() / max(np.abs(a[name]).max(), 1e-3)) for name in a)


@pytest.fixture(scope="module")
def runs(image_folder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, launcher, seed in (("one", [], 0), ("two", TORCHRUN, 0), ("other", [], 1)):
        done = train(launcher, image_folder, folder / name, seed)
        assert done.returncode == 0, done.stderr[-3000:]
        (folder / f"{name}.txt").write_text(done.stderr + done.stdout)
    return folder


@pytest.mark.full
def test_two_processes_train_the_model_of_one(runs):
    processes = [load_checkpoint(runs / name / "model").config.provenance["processes"] for name in ("one", "two")]
    assert processes == [1, 2]
    assert distance(runs / "one", runs / "two") < TOLERANCE


@pytest.mark.full
def test_another_order_of_the_pictures_would_be_seen(runs):
    assert distance(runs / "one", runs / "other") > 100 * TOLERANCE


@pytest.mark.full
def test_the_first_process_alone_says_that_it_trained(runs):
    assert (runs / "two.txt").read_text().count("trained:") == 1


@pytest.mark.full
def test_a_launcher_that_starts_one_process_of_two_is_found_out(image_folder, tmp_path):
    done = train(ACCELERATE, image_folder, tmp_path / "run")
    assert done.returncode != 0 and "started one, as it does on CPUs; start them with" in done.stderr
    assert not (tmp_path / "run").exists()


def test_what_accelerate_leaves_in_the_environment_is_found_out(image_folder, monkeypatch):
    from axialzoo.train.run import launched

    for name in ("WORLD_SIZE", "ACCELERATE_MIXED_PRECISION", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    assert launched() == 1
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    assert launched() == 1  # one was asked for
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(RuntimeError, match=r"torch\.distributed\.run --nproc-per-node 2"):
        launched()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert launched() == 2
