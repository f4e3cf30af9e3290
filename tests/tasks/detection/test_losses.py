"""The losses are the papers' equations, the same in both frameworks, and safe at the extremes."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from axialzoo.torch.losses import detection
from tests.tasks.detection import plain
from tests.tasks.detection.loss_cases import BACKENDS, CASES, MAPS, SIZES, K, case, rows

ROOT = Path(__file__).resolve().parents[3]
PARTS = ("classes", "boxes", "centerness", "total")


def in_torch(outputs, targets, **options):
    """The parts, and the gradient of the total to each map, (N, H, W, C), as the worker's."""
    leaves = {name: [torch.from_numpy(item).permute(0, 3, 1, 2).requires_grad_() for item in maps] for name, maps in outputs.items()}
    parts = detection.detection_loss(leaves, {name: torch.from_numpy(item) for name, item in targets.items()}, **options)
    gradients = torch.autograd.grad(parts["total"], [item for name in MAPS for item in leaves[name]])
    return {name: value.item() for name, value in parts.items()}, [item.permute(0, 2, 3, 1).numpy() for item in gradients]


def in_plain(outputs, targets, **options) -> dict[str, float]:
    maps = [rows(outputs[name]) for name in MAPS]
    expected = [targets["classes"].ravel(), targets["boxes"].reshape(-1, 4), targets["centerness"].ravel()]
    return plain.losses(maps[0], maps[1], maps[2].ravel(), *expected, **options)


def in_keras(outputs, targets, **options):
    """The parts, and the gradient of the total to each map, (N, H, W, C)."""
    from axialzoo.keras.losses import detection
    from tests.in_keras import keras, loss_and_gradients

    tensors = {name: keras.ops.convert_to_tensor(item) for name, item in targets.items()}
    parts, gradients = loss_and_gradients(lambda outputs: detection.detection_loss(outputs, tensors, **options), outputs, open_sides=True)
    return parts, [item for name in MAPS for item in gradients[name]]


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("extreme", "no area")])
def test_pytorch_gives_the_equations(name):
    parts, expected = in_torch(*case(name))[0], in_plain(*case(name))
    assert parts == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_pytorch_gives_the_equations_for_other_options():
    options = {"alpha": 0.4, "gamma": 0.5}
    parts = in_torch(*case("random"), normalizer=torch.tensor([7.0, 3.0], dtype=torch.float64), **options)[0]
    assert parts == pytest.approx(in_plain(*case("random"), totals=(7, 3), **options), rel=1e-9)


def test_gradients_are_the_slopes_of_the_equations():
    outputs, targets = case("random")
    _, gradients = in_torch(outputs, targets)
    flat, step = [item for name in MAPS for item in outputs[name]], 1e-6
    rng = np.random.default_rng(0)
    for item, gradient in zip(flat, gradients):
        for place in rng.choice(item.size, min(item.size, 12), replace=False):
            middle, ends = item.flat[place], []
            for sign in (1, -1):
                item.flat[place] = middle + sign * step
                ends.append(in_plain(outputs, targets)["total"])
            item.flat[place] = middle
            assert gradient.flat[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-8)


