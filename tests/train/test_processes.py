"""The commands of the help that start two processes do start two, and train the model that one would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axialzoo.checkpoint import load_checkpoint

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-5  # of a tensor's size, float32, after nine steps of AdamW or six of SGD
SETTINGS = (
    "model=axial_resnet_cifar10_xs", "holdout=0", "progressive_sizes=[]", "augment=resized_crop", "precision=float32", "drop_path=0.2",
    "learning_rate=0.001",
)  # fmt: skip
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ACCELERATE = ["-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu", "--mixed_precision", "no", "--num_machines", "1"]


def train(
    launcher: list[str], data: Path, out: Path, seed: int = 0, recipe: str = "cifar10", settings: tuple[str, ...] = SETTINGS
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *launcher, "-m", "axialzoo", "train", recipe, "--data", str(data), "--out", str(out)]
    command += ["--epochs", "3", "--batch-size", "4", "--seed", str(seed)]
    command += [part for setting in settings for part in ("--set", setting)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600)


def distance(one: Path, other: Path) -> float:
    """The largest difference of two tensors of one name, over the largest value of the first; of means, over the deviation."""
    a, b = (load_checkpoint(folder / "model").tensors for folder in (one, other))

    def size(name: str) -> float:
        of = name.replace("running_mean", "running_var")
        return max(float(np.abs(a[name]).max()), 1e-3 if of == name else float(np.sqrt(a[of].max())))

    return max(float(np.abs(a[name] - b[name]).max()) / size(name) for name in a)


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


@pytest.fixture(scope="module")
def smears(tmp_path_factory) -> Path:
    """Pictures with one to five boxes: the shares of two processes have different numbers."""
    folder, random = tmp_path_factory.mktemp("smears"), np.random.default_rng(0)
    for part in ("images", "labels"):
        (folder / part / "train").mkdir(parents=True)
    (folder / "data.yaml").write_text("names: [red, white]\nnc: 2\n")
    for index in range(8):
        Image.fromarray(random.integers(0, 255, (64, 64, 3), np.uint8)).save(folder / "images" / "train" / f"{index}.png")
        boxes = [(*random.uniform(0.3, 0.7, 2), *random.uniform(0.2, 0.5, 2)) for _ in range(1 + index % 5)]
        lines = [f"{number % 2} {' '.join(f'{value:.4f}' for value in box)}\n" for number, box in enumerate(boxes)]
        (folder / "labels" / "train" / f"{index}.txt").write_text("".join(lines))
    return folder


@pytest.mark.full
def test_two_processes_divide_the_loss_of_boxes_as_one_does(smears, tmp_path):
    settings = (
        "model=axial_fcos_blood_cells_xs", "holdout=0", "progressive_sizes=[[1.0, 64]]", "precision=float32", "ema_decay=0",
        "optimizer=sgd", "learning_rate=0.002",
    )  # fmt: skip  # AdamW takes little notice of how large a gradient is
    for name, launcher in (("one", []), ("two", TORCHRUN)):
        done = train(launcher, smears, tmp_path / name, recipe="blood_cells", settings=settings)
        assert done.returncode == 0, done.stderr[-3000:]
    assert distance(tmp_path / "one", tmp_path / "two") < TOLERANCE


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
