"""Mean intersection over union of classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.segmentation.quality import distinct


class MeanOverlap:
    """mIoU over the pixels of all pictures; pixels that are void in the ground truth do not count, void in the result is an error.

    Args:
        labels: One per class.
    """

    def __init__(self, labels: tuple[Label, ...]):
        self.labels = distinct(labels)
        self.confusion = np.zeros((len(labels), len(labels) + 1), np.int64)  # true class, found class; the last is void

    def update(self, result: Segmentation, annotation: Segmentation) -> None:
        """Add one picture. Maps of different sizes or unknown classes raise a ValueError."""
        true, predicted = annotation.class_map, result.class_map  # (H, W), -1 for none
        count = len(self.labels)
        if true.shape != predicted.shape:
            raise ValueError(f"result: expected a map as large as the ground truth's {true.shape}, found {predicted.shape}")
        highest = max(int(true.max(initial=0)), int(predicted.max(initial=0)))
        if highest >= count:
            raise ValueError(f"label_id: expected classes below {count}, found {highest}")
        pairs = (true.astype(np.int64) + 1) * (count + 1) + predicted  # void reads the place before its row's first ...
        pairs = np.where(predicted < 0, pairs + count + 1, pairs)  # ... and goes to the last of the row
        counted = np.bincount(pairs.ravel(), minlength=(count + 1) ** 2).reshape(count + 1, count + 1)
        self.confusion += counted[1:]

    def compute(self) -> dict[str, Any]:
        """Return ``miou``, the mean over classes of annotations or results (left out without any), and ``per_class``: name -> ``iou``."""
        both = np.diagonal(self.confusion)
        either = self.confusion.sum(1) + self.confusion[:, :-1].sum(0) - both
        occurs = np.flatnonzero(either)
        iou = {self.labels[i].name: float(both[i] / either[i]) for i in occurs}
        metrics: dict[str, Any] = {"per_class": {name: {"iou": value} for name, value in iou.items()}}
        if iou:
            metrics["miou"] = float(np.mean(list(iou.values())))
        return metrics
