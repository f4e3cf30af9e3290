"""A run begun in one framework goes on in another: the same weights, moments, running average and batches, in float64."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from axialzoo.checkpoint import digest, read_safetensors, write_safetensors
from axialzoo.train import Interrupted, run
from axialzoo.train.state import FILE, KEY

OPTIMIZERS = {"sgd": {"learning_rate": 0.01}, "adamw": {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.05}}
OTHER = {"torch": "keras", "keras": "torch"}
EVERY = pytest.mark.backends("tensorflow", "jax", "torch")
ONE = pytest.mark.backends("tensorflow")


class Runs:
    """Runs of 40 steps (or of another number of epochs of 5), whole and stopped half way; each is made once."""

    def __init__(self, data: Path, place: Path, epochs: int):
        self.data, self.place, self.epochs = data, place, epochs

    def train(self, folder: Path, optimizer: str, framework: str, **changes) -> Path:
        recipe = dict(
            model="axial_resnet_cifar10_xs", batch_size=8, holdout=8, epochs=self.epochs, eval_every=self.epochs, precision="float64",
            progressive_sizes=((0.5, 16), (1.0, 24)), drop_path=0.0, ema_decay=0.9, **OPTIMIZERS[optimizer],
        )  # fmt: skip
        run("cifar10", self.data, folder, framework=framework, **{**recipe, **changes})
        return folder

    def whole(self, optimizer: str, framework: str) -> Path:
        folder = self.place / f"{optimizer}-{framework}"
        return folder if folder.exists() else self.train(folder, optimizer, framework)

    def half(self, optimizer: str, framework: str) -> Path:
        folder, steps = self.place / f"{optimizer}-{framework}-half", 5 * self.epochs // 2
        if not folder.exists():

            def stop(loop):
                raise Interrupted("stopped", 2)

            with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
                patch.setattr("axialzoo.train.loop.TrainLoop._stop_if_asked", stop)
                self.train(folder, optimizer, framework, save_every=steps)
        return folder

    def resumed(self, folder: Path, optimizer: str, framework: str, plant=None) -> Path:
        """Go on from a half run in another framework; `plant` spoils its state."""
        shutil.copytree(self.half(optimizer, OTHER[framework]), folder)
        if plant is not None:
            tensors, metadata = read_safetensors(folder / FILE)
            tensors, notes = {name: array.copy() for name, array in tensors.items()}, json.loads(metadata[KEY])
            plant(tensors, notes)
            write_safetensors(folder / FILE, tensors, {KEY: json.dumps({**notes, "digest": digest(tensors)})})
        return self.train(folder, optimizer, framework, resume=True)


@pytest.fixture(scope="module")
def runs(zips, tmp_path_factory):
    return Runs(zips, tmp_path_factory.mktemp("runs"), 8)


@pytest.fixture(scope="module")
def short(zips, tmp_path_factory):
    return Runs(zips, tmp_path_factory.mktemp("short"), 2)


def furthest(folder: Path, other: Path) -> float:
    """Return the largest relative distance between weights and averages of two runs."""
    item, two = (read_safetensors(path / FILE)[0] for path in (folder, other))
    names = [name for name in item if name.startswith(("model/", "ema/"))]
    assert names and all(name in two for name in names)
    return max(float(np.abs(item[name] - two[name]).max() / max(np.abs(item[name]).max(), 1e-3)) for name in names)


@pytest.mark.full
@EVERY
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("framework", OTHER)
def test_half_a_run_in_each_framework_is_a_whole_run_in_one(runs, tmp_path, framework, optimizer):
    folder = runs.resumed(tmp_path / "run", optimizer, framework)
    distances = [furthest(folder, runs.whole(optimizer, name)) for name in OTHER]
    assert max(distances) < 1e-8, distances
    print("DIST", framework, optimizer, distances)
