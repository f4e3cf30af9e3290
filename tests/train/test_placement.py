"""Training computes on the device that its user names: model, images, targets, optimizer and average alike. No accelerator is needed."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from axialzoo.runtime.device import DeviceError
from axialzoo.spec import SpecError
from axialzoo.train import run, torch_loop

SETTINGS = {
    "model": "axial_resnet_cifar10_xs", "holdout": 0, "progressive_sizes": (), "augment": "resized_crop", "batch_size": 4, "epochs": 1,
    "precision": "float32", "ema_decay": 0.5, "drop_path": 0.2,
}  # fmt: skip


class Placements(TorchDispatchMode):
    """Keeps the kinds of devices that operations compute on, and the operations whose tensors lie on several."""

    def __init__(self):
        super().__init__()
        self.kinds: dict[str, int] = {}
        self.mixed: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kinds = {leaf.device.type for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, torch.Tensor) and leaf.dim()}
        if len(kinds) > 1:
            self.mixed.append(str(func))
        for kind in kinds:
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
        return func(*args, **(kwargs or {}))


def trained(image_folder, out, monkeypatch) -> Placements:
    """A training of three steps on `meta`, which ends where the loss is to be read: there is none."""
    monkeypatch.setattr(torch_loop, "find_device", lambda *_, **__: "meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # which `meta` has not
    with Placements() as placements, pytest.raises((RuntimeError, NotImplementedError)) as ended:
        run("cifar10", image_folder, out, **SETTINGS)
    if "meta" not in str(ended.value):
        raise ended.value
    return placements


def test_everything_of_a_training_step_lies_on_one_device(image_folder, tmp_path, monkeypatch):
    placements = trained(image_folder, tmp_path / "run", monkeypatch)
    assert placements.mixed == [] and placements.kinds["meta"] > 1000


def test_targets_that_stay_behind_are_caught(image_folder, tmp_path, monkeypatch):
    honest = torch_loop.on_device
    monkeypatch.setattr(torch_loop, "on_device", lambda targets, device, dtype=None: honest(targets, torch.device("cpu"), dtype))
    try:
        mixed = trained(image_folder, tmp_path / "run", monkeypatch).mixed
    except RuntimeError as error:  # PyTorch itself may refuse it first
        mixed = [str(error)]
    assert mixed


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(image_folder, tmp_path):
    with pytest.raises(DeviceError, match="PyTorch expected one of auto, cpu"):
        run("cifar10", image_folder, tmp_path / "run", device="cuda:99", **SETTINGS)
    with pytest.raises(SpecError, match="several devices train together"):
        run("cifar10", image_folder, tmp_path / "run", framework="keras", device="cpu", devices=2, **SETTINGS)
    assert not (tmp_path / "run").exists()
