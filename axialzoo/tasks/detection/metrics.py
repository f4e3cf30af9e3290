"""COCO's average precision of boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from axialzoo.spec.labels import Label
from axialzoo.tasks.coco import coco_average_precision
from axialzoo.tasks.results import Detections, Segmentation

NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


class BoxMetric:
    """Average precision of the boxes of any number of pictures.

    Args:
        labels: One per class, for names; or none.

    Raises:
        ValueError: for labels of one name, which could not be told apart.

    Example:
        >>> import numpy as np
        >>> metric, boxes = BoxMetric(), Detections(np.array([[0.0, 0, 9, 9]]), np.ones(1), np.zeros(1, int))
        >>> metric.update(boxes, boxes)
        >>> round(metric.compute()["box_ap"], 3)
        1.0
    """

    def __init__(self, labels: tuple[Label, ...] = ()):
        names = [label.name for label in labels]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"labels: expected a name for each class, found more than one {twice[0]!r}")
        self.names = names
        self.annotations: list[list[dict[str, Any]]] = []
        self.results: list[list[dict[str, Any]]] = []

    def update(self, result: Detections, annotation: Detections | Segmentation) -> None:
        """Add the result and the annotation of one picture, in its own pixels; of segments, the boxes of things.

        Raises:
            ValueError: for boxes that are not left, top, right, bottom, scores that are not finite, or a class without a label.
        """
        annotation = annotation.to_detections() if isinstance(annotation, Segmentation) else annotation
        result_rows = self._rows(result, "result")
        for row, score in zip(result_rows, np.asarray(result.scores, np.float64).tolist()):
            row["score"] = score
        annotation_rows = self._rows(annotation, "ground truth")
        if annotation.crowd is not None:
            for row, crowd in zip(annotation_rows, annotation.crowd):
                row["iscrowd"] = int(crowd)
        self.annotations.append(annotation_rows)
        self.results.append(result_rows)

    def compute(self) -> dict[str, Any]:
        """Return the average precisions as fractions; None where the ground truth has no such box.

        Returns:
            ``box_ap``, ``box_ap50``, ``box_ap75``; by area ``box_ap_small`` (up to 32^2), ``box_ap_medium`` (up to 96^2) and
            ``box_ap_large``; ``per_class``: name -> ``box_ap``.
        """
        metrics = coco_average_precision(self.annotations, self.results, "bbox")
        per_class = metrics["per_class"]
        names = dict(enumerate(self.names)) or {index: f"class {index}" for index in per_class}
        values = {f"box_{name}": metrics[name] for name in NAMES}
        return {**values, "per_class": {name: {"box_ap": per_class.get(index)} for index, name in names.items()}}

    def _rows(self, boxes: Detections, what: str) -> list[dict[str, Any]]:
        corners = np.asarray(boxes.boxes, np.float64).reshape(-1, 4)
        sides = corners[:, 2:] - corners[:, :2]  # (n, 2)
        if not (np.isfinite(corners).all() and np.isfinite(boxes.scores).all() and (sides >= 0).all()):
            raise ValueError(f"{what}: expected finite boxes left, top, right, bottom, and finite scores, found {corners.tolist()}")
        indices = np.asarray(boxes.labels).tolist()
        wrong = [index for index in indices if index < 0 or (self.names and index >= len(self.names))]
        if wrong:
            raise ValueError(f"{what}: expected classes from 0 to {len(self.names) - 1}, found {wrong[0]}")
        xywh, areas = np.concatenate([corners[:, :2], sides], 1).tolist(), sides.prod(1).tolist()
        return [{"label_id": index, "bbox": box, "area": area} for index, box, area in zip(indices, xywh, areas)]
