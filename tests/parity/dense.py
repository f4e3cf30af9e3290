"""Heads of pixels and of locations, trained by their own losses on what their tasks make of drawn pictures. No framework here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from axialzoo.spec import Model
from axialzoo.spec.zoo.mask_transformers import kmax_nuclei, max_nuclei
from axialzoo.tasks import Detections, Segmentation, batch_targets, task_of
from tests.parity import common

SIZE, BATCH = (33, 45), 4  # height and width
BACKEND = "torch"  # where this is measured by default, being the quickest; on the others in the full suite
OPTIMIZERS = ("sgd", "adamw")
Arrays = dict[str, np.ndarray]
Change = Callable[[Arrays], Arrays]


def unchanged(targets: Arrays) -> Arrays:
    return targets


@dataclass(frozen=True)
class Dense:
    """A model, what is true of the pictures that it is trained on, the rate of SGD (exact in float32), and options of the loss."""

    spec: Model
    annotation: Callable[[np.ndarray, np.ndarray], Detections | Segmentation]
    rate: float
    loss: dict[str, Any] = field(default_factory=dict)

    def batch(self, step: int, change: Change = unchanged) -> tuple[np.ndarray, Arrays]:
        """Images (N, C, H, W) float64, and the task's targets by name, of one step; `change` plants an error in them."""
        drawn = [draw(np.random.default_rng((step, place)), self.spec.num_classes) for place in range(BATCH)]
        annotations = [self.annotation(boxes, classes) for _, boxes, classes in drawn]
        targets = change(batch_targets(task_of(self.spec.head), annotations, self.spec, SIZE))
        return np.stack([picture.transpose(2, 0, 1) for picture, _, _ in drawn]), targets


def draw(random: np.random.Generator, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture (H, W, 3) float64 of one to four rectangles, each of its class's colour; their corners (n, 4) and classes (n,)."""
    colours = np.random.default_rng(0).uniform(-1.5, 1.5, (classes, 3))
    count = int(random.integers(1, 5))
    corner = random.integers(0, (SIZE[1] - 8, SIZE[0] - 8), (count, 2))  # left, top
    boxes = np.concatenate([corner, np.minimum(corner + random.integers(6, 24, (count, 2)), SIZE[::-1])], 1)
    actual = random.integers(0, classes, count)
    picture = random.normal(0, 0.3, (*SIZE, 3))
    for (left, top, right, bottom), index in zip(boxes, actual):
        picture[top:bottom, left:right] += colours[index]
    return picture, boxes, actual


def as_boxes(boxes: np.ndarray, classes: np.ndarray) -> Detections:
    """The rectangles; the last of several is a crowd."""
    crowd = np.arange(len(boxes)) == 3
    return Detections(boxes.astype(np.float64), np.ones(len(boxes)), classes, crowd=crowd)


def as_segments(boxes: np.ndarray, classes: np.ndarray) -> Segmentation:
    """The rectangles over a ground of class 0, the later over the earlier; a strip of void, and of four the last a crowd."""
    ids, info = np.ones(SIZE, np.int32), [{"id": 1, "label_id": 0}]
    for number, ((left, top, right, bottom), index) in enumerate(zip(boxes, classes), 2):
        ids[top:bottom, left:right] = number
        info.append({"id": number, "label_id": int(index), **({"iscrowd": 1} if number == 5 else {})})
    ids[:, -3:] = 0
    return Segmentation(ids, [item for item in info if (ids == item["id"]).any()])


def masks(spec: Model) -> Model:
    """A mask transformer for five classes, of which three are things."""
    assert spec.head is not None
    return replace(spec, head=spec.head.reconfigured(5, things=(1, 3, 4)))


CASES = {
    "max": Dense(masks(max_nuclei(16, 0.25, (1, 1, 1, 1))), as_segments, 2.0**-8),
    "kmax": Dense(masks(kmax_nuclei(16, 0.25, (1, 1, 1, 1))), as_segments, 2.0**-8, {"sample_k": 0}),  # nothing is drawn at random
    "panoptic": Dense(common.segmenting(), as_segments, 2.0**-11),
    "fcos": Dense(common.locating(), as_boxes, 2.0**-8),
}
PLANTED: dict[str, tuple[str, Change]] = {  # an error's name: the model, and how it spoils the targets
    "offsets_swapped": ("panoptic", lambda targets: {**targets, "offset": np.ascontiguousarray(targets["offset"][..., ::-1])}),
    "crowds_not_left_out": ("panoptic", lambda targets: {**targets, "center_weight": np.ones_like(targets["center_weight"])}),
    "classes_of_masks_shifted": ("max", lambda targets: {**targets, "mask_classes": np.roll(targets["mask_classes"], 1, 1)}),
    "void_counted": ("kmax", lambda targets: {**targets, "void": np.zeros_like(targets["void"])}),
    "centerness_left_out": ("fcos", lambda targets: {**targets, "centerness": (targets["classes"] >= 0).astype(np.float32)}),
    "left_and_right_swapped": ("fcos", lambda targets: {**targets, "boxes": np.ascontiguousarray(targets["boxes"][..., [2, 1, 0, 3]])}),
}