@pytest.mark.backends(*BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_keras_gives_the_same_losses_and_gradients_as_pytorch(name):
    (parts, gradients), (theirs, their_gradients) = in_torch(*case(name)), in_keras(*case(name))
    for part in PARTS:
        assert theirs[part].dtype == np.float64
        assert theirs[part] == pytest.approx(parts[part], rel=1e-9, abs=1e-12)
    for item, gradient in zip(their_gradients, gradients, strict=True):
        assert np.abs(item - gradient).max() <= 1e-8 * max(1e-3, np.abs(gradient).max())


@pytest.mark.backends(*BACKENDS)
def test_keras_gives_the_same_for_other_options_and_counts_the_same():
    from axialzoo.keras.losses import detection
    from tests.in_keras import keras, numpy

    expected = in_plain(*case("random"), totals=(7, 3), alpha=0.4, gamma=0.5)
    parts, _ = in_keras(*case("random"), normalizer=keras.ops.convert_to_tensor(np.array([7.0, 3.0])), alpha=0.4, gamma=0.5)
    assert {part: float(parts[part]) for part in PARTS} == pytest.approx(expected, rel=1e-9)
    targets = case("random")[1]
    objects = targets["classes"] >= 0
    assert numpy(detection.normalizers(targets)) == pytest.approx([objects.sum(), targets["centerness"][objects].sum()], rel=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_everything_is_finite_in_float32_in_pytorch(name):
    parts, gradients = in_torch(*case(name, "float32"))
    assert all(np.isfinite(value) for value in parts.values()) and all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.backends(*BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_everything_is_finite_in_float32_in_keras(name):
    parts, gradients = in_keras(*case(name, "float32"))
    assert set(PARTS) == set(parts) and len(gradients) == len(MAPS) * len(SIZES)
    assert all(np.isfinite(value) for value in parts.values()) and all(np.isfinite(gradient).all() for gradient in gradients)


def test_what_is_ignored_and_what_is_background_has_no_gradient_where_it_should_not():
    outputs, targets = case("random")
    _, gradients = in_torch(outputs, targets)
    classes, boxes, centerness = (rows(gradients[i * 3 : i * 3 + 3]) for i in range(3))
    expected = targets["classes"].ravel()
    assert not classes[expected == -2].any() and classes[expected != -2].all()
    assert not boxes[expected < 0].any() and not centerness[expected < 0].any() and centerness[expected >= 0].all()


def test_processes_that_share_their_count_give_the_loss_of_one_with_all_pictures():
    outputs, targets = case("random")
    whole, _ = in_torch(outputs, targets)
    total = detection.normalizers({name: torch.from_numpy(item) for name, item in targets.items()})
    halves = [
        in_torch(
            {k: [m[i : i + 1] for m in v] for k, v in outputs.items()}, {k: v[i : i + 1] for k, v in targets.items()}, normalizer=total / 2
        )[0]
        for i in range(2)
    ]
    assert {part: (halves[0][part] + halves[1][part]) / 2 for part in PARTS} == pytest.approx(whole, rel=1e-12)


def test_half_precision_outputs_are_computed_in_float32():
    outputs, targets = case("random", "float32")
    maps = {name: [torch.from_numpy(item).permute(0, 3, 1, 2).half() for item in maps] for name, maps in outputs.items()}
    parts = detection.detection_loss(maps, {name: torch.from_numpy(item) for name, item in targets.items()})
    assert all(value.dtype == torch.float32 for value in parts.values())
    assert parts["total"].item() == pytest.approx(in_torch(outputs, targets)[0]["total"], rel=1e-2)


@pytest.mark.parametrize(
    "error", ["class off by one", "ignored as background", "distances in pixels", "left and right swapped", "unweighted"]
)
def test_planted_errors_change_the_loss(error):
    outputs, targets = case("random")
    right = in_plain(outputs, targets)
    targets = {name: item.copy() for name, item in targets.items()}
    if error == "class off by one":
        targets["classes"] = np.where(targets["classes"] >= 0, (targets["classes"] + 1) % K, targets["classes"]).astype(np.int32)
    elif error == "ignored as background":
        targets["classes"] = np.maximum(targets["classes"], -1)
    elif error == "distances in pixels":
        targets["boxes"] *= 8
    elif error == "left and right swapped":
        targets["boxes"] = np.ascontiguousarray(targets["boxes"][..., [2, 1, 0, 3]])
    else:
        targets["centerness"] = np.where(targets["classes"] >= 0, 1.0, 0.0)
    assert abs(in_torch(outputs, targets)[0]["total"] / right["total"] - 1) > 1e-3


def test_targets_that_do_not_fit_are_refused():
    outputs, targets = case("random")
    maps = {name: [torch.from_numpy(item).permute(0, 3, 1, 2) for item in maps] for name, maps in outputs.items()}
    tensors = {name: torch.from_numpy(item) for name, item in targets.items()}
    with pytest.raises(ValueError, match=r"targets\['boxes'\]: expected \(2, 17, 4\), for the outputs' locations, found \(2, 16, 4\)"):
        detection.detection_loss(maps, {**tensors, "boxes": tensors["boxes"][:, 1:]})
    with pytest.raises(ValueError, match="outputs: expected classes, boxes, centerness, found classes"):
        detection.detection_loss({"classes": maps["classes"]}, tensors)
    with pytest.raises(ValueError, match="targets: expected classes, boxes, centerness, found none"):
        detection.detection_loss(maps, {})


def test_the_two_frameworks_have_the_same_functions_in_the_same_order():
    def names(framework: str) -> list[str]:
        tree = ast.parse((ROOT / "axialzoo" / framework / "losses" / "detection.py").read_text())
        return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]

    assert names("torch") == names("keras") and "detection_loss" in names("torch")
