"""Losses of masks of classes: by hand in PyTorch, and Keras's are PyTorch's on every back end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from axialzoo.torch.losses import semantic_segmentation_loss

CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("one", {}),
    ("two", {}),
    ("two", {"bce": 1.0, "dice": 0.5}),
    ("void", {"bce": 0.3, "dice": 1.0, "cross_entropy": 2.0}),
    ("void", {"cross_entropy": 1.0, "class_weights": (0.5, 1.0, 3.0)}),
)


def arrays(case: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, C, H, W) and targets (N, H, W)."""
    random, classes = np.random.default_rng(0), {"one": 1, "two": 2, "void": 3}[case]
    logits = random.standard_normal((2, classes, 5, 6)).astype("float32")
    return logits, random.integers(-1 if case == "void" else 0, max(classes, 2), (2, 5, 6))


def loss(logits, target, **options) -> dict[str, float]:
    outputs, targets = {"semantic": torch.as_tensor(logits, dtype=torch.float64)}, {"semantic": torch.as_tensor(target)}
    return {name: float(value) for name, value in semantic_segmentation_loss(outputs, targets, **options).items()}


def test_each_loss_is_what_its_formula_says():
    logits = np.log(np.array([[[[0.25, 0.5]]]]) / (1 - np.array([[[[0.25, 0.5]]]])))  # (1, 1, 1, 2), of probabilities 0.25 and 0.5
    target = [[[1, 0]]]
    assert loss(logits, target, bce=1.0)["bce"] == pytest.approx(-(np.log(0.25) + np.log(0.5)) / 2)
    assert loss(logits, target, dice=1.0)["dice"] == pytest.approx(1 - (2 * 0.25 + 1e-5) / (0.75 + 1 + 1e-5))
    two = np.concatenate([0 * logits, logits], 1)
    assert loss(two, target)["cross_entropy"] == pytest.approx(-(np.log(0.25) + np.log(0.5)) / 2)


def test_the_default_is_cross_entropy_and_of_one_logit_half_bce_and_dice():
    logits, target = arrays("two")
    assert set(loss(logits, target)) == {"cross_entropy", "total"}
    logits, target = arrays("one")
    parts = loss(logits, target)
    assert set(parts) == {"bce", "dice", "total"}
    assert parts["total"] == pytest.approx(0.5 * loss(logits, target, bce=1.0)["bce"] + loss(logits, target, dice=1.0)["dice"])


@pytest.mark.parametrize("name", ["bce", "dice", "cross_entropy"])
def test_pixels_to_ignore_change_nothing(name):
    logits, target = arrays("void")
    other = np.where(target[:, None] < 0, 100.0, logits)
    assert loss(logits, target, **{name: 1.0})["total"] == pytest.approx(loss(other, target, **{name: 1.0})["total"], abs=1e-12)
    assert loss(logits, np.full_like(target, -1), **{name: 1.0})["total"] == pytest.approx(0, abs=1e-12)


def test_dice_is_of_each_picture_and_pooled_over_the_batch_is_caught():
    logits = np.full((2, 1, 4, 4), -9.0)
    logits[0, 0, 0, 0] = 9.0
    target = np.zeros((2, 4, 4), np.int64)
    target[0, 0, 0], target[1] = 1, 1
    assert loss(logits, target, dice=1.0)["dice"] == pytest.approx(0.5, abs=1e-2)  # right in one, nothing in the other; pooled 0.89


def test_what_cannot_be_is_refused():
    logits, target = arrays("one")
    with pytest.raises(ValueError, match="expected at least two logits, found one"):
        loss(logits, target, cross_entropy=1.0)
    with pytest.raises(ValueError, match="expected a weight above 0"):
        loss(logits, target, bce=0.0)
    logits, target = arrays("two")
    with pytest.raises(ValueError, match="class_weights: expected 2, one per class of the semantic map, found 3"):
        loss(logits, target, cross_entropy=1.0, class_weights=(1.0, 1.0, 1.0))


@pytest.mark.backends("tensorflow", "jax", "torch")
@pytest.mark.parametrize(("case", "options"), CASES)
def test_keras_computes_pytorchs_losses(case, options):
    from keras import ops

    from axialzoo.keras.losses import semantic_segmentation_loss as keras_loss

    logits, target = arrays(case)
    outputs = {"semantic": ops.convert_to_tensor(logits.transpose(0, 2, 3, 1))}
    losses = keras_loss(outputs, {"semantic": ops.convert_to_tensor(target.astype("int32"))}, **options)
    expected = loss(logits, target, **options)
    assert set(losses) == set(expected)
    assert all(float(ops.convert_to_numpy(losses[name])) == pytest.approx(value, abs=1e-5) for name, value in expected.items())
