"""All metrics of segments, accumulated picture by picture."""

from __future__ import annotations

from typing import Any

from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.segmentation.overlap import MeanOverlap
from axialzoo.tasks.segmentation.precision import AveragePrecision
from axialzoo.tasks.segmentation.quality import PanopticQuality


class SegmentationMetric:
    """PQ, SQ, RQ, mIoU, mask and box AP.

    Args:
        labels: One per class.
        instances: Whether objects are told apart; else mIoU alone.
        average_precision: Whether AP too, for which pycocotools is needed (``pip install "axialzoo[metrics]"``).
        max_detections: As of :class:`~axialzoo.tasks.segmentation.precision.AveragePrecision`.
    """

    def __init__(self, labels: tuple[Label, ...], *, instances: bool = True, average_precision: bool = True, max_detections: int = 100):
        self.parts: list[PanopticQuality | MeanOverlap | AveragePrecision] = [MeanOverlap(labels)]
        if instances:
            self.parts.insert(0, PanopticQuality(labels))
            if average_precision and any(label.thing for label in labels):
                self.parts.append(AveragePrecision(labels, max_detections))

    def update(self, result: Segmentation, annotation: Segmentation) -> None:
        """Add the result and the annotation of one picture."""
        for part in self.parts:
            part.update(result, annotation)

    def compute(self) -> dict[str, Any]:
        """Return the metrics as fractions from 0 to 1. Metrics without a class or object are left out, never NaN.

        Returns:
            ``pq``, ``sq``, ``rq`` (each also ``_things``, ``_stuff``), ``miou``, ``mask_ap``, ``mask_ap50``, ``box_ap``, ``box_ap50``;
            ``per_class``: by name ``pq``, ``sq``, ``rq``, ``tp``, ``fp``, ``fn``, ``iou``, ``mask_ap``, ``box_ap``.
        """
        metrics: dict[str, Any] = {}
        per_class: dict[str, dict[str, Any]] = {label.name: {} for label in self.parts[0].labels}
        for part in self.parts:
            values = part.compute()
            for name, numbers in values.pop("per_class").items():
                per_class[name] |= numbers
            metrics |= values
        return {**metrics, "per_class": {name: numbers for name, numbers in per_class.items() if numbers}}
