"""Random pictures of boxes, and what a network would say that knew them exactly."""

from __future__ import annotations

import numpy as np

from axialzoo.spec.heads.fcos import PostprocessConfig
from axialzoo.tasks.detection.decode import decode
from axialzoo.tasks.detection.targets import box_targets
from axialzoo.tasks.results import Detections
from tests.tasks.detection import plain

STRIDES = (8, 16, 32)
SIZE = (96, 160)  # height and width of the input
SIZES = [(-(-SIZE[0] // stride), -(-SIZE[1] // stride)) for stride in STRIDES]
RANGES = [(0, 32), (32, 64), (64, np.inf)]
CLASSES = 4
SURE = 20.0  # a logit


def scene(seed: int, most: int = 8, apart: float | None = None) -> Detections:
    """Random boxes of whole pixels; no two of one class overlap by more than `apart`."""
    rng = np.random.default_rng(seed)
    boxes: list[list[float]] = []
    indices: list[int] = []
    for _ in range(int(rng.integers(most + 1))):
        left, top = int(rng.integers(0, SIZE[1] - 12)), int(rng.integers(0, SIZE[0] - 12))
        box = [left, top, int(rng.integers(left + 4, SIZE[1] + 1)), int(rng.integers(top + 4, SIZE[0] + 1))]
        index = int(rng.integers(CLASSES))
        if apart is None or all(plain.iou(box, other) <= apart for other, same in zip(boxes, indices) if same == index):
            boxes.append(box)
            indices.append(index)
    return Detections(np.array(boxes, float).reshape(-1, 4), np.ones(len(boxes)), np.array(indices, np.int64))


def perfect_outputs(annotation: Detections, classes: int = CLASSES, **options) -> dict[str, list[np.ndarray]]:
    """The maps of a network that gives the targets themselves."""
    targets = box_targets(annotation, SIZES, STRIDES, ranges=RANGES, **options)
    logits = np.where(targets["classes"][:, None] == np.arange(classes), SURE, -SURE)  # (L, classes)
    central = np.clip(targets["centerness"].astype(float), 1e-9, 1 - 1e-9)[:, None]
    rows = {"classes": logits, "boxes": targets["boxes"], "centerness": np.log(central / (1 - central))}
    ends = np.cumsum([height * width for height, width in SIZES])[:-1]
    return {name: [part.reshape(*size, -1) for part, size in zip(np.split(row, ends), SIZES)] for name, row in rows.items()}


def located(annotation: Detections, **options) -> np.ndarray:
    """(n,) bool: which boxes some location is of; a small one may have none, as in the paper."""
    targets = box_targets(annotation, SIZES, STRIDES, ranges=RANGES, **options)
    points = np.concatenate(
        [
            np.stack(np.broadcast_arrays((np.arange(width) + 0.5) * stride, ((np.arange(height) + 0.5) * stride)[:, None]), -1).reshape(
                -1, 2
            )
            for (height, width), stride in zip(SIZES, STRIDES)
        ]
    )
    scale = np.repeat(STRIDES, [height * width for height, width in SIZES])[:, None]
    reach = targets["boxes"] * scale
    actual = np.concatenate([points - reach[:, :2], points + reach[:, 2:]], 1)[targets["classes"] >= 0]
    return np.array([bool((np.abs(actual - box).max(1) < 1e-3).any()) for box in annotation.boxes], bool)


def decode_with(outputs, strides, size, *, to_picture=None, sigma=0.5, labels=(), **config) -> Detections:
    """`decode` with the settings as arguments."""
    return decode(outputs, strides, size, PostprocessConfig(**config), to_picture=to_picture, sigma=sigma, labels=labels)
