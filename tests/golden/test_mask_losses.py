"""Losses of mask transformers and their gradients are deeplab2's, in PyTorch and in Keras on every back end; planted errors are seen."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from axialzoo.matching import UnmatchedMasksWarning, match_masks
from axialzoo.torch import build
from axialzoo.torch.losses import mask_transformer
from converters.deeplab2_names import places
from tests.golden import masks
from tests.golden.masks import LOSS_CASES, TRAINING, described, stored, tensors_of
from tests.golden.test_torch_golden import load

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = (pytest.param("tensorflow", marks=pytest.mark.full), pytest.param("jax", marks=pytest.mark.full), "torch")
LOSS, GRADIENT = 1e-5, 1e-4  # relative
ALL = [(file, case) for file, cases in LOSS_CASES.items() for case in cases]


def first(x: np.ndarray) -> torch.Tensor:
    """Channels last to channels first."""
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x))


def pytorch(file: str, case: str, change=lambda outputs: outputs) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    outputs, targets, settings = masks.loss_case(file, case)
    outputs = {name: first(x).requires_grad_() for name, x in change(outputs).items()}
    noise = None if settings["noise"] is None else [torch.from_numpy(setting) for setting in settings["noise"]]
    tensors = {name: torch.from_numpy(x) for name, x in targets.items()}
    losses = mask_transformer.image_losses(outputs, tensors, **{**settings, "noise": noise}, corners="aligned")
    sum(values.sum() for values in losses.values()).backward()
    gradients = {name: x.grad.numpy() if x.dim() == 3 else np.moveaxis(x.grad.numpy(), 1, -1) for name, x in outputs.items()}
    return {name: values.detach().numpy() for name, values in losses.items()}, gradients


@cache
def keras(backend: str, folder: Path) -> dict[str, np.ndarray]:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "",
                   "XLA_FLAGS": "--xla_backend_optimization_level=0"}  # fmt: skip
    command = [sys.executable, "-m", "tests.golden.masks_worker", str(folder / f"{backend}.npz")]
    run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    assert run.returncode == 0, run.stderr[-4000:]
    with np.load(folder / f"{backend}.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("masks")


def compare(file: str, case: str, losses: dict[str, np.ndarray], gradients: dict[str, np.ndarray]) -> None:
    arrays = stored(file)
    expected = {name: arrays[f"{case}/loss/{masks.their_loss(name)}"] for name in losses}
    assert len(losses) == (29 if file == "kmax_losses" else 5)
    for name, values in losses.items():
        assert np.abs(values - expected[name]).max() <= LOSS * max(np.abs(expected[name]).max(), 1), name
    keys = [key for key in arrays if key.startswith(f"{case}/grad/")]
    ours = {their: name for name, their in masks.KEYS.items()}
    for key in keys:
        *number, name = key.removeprefix(f"{case}/grad/").split("/")
        prefix = f"auxiliary.{int(number[0]) - 1}." if number and number[0] != "0" else ""
        assert masks.relative(gradients[prefix + ours[name]], arrays[key]) <= GRADIENT, key
    assert len(keys) >= 4


@pytest.mark.parametrize(("file", "case"), ALL)
def test_losses_and_gradients_are_theirs_in_pytorch(file, case):
    compare(file, case, *pytorch(file, case))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("file", "case"), ALL)
def test_losses_and_gradients_are_theirs_in_keras(file, case, backend, folder):
    actual = keras(backend, folder)
    losses, gradients = (
        {key.removeprefix(f"{case}/{kind}/"): value for key, value in actual.items() if key.startswith(f"{case}/{kind}/")}
        for kind in ("loss", "grad")
    )
    compare(file, case, losses, gradients)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("file", masks.CASES)
def test_outputs_are_theirs_in_keras(file, backend, folder):
    actual = keras(backend, folder)
    for name, key in masks.output_keys(file).items():
        assert masks.relative(actual[f"{file}/{name}"], stored(file)[key]) <= 2e-5, name


@pytest.mark.parametrize("file", TRAINING)
def test_a_step_of_training_is_theirs(file, monkeypatch):
    spec, slots, sample_k, tolerance = TRAINING[file]
    monkeypatch.setattr(mask_transformer, "match_masks", masks.their_matching(slots))
    model, messages, arrays = load(build(spec), tensors_of(spec)).train(), described(file), stored(file)
    outputs = model(torch.from_numpy(masks.images(2)))
    targets = {name: torch.from_numpy(x) for name, x in masks.training_targets(file).items()}
    key = next((key for key in arrays if key.endswith("sampling/uniform")), None)
    noise = None if key is None else [torch.from_numpy(-np.log(-np.log(array))) for array in arrays[key]]
    losses = mask_transformer.image_losses(outputs, targets, (3.0, 0.3, 1.0, 1.0), (1.0, 1.0, 1.0), sample_k, 1.5, noise, "aligned")
    for name, values in losses.items():
        expected = np.array(messages["losses"][masks.their_loss(name)])
        assert np.abs(values.detach().numpy() - expected).max() <= 1e-4 * np.abs(expected).max(), name
    sum(values.sum() for values in losses.values()).backward()
    norms = dict(zip(messages["grad_l2_names"], arrays["train/grad_l2"], strict=True))
    names, gradients = {place.path(): place.name for place in places(spec)}, dict(model.named_parameters())
    for key, expected in norms.items():
        if expected > 1e-3 * max(norms.values()):  # others are zero in exact arithmetic
            assert abs(float(gradients[names[key]].grad.norm()) - expected) <= tolerance * expected, key


def test_more_masks_than_slots_are_left_out_with_a_warning():
    similarity = np.array([[[0.9, 0.2], [0.8, 0.1], [0.1, 0.3]]])
    with pytest.warns(UnmatchedMasksWarning, match="1 masks of 1 images"):
        assert match_masks(similarity, np.ones((1, 3), bool)).tolist() == [[0, -1, 1]]


OVERFULL = "dl2_max_losses_overfull"


@pytest.mark.parametrize("case", [case for case in described(OVERFULL) if not case.startswith("_")])
def test_losses_of_more_masks_than_slots_differ_from_theirs_by_the_masks_without_a_slot_alone(case):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        losses = pytorch(OVERFULL, case)[0]
    described_case = described(OVERFULL)[case]
    overfull = np.array(described_case["existing_masks"]) > described_case["num_mask_slots"]
    assert any(issubclass(warning.category, UnmatchedMasksWarning) for warning in seen) == overfull.any()
    for name, values in losses.items():
        expected = stored(OVERFULL)[f"{case}/loss/{masks.their_loss(name)}"]
        difference = np.abs(values - expected) / max(np.abs(expected).max(), 1)
        assert (difference[~overfull] <= LOSS).all(), name
        if name == "mask_id":  # theirs is above 1e3 there
            assert (values[overfull] < 10).all() and (expected[overfull] > 1e3).all()
        elif name != "mask_class":  # whose slot 0 has the classes of all unmatched masks there
            assert (difference[overfull] <= 5e-5).all(), name  # their dice term has 1e-5 for each mask without a slot


def test_what_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        match_masks(np.full((1, 1, 2), np.nan), np.ones((1, 1), bool))


# Planted errors.


def wrong(file: str, case: str, **options) -> bool:
    try:
        compare(file, case, *pytorch(file, case, **options))
    except (AssertionError, KeyError):
        return True
    return False


def test_matching_on_the_transposed_cost_is_caught(monkeypatch):
    def transposed(similarity, exists):
        slots = min(similarity.shape[1:])
        turned = similarity.copy()
        turned[:, :slots, :slots] = similarity[:, :slots, :slots].transpose(0, 2, 1)
        return match_masks(turned, exists)

    monkeypatch.setattr(mask_transformer, "match_masks", transposed)
    assert wrong("dl2_max_losses", "coco_like")


def test_an_auxiliary_output_that_is_dropped_is_caught():
    def without_last(outputs):
        return {name: x for name, x in outputs.items() if not name.startswith("auxiliary.5")}

    assert wrong("kmax_losses", "plain", change=without_last)
