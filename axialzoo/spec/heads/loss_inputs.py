"""Checks of what the losses take, and the numbers that both frameworks' losses share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

EPSILON = 1e-7  # least area that divides, in square strides
MAPS = {"classes": 2, "boxes": 3, "centerness": 2}  # maps of boxes, and the dimensions of each batched target


def check_targets(targets: Any) -> None:
    """Refuse targets that are no dictionary of arrays by name."""
    if not isinstance(targets, Mapping):
        raise ValueError(
            f"targets: expected a dictionary of arrays by name, as the batches of axialzoo.data.Batches have it, found a "
            f"{type(targets).__name__}"
        )


def check_locations(classes: Any, targets: Mapping[str, Any]) -> None:
    """Refuse targets that are not of the locations of `classes` (N, L, K); sides that a graph does not know yet pass."""
    check_targets(targets)
    if set(targets) != set(MAPS):
        raise ValueError(f"targets: expected {', '.join(MAPS)}, found {', '.join(targets) or 'none'}")
    for name, dimensions in MAPS.items():
        expected, shape = (*classes.shape[:2], 4)[:dimensions], tuple(targets[name].shape)
        if len(shape) != dimensions or differ(expected, shape):
            raise ValueError(f"targets[{name!r}]: expected {expected}, for the outputs' locations, found {shape}")


def check_size(name: str, shape: Sequence[int | None], target: Sequence[int | None]) -> None:
    """Refuse a map that is not as large as its target."""
    if len(shape) != len(target) or differ(shape, target):
        raise ValueError(
            f"{name}: expected the map and its target of one size, found {tuple(shape)} and {tuple(target)}; "
            "axialzoo.data.Batches moves targets to the model's input"
        )


def differ(shape: Sequence[int | None], other: Sequence[int | None]) -> bool:
    """Return whether any side differs; None is a side that a graph does not know yet."""
    return any(a != b for a, b in zip(shape, other) if None not in (a, b))


def check_class_weights(class_weights: Collection[float] | None, classes: int) -> None:
    """Refuse weights of another number than the classes."""
    if class_weights is not None and len(class_weights) != classes:
        raise ValueError(f"class_weights: expected {classes}, one per class of the semantic map, found {len(class_weights)}")


def check_names(outputs: Collection[str], targets: Collection[str]) -> None:
    """Refuse maps without a target and a weight, and only one of ``center`` and ``offset``."""
    check_targets(targets)
    if ("center" in outputs) != ("offset" in outputs):
        raise ValueError(f"outputs: expected center and offset both or neither, found {sorted(outputs)}")
    used = [name for name in ("semantic", "center", "offset") if name in outputs]
    missing = [name for map_name in used for name in (map_name, f"{map_name}_weight") if name not in targets]
    if "semantic" not in outputs or missing:
        raise ValueError(f"targets: expected a target and a weight of each map; missing: {missing or ['semantic']}")


def stride_between(size: tuple[int, ...], smaller: tuple[int, ...]) -> int:
    """Return the stride between pixels of one size, ends included, that gives the other."""
    strides = {(a - 1) / (b - 1) if b > 1 else float(a) for a, b in zip(size, smaller)}
    stride = strides.pop()
    if strides or stride != int(stride):
        raise ValueError(f"semantic: expected a target as large as the logits' {smaller}, or s times larger but for 1, found {size}")
    return int(stride)
