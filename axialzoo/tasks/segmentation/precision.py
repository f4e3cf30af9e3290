"""Average precision of objects by COCO's own code (pycocotools), which is imported when first needed."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np

from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segments
from axialzoo.tasks.segmentation.compact import areas, class_of, indices, is_crowd
from axialzoo.tasks.segmentation.quality import distinct
from axialzoo.tasks.segmentation.rle import run_lengths


class AveragePrecision:
    """Mask and box AP of the objects (segments of things) of all pictures.

    Args:
        labels: One per class.
        max_detections: How many of the best of a picture count; COCO's is 100.
    """

    def __init__(self, labels: tuple[Label, ...], max_detections: int = 100):
        self.labels, self.max_detections = distinct(labels), max_detections
        self.images: list[dict[str, Any]] = []
        self.truths: list[dict[str, Any]] = []
        self.results: list[dict[str, Any]] = []

    def update(self, result: Segments, truth: Segments) -> None:
        """Counts one picture; a ValueError for maps of different sizes."""
        if result.map.shape != truth.map.shape:
            raise ValueError(f"result: expected a map as large as the truth's {truth.map.shape}, found {result.map.shape}")
        image = len(self.images) + 1
        self.images.append({"id": image, "height": truth.map.shape[0], "width": truth.map.shape[1]})
        self._add(self.truths, truth, image)
        self._add(self.results, result, image)

    def _add(self, to: list[dict[str, Any]], segments: Segments, image: int) -> None:
        index, classes, crowd = indices(segments), class_of(segments), is_crowd(segments)
        pixels = areas(segments, index)[1:]
        keep = [i for i, label in enumerate(classes) if pixels[i] and self.labels[label].thing]
        boxes = segments.boxes
        for i, rle in zip(keep, _encoded(index, len(segments), keep)):
            left, top, right, bottom = boxes[i].tolist()
            info = segments.segments_info[i]
            to.append(
                {
                    "id": len(to) + 1,
                    "image_id": image,
                    "category_id": int(classes[i]),
                    "segmentation": rle,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": float(pixels[i]),
                    "iscrowd": int(crowd[i]),
                    "score": float(info.get("score", 1.0)),
                }
            )

    def compute(self) -> dict[str, Any]:
        """``mask_ap``, ``mask_ap50``, ``box_ap``, ``box_ap50``: means over the things that the truth has, as fractions.

        Left out where the truth has no objects. ``per_class``: name -> ``mask_ap``, ``box_ap``.
        """
        found: dict[str, Any] = {"per_class": {}}
        if not any(not one["iscrowd"] for one in self.truths):
            return found
        for name, kind in (("mask", "segm"), ("box", "bbox")):
            precision = self._precision(kind)  # (IoU thresholds, recalls, classes), -1 where the truth has none
            valid = precision[precision > -1]
            half = precision[0][precision[0] > -1]  # at an IoU of 0.5
            found |= {f"{name}_ap": float(valid.mean()), f"{name}_ap50": float(half.mean())}
            for index, label in enumerate(self.labels):
                of_class = precision[:, :, index]
                if (of_class > -1).any():
                    found["per_class"].setdefault(label.name, {})[f"{name}_ap"] = float(of_class[of_class > -1].mean())
        return found

    def _precision(self, kind: str) -> np.ndarray:
        coco, evaluation = _pycocotools()
        with contextlib.redirect_stdout(io.StringIO()):  # it prints as it goes
            run = evaluation(self._index(coco, self.truths), self._index(coco, self.results), kind)
            run.params.maxDets = [self.max_detections]
            run.params.areaRng, run.params.areaRngLbl = run.params.areaRng[:1], ["all"]
            run.evaluate()
            run.accumulate()
        return run.eval["precision"][:, :, :, 0, 0]

    def _index(self, coco: Any, annotations: list[dict[str, Any]]) -> Any:
        indexed = coco()
        indexed.dataset = {
            "images": self.images,
            "categories": [{"id": i} for i in range(len(self.labels))],
            "annotations": [dict(one) for one in annotations],  # it writes into them
        }
        indexed.createIndex()
        return indexed


def _encoded(index: np.ndarray, count: int, keep: list[int]) -> list[dict[str, Any]]:
    """COCO's compressed run lengths of the segments `keep`."""
    from pycocotools import mask

    runs = run_lengths(index, count)
    uncompressed: list[Any] = [{"size": list(index.shape), "counts": runs[i]} for i in keep]
    return [mask.frPyObjects(one, *index.shape) for one in uncompressed]


def _pycocotools() -> tuple[Any, Any]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return COCO, COCOeval
