"""Average precision of objects, by their masks and by the boxes around them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from axialzoo.spec.labels import Label
from axialzoo.tasks.coco import coco_average_precision
from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.segmentation.compact import areas, class_of, is_crowd, relabel
from axialzoo.tasks.segmentation.quality import distinct


class AveragePrecision:
    """Mask and box AP of the objects (segments of things) of all pictures.

    Args:
        labels: One per class.
        max_detections: How many of the best of a picture count; COCO's is 100.
    """

    def __init__(self, labels: tuple[Label, ...], max_detections: int = 100):
        self.labels, self.max_detections = distinct(labels), max_detections
        self.annotations: list[list[dict[str, Any]]] = []
        self.results: list[list[dict[str, Any]]] = []

    def update(self, result: Segmentation, annotation: Segmentation) -> None:
        """Add one picture. Maps of different sizes raise a ValueError."""
        if result.segmentation.shape != annotation.segmentation.shape:
            raise ValueError(
                f"result: expected a map as large as the ground truth's {annotation.segmentation.shape}, found {result.segmentation.shape}"
            )
        self.annotations.append(self._rows(annotation))
        self.results.append(self._rows(result))

    def compute(self) -> dict[str, Any]:
        """Return ``mask_ap``, ``mask_ap50``, ``box_ap``, ``box_ap50``: means over the things that the ground truth has, as fractions.

        They are left out where the ground truth has no objects. ``per_class``: name -> ``mask_ap``, ``box_ap``.
        """
        metrics: dict[str, Any] = {"per_class": {}}
        kinds: dict[str, Literal["segm", "bbox"]] = {"mask": "segm", "box": "bbox"}
        for name, kind in kinds.items():
            precision = coco_average_precision(self.annotations, self.results, kind, max_detections=self.max_detections, by_area=False)
            if precision["ap"] is None:
                return metrics
            metrics |= {f"{name}_ap": precision["ap"], f"{name}_ap50": precision["ap50"]}
            for index, value in precision["per_class"].items():
                metrics["per_class"].setdefault(self.labels[index].name, {})[f"{name}_ap"] = value
        return metrics

    def _rows(self, segments: Segmentation) -> list[dict[str, Any]]:
        """Return the objects that have a pixel, as :data:`axialzoo.tasks.coco.Picture` has them, with masks and boxes."""
        index, classes, crowd = relabel(segments), class_of(segments), is_crowd(segments)
        pixels = areas(segments, index)[1:]
        keep = [i for i, label in enumerate(classes) if pixels[i] and self.labels[label].thing]
        sides = np.concatenate([segments.boxes[:, :2], segments.boxes[:, 2:] - segments.boxes[:, :2]], 1)  # (n, 4)
        return [
            {
                "label_id": int(classes[i]),
                "segmentation": mask,
                "bbox": sides[i].tolist(),
                "area": float(pixels[i]),
                "iscrowd": int(crowd[i]),
                "score": float(segments.segments_info[i].get("score", 1.0)),
            }
            for i, mask in zip(keep, _encoded(index, keep))
        ]


def _encoded(index: np.ndarray, keep: list[int]) -> list[Any]:
    """Return COCO's compressed run lengths of the segments `keep` of the map (H, W) of `indices`."""
    from pycocotools import mask

    columns = np.asfortranarray(index)  # run lengths go down the columns
    return [mask.encode((columns == number + 1).view(np.uint8)) for number in keep]
