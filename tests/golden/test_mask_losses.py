"""Losses of mask transformers and their gradients are deeplab2's in PyTorch; planted errors are seen. Keras: test_keras_masks.py."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from axialzoo.matching import UnmatchedMasksWarning, match_masks
from axialzoo.torch import build
from axialzoo.torch.losses import mask_transformer
from converters.deeplab2_names import places
from tests.golden import masks
from tests.golden.masks import ALL_LOSSES, OVERFULL, TRAINING, described, stored, tensors_of
from tests.golden.test_torch_golden import load

LOSS, GRADIENT = 1e-5, 1e-4  # relative


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


@pytest.mark.parametrize(("file", "case"), ALL_LOSSES)
def test_losses_and_gradients_are_theirs_in_pytorch(file, case):
    compare(file, case, *pytorch(file, case))


def compare_step(file: str, losses: dict[str, np.ndarray], norms: dict[str, float]) -> None:
    """Compare losses of each image, and the norm of each gradient by the name of its weight."""
    spec, _, _, tolerance = TRAINING[file]
    messages = described(file)
    for name, values in losses.items():
        expected = np.array(messages["losses"][masks.their_loss(name)])
        assert np.abs(values - expected).max() <= 1e-4 * np.abs(expected).max(), name
    assert len(losses) == (29 if "kmax" in file else 5)
    expected = dict(zip(messages["grad_l2_names"], stored(file)["train/grad_l2"], strict=True))
    names = {place.path(): place.name for place in places(spec)}
    counted = {key: norm for key, norm in expected.items() if norm > 1e-3 * max(expected.values())}  # others are zero in exact arithmetic
    assert len(counted) > len(expected) / 3
    for key, norm in counted.items():
        assert abs(norms[names[key]] - norm) <= tolerance * norm, key


@pytest.mark.parametrize("file", TRAINING)
def test_a_step_of_training_is_theirs(file, monkeypatch):
    spec, slots, _, _ = TRAINING[file]
    monkeypatch.setattr(mask_transformer, "match_masks", masks.their_matching(slots))
    model = load(build(spec), tensors_of(spec)).train()
    outputs = model(torch.from_numpy(masks.images(2)))
    targets = {name: torch.from_numpy(x) for name, x in masks.training_targets(file).items()}
    settings = masks.training_settings(file)
    noise = None if settings["noise"] is None else [torch.from_numpy(array) for array in settings["noise"]]
    losses = mask_transformer.image_losses(outputs, targets, **{**settings, "noise": noise}, corners="aligned")
    sum(values.sum() for values in losses.values()).backward()
    norms = {name: float(x.grad.norm()) for name, x in model.named_parameters() if x.grad is not None}
    compare_step(file, {name: values.detach().numpy() for name, values in losses.items()}, norms)


def test_more_masks_than_slots_are_left_out_with_a_warning():
    similarity = np.array([[[0.9, 0.2], [0.8, 0.1], [0.1, 0.3]]])
    with pytest.warns(UnmatchedMasksWarning, match="1 masks of 1 images"):
        assert match_masks(similarity, np.ones((1, 3), bool)).tolist() == [[0, -1, 1]]


def compare_overfull(case: str, losses: dict[str, np.ndarray]) -> np.ndarray:
    """Compare what does not depend on the masks without a slot; return which images have some."""
    settings = described(OVERFULL)[case]
    overfull = np.array(settings["existing_masks"]) > settings["num_mask_slots"]
    assert len(losses) == 5
    for name, values in losses.items():
        expected = stored(OVERFULL)[f"{case}/loss/{masks.their_loss(name)}"]
        difference = np.abs(values - expected) / max(np.abs(expected).max(), 1)
        assert (difference[~overfull] <= LOSS).all(), name
        if name == "mask_id":  # theirs is above 1e3 there
            assert (values[overfull] < 10).all() and (expected[overfull] > 1e3).all()
        elif name != "mask_class":  # whose slot 0 has the classes of all unmatched masks there
            assert (difference[overfull] <= 5e-5).all(), name  # their dice term has 1e-5 for each mask without a slot
    return overfull


@pytest.mark.parametrize("case", masks.overfull_cases())
def test_losses_of_more_masks_than_slots_differ_from_theirs_by_the_masks_without_a_slot_alone(case):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        losses = pytorch(OVERFULL, case)[0]
    overfull = compare_overfull(case, losses)
    assert any(issubclass(warning.category, UnmatchedMasksWarning) for warning in seen) == overfull.any()


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
