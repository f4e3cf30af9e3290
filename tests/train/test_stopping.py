"""A run that cannot go on keeps its last good state: losses that are not finite, Ctrl-C, SIGTERM, missing packages."""

from __future__ import annotations

import json
import math
import os
import signal

import numpy as np
import pytest
import torch

from axialzoo.checkpoint import load_checkpoint
from axialzoo.data.batches import TrainBatches
from axialzoo.runtime import frameworks
from axialzoo.train import DivergedError, Interrupted, run
from axialzoo.train.log import Log
from axialzoo.train.state import FILE
from tests.train.test_torch import SMALL, read_state

KERAS = pytest.mark.backends("tensorflow", full=("jax", "torch"))


def batches(monkeypatch, change) -> None:
    """Call `change(step, images)` on the images of every batch."""
    honest = TrainBatches.__getitem__

    def batch(self, step):
        x, annotations = honest(self, step)
        change(step, x)
        return x, annotations

    monkeypatch.setattr(TrainBatches, "__getitem__", batch)


def spoil(monkeypatch, at: int) -> None:
    batches(monkeypatch, lambda step, x: x.fill(np.nan) if step == at else None)


def test_a_loss_that_is_not_finite_stops_the_run_at_its_step_and_keeps_the_last_state(zips, tmp_path, monkeypatch):
    spoil(monkeypatch, 7)
    with pytest.raises(DivergedError, match=r"loss of step 8 is nan.*state.safetensors has its last good state.*learning_rate=0.005"):
        run("cifar10", zips, tmp_path / "run", save_every=3, **SMALL)
    state = read_state(tmp_path / "run")
    assert state.notes.step == 6
    assert all(bool(np.isfinite(array).all()) for array in state.model.values())
    assert not (tmp_path / "run" / "model").exists()


def test_weights_that_are_not_finite_are_never_saved(zips, tmp_path, monkeypatch):
    from axialzoo.train.torch_loop import TorchLoop

    honest = TorchLoop.after_step

    def spoiled(self, losses):
        if self.step == 5:
            with torch.no_grad():
                next(self.model.parameters()).fill_(math.inf)
        honest(self, losses)

    monkeypatch.setattr(TorchLoop, "after_step", spoiled)
    with pytest.raises(DivergedError, match="after step 6 weights"):
        run("cifar10", zips, tmp_path / "run", save_every=3, **SMALL)
    assert read_state(tmp_path / "run").notes.step == 5  # scored and saved at the end of epoch 1


def test_a_run_whose_outputs_are_not_finite_stops_before_it_is_scored(zips, tmp_path, monkeypatch):
    from axialzoo.tasks.classification.task import ClassificationTask

    honest = ClassificationTask.decode
    monkeypatch.setattr(
        ClassificationTask, "decode", lambda self, outputs, *rest: honest(self, {"logits": outputs["logits"] * np.inf}, *rest)
    )
    with pytest.raises(DivergedError, match=r"after step 5 outputs are not finite .*learning_rate=0.005"):
        run("cifar10", zips, tmp_path / "run", save_every=3, **SMALL)


@pytest.mark.full
@KERAS
def test_keras_stops_at_a_loss_that_is_not_finite_too(zips, tmp_path, monkeypatch):
    spoil(monkeypatch, 7)
    with pytest.raises(DivergedError, match=r"loss of step 8 is nan.*state.safetensors has its last good state"):
        run("cifar10", zips, tmp_path / "run", save_every=3, framework="keras", **{**SMALL, "drop_path": 0.0})
    assert not (tmp_path / "run" / "model").exists()


def test_records_are_json_whatever_the_numbers(tmp_path):
    log = Log(tmp_path)
    log.write(step=1, loss=0.5, parts={"a": math.nan, "b": [math.inf, 1.0]})
    log.write(step=2, loss=math.nan)

    def refuse(name):
        raise AssertionError(name)

    rows = [json.loads(line, parse_constant=refuse) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == [{"step": 1, "loss": 0.5, "parts": {"a": None, "b": [None, 1.0]}}, {"step": 2, "loss": None}]
    assert log.draw().exists()


@pytest.fixture
def handled():
    """Python's own handler of Ctrl-C, which a shell's background jobs are started without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt(monkeypatch, number: int) -> None:
    """Send the signal while the batch of step 3 is made."""
    batches(monkeypatch, lambda step, x: os.kill(os.getpid(), number) if step == 3 else None)


@pytest.mark.usefixtures("handled")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_step_and_says_how_to_go_on(zips, tmp_path, monkeypatch, number):
    whole = run("cifar10", zips, tmp_path / "whole", **SMALL)
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        interrupt(patch, number)
        with pytest.raises(Interrupted, match=r"step \d of 10, whose state is saved in .*state.safetensors; go on .* --resume") as stopped:
            run("cifar10", zips, tmp_path / "run", **SMALL)
    assert stopped.value.signal == number and signal.getsignal(number) == before
    assert 1 <= read_state(tmp_path / "run").notes.step <= 5
    again = run("cifar10", zips, tmp_path / "run", resume=True, **SMALL)
    assert load_checkpoint(again).config.digest == load_checkpoint(whole).config.digest


@pytest.mark.backends("jax", full=("tensorflow", "torch"))  # JAX gives the state of a running step to nobody else
def test_a_signal_saves_the_step_in_keras_too(zips, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, signal.SIGTERM)
        with pytest.raises(Interrupted, match=r"stopped by SIGTERM after step \d of 10.*state.safetensors"):
            run("cifar10", zips, tmp_path / "run", framework="keras", **{**SMALL, "drop_path": 0.0})
    assert (tmp_path / "run" / FILE).exists()


@pytest.mark.parametrize("package", ["accelerate", "matplotlib"])
def test_missing_packages_are_named_with_their_extra_before_anything_is_written(zips, tmp_path, monkeypatch, package):
    honest = frameworks.installed
    monkeypatch.setattr(frameworks, "installed", lambda name: name != package and honest(name))
    with pytest.raises(
        ModuleNotFoundError, match=rf"needs {package}.*pip install 'axialzoo\[train\]' \(in a clone: pip install '\.\[train\]'"
    ):
        run("cifar10", zips, tmp_path / "run", **SMALL)
    assert not (tmp_path / "run").exists()


def test_evaluation_and_onnx_name_their_missing_packages_first(tmp_path, monkeypatch):
    from axialzoo.exports import export_model
    from axialzoo.train import evaluate

    monkeypatch.setattr(frameworks, "installed", lambda name: name not in ("pycocotools", "onnxscript"))
    with pytest.raises(ModuleNotFoundError, match=r"pycocotools.*axialzoo\[metrics\]"):
        evaluate("axial_fcos_blood_cells", tmp_path / "no data")
    with pytest.raises(ModuleNotFoundError, match=r"writing ONNX needs onnxscript.*axialzoo\[export\]"):
        export_model("axial_resnet_cifar10_xs", tmp_path / "a.onnx", framework="torch")
