"""A run begun in one framework goes on in another: the same weights, moments, running average and batches, in float64."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from axialzoo.checkpoint import CheckpointError, digest, load_checkpoint, read_safetensors, write_safetensors
from axialzoo.spec import adapt, get_entry
from axialzoo.train import Interrupted, run
from axialzoo.train.recipe import load_recipe
from axialzoo.train.state import FILE, KEY, read_state

OPTIMIZERS = {"sgd": {"learning_rate": 0.01}, "adamw": {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.05}}
MODEL = "axial_resnet_cifar10_xs"
OTHER = {"torch": "keras", "keras": "torch"}
FULL = pytest.mark.full
SIZES = ((0.5, 16), (1.0, 24))


class Runs:
    """Runs of 40 steps (or of another number of epochs of 5), whole and stopped half way; each is made once."""

    def __init__(self, data: Path, place: Path, epochs: int, sizes=SIZES):
        self.data, self.place, self.epochs, self.sizes = data, place, epochs, sizes

    def train(self, folder: Path, optimizer: str, framework: str, **changes) -> Path:
        recipe = dict(
            model=MODEL, batch_size=8, holdout=8, epochs=self.epochs, eval_every=self.epochs, precision="float64",
            progressive_sizes=self.sizes, drop_path=0.0, ema_decay=0.9, **OPTIMIZERS[optimizer],
        )  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("axialzoo.train.loop.Log.draw", lambda log: None)
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

    def resumed(self, folder: Path, optimizer: str, begun: str, framework: str, plant=None) -> Path:
        """Go on in a framework with a half run that was begun in another; `plant` changes its state."""
        shutil.copytree(self.half(optimizer, begun), folder)
        if plant is not None:
            change(folder / FILE, plant)
        message = pytest.warns(UserWarning, match=f"from {begun} to {framework}") if begun != framework else contextlib.nullcontext()
        with message:
            return self.train(folder, optimizer, framework, resume=True)


def change(path: Path, plant) -> None:
    """Change the tensors and the notes of a state."""
    tensors, metadata = read_safetensors(path)
    tensors, notes = {name: array.copy() for name, array in tensors.items()}, json.loads(metadata[KEY])
    plant(tensors, notes)
    write_safetensors(path, tensors, {KEY: json.dumps({**notes, "digest": digest(tensors)})})


@pytest.fixture(scope="module")
def runs(zips, tmp_path_factory):
    return Runs(zips, tmp_path_factory.mktemp("runs"), 8)


@pytest.fixture(scope="module")
def short(zips, tmp_path_factory):
    return Runs(zips, tmp_path_factory.mktemp("short"), 1, ((1.0, 16),))


def furthest(folder: Path, other: Path) -> float:
    """Return the largest relative distance between weights and averages of two runs."""
    item, two = (read_safetensors(path / FILE)[0] for path in (folder, other))
    names = [name for name in item if name.startswith(("model/", "ema/"))]
    assert names and all(name in two for name in names)
    return max(float(np.abs(item[name] - two[name]).max() / max(np.abs(item[name]).max(), 1e-3)) for name in names)


def of_keras(tensors, notes) -> None:
    """Write a state of PyTorch as Keras would have written it."""
    for name in [name for name in tensors if name.startswith("momentum_buffer/")]:
        tensors[name.replace("momentum_buffer", "velocity")] = -notes["rate"] * tensors.pop(name)
    notes["framework"] = "keras"


def scaled(factor):
    """Return a change of the moments of SGD."""

    def change(tensors, notes):
        of_keras(tensors, notes)
        for name in tensors:
            if name.startswith("velocity/"):
                tensors[name] *= factor(notes)

    return change


def counted(value):
    return lambda tensors, notes: notes.update(counts=dict.fromkeys(notes["counts"], value))


def swapped(tensors, notes) -> None:
    for name in [name for name in tensors if name.startswith("exp_avg/")]:
        other = name.replace("exp_avg", "exp_avg_sq")
        tensors[name], tensors[other] = tensors[other], abs(tensors[name])


@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adamw", marks=pytest.mark.full)])
def test_a_state_of_keras_goes_on_in_pytorch(short, tmp_path, optimizer):
    folder = short.resumed(tmp_path / "run", optimizer, "torch", "torch", of_keras)
    assert furthest(folder, short.whole(optimizer, "torch")) < 1e-12


@pytest.mark.parametrize(
    ("optimizer", "plant"),
    [
        ("sgd", scaled(lambda notes: -1)),  # the sign
        pytest.param("sgd", scaled(lambda notes: 1 / notes["rate"]), marks=FULL),  # the learning rate, which PyTorch's moments lack
        pytest.param("adamw", counted(0), marks=FULL),  # the correction of the bias
        pytest.param("adamw", swapped, marks=FULL),
        pytest.param("sgd", lambda tensors, notes: notes.update(ema_updates=0), marks=FULL),
    ],
)
def test_planted_errors_would_be_seen(short, tmp_path, optimizer, plant):
    folder = short.resumed(tmp_path / "run", optimizer, "torch", "torch", plant)
    assert furthest(folder, short.whole(optimizer, "torch")) > 1e-6


@pytest.mark.backends("tensorflow")
def test_a_run_of_pytorch_goes_on_in_keras(short, tmp_path):
    folder = short.resumed(tmp_path / "run", "adamw", "torch", "keras")
    assert furthest(folder, short.whole("adamw", "torch")) < 1e-8
    said = load_checkpoint(folder / "model").config.provenance
    assert said["frameworks"] == [{"framework": "torch", "until_step": 2}, {"framework": "keras", "until_step": 5}]


@pytest.mark.full
@pytest.mark.backends("tensorflow", "jax", "torch")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("framework", OTHER)
def test_half_a_run_in_each_framework_is_a_whole_run_in_one(runs, tmp_path, framework, optimizer):
    folder = runs.resumed(tmp_path / "run", optimizer, OTHER[framework], framework)
    distance = furthest(folder, runs.whole(optimizer, OTHER[framework]))
    print(f"to {framework}, {optimizer}: {distance:.1e}")
    assert distance < 1e-8


@pytest.mark.full
@pytest.mark.backends("tensorflow")
def test_an_epsilon_that_is_not_corrected_would_be_seen(short, tmp_path, monkeypatch):
    import keras

    monkeypatch.setattr("axialzoo.train.keras_loop.AdamW", keras.optimizers.AdamW)
    folder = short.resumed(tmp_path / "run", "adamw", "torch", "keras")
    assert furthest(folder, short.whole("adamw", "torch")) > 1e-7


@pytest.mark.full
def test_the_time_of_a_run_is_that_of_all_its_parts(short, tmp_path):
    folder = short.resumed(tmp_path / "run", "sgd", "torch", "torch", lambda tensors, notes: notes.update(seconds=1000.0))
    assert 1000 <= load_checkpoint(folder / "model").config.provenance["seconds"] < 1100


@pytest.mark.parametrize(
    ("plant", "text"),
    [
        (lambda tensors, notes: tensors.pop("model/stem.0.conv.weight"), "model: expected the tensors of the model.*stem.0.conv.weight"),
        (lambda tensors, notes: notes.update(step=-1), "expected the numbers of a state"),
        (lambda tensors, notes: notes.update(optimizer="adamw"), "expected the state of the optimizer 'sgd', found 'adamw'"),
        (lambda tensors, notes: [tensors.pop(name) for name in list(tensors) if name.startswith("ema/")], "running average of the weights"),
        (lambda tensors, notes: notes.update(extra=1), "unexpected keyword argument 'extra'"),
    ],
)
def test_states_that_do_not_fit_are_refused(short, tmp_path, plant, text):
    path = shutil.copy(short.half("sgd", "torch") / FILE, tmp_path / FILE)
    spec, recipe = adapt(get_entry(MODEL).spec, num_classes=3), load_recipe("cifar10", model=MODEL, ema_decay=0.9)
    assert read_state(path, spec, recipe).notes.step == 2
    change(path, plant)
    with pytest.raises(CheckpointError, match=text):
        read_state(path, spec, recipe)
    path.write_bytes(path.read_bytes()[:-3] + b"abc")
    with pytest.raises(CheckpointError, match=r"state.safetensors"):
        read_state(path, spec, recipe)


@pytest.mark.full
def test_states_of_earlier_versions_go_on_in_their_framework_and_are_refused_in_others(short, tmp_path, monkeypatch):
    import torch

    from axialzoo.train.torch_loop import TorchLoop

    def save(loop):
        average = {} if loop.ema is None else {"average": loop.ema.tensors}
        state = {"model": loop.model.state_dict(), "optimizer": loop.optimizer.state_dict(), "step": loop.step, **average}
        torch.save(state, loop.job.folder / "state.pth")

    with monkeypatch.context() as patch:
        patch.setattr(TorchLoop, "save_state", save)
        short = Runs(short.data, tmp_path, short.epochs, short.sizes)
        folder = short.half("sgd", "torch")
    (folder / "state.weights.h5").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"state.weights.h5: expected the state of a run in torch, found one of keras"):
        (folder / "state.pth").rename(folder / "away")
        short.train(folder, "sgd", "torch", resume=True)
    (folder / "state.weights.h5").unlink()
    (folder / "away").rename(folder / "state.pth")
    short.train(folder, "sgd", "torch", resume=True)
    assert furthest(folder, short.whole("sgd", "torch")) == 0 and not (folder / "state.pth").exists()
