"""COCO's average precision, of boxes and of masks, computed by pycocotools: the numbers that papers report."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

Kind = Literal["bbox", "segm"]
Picture = Sequence[Mapping[str, Any]]
"""The objects of one picture: of each ``label_id``, ``area`` (square pixels) and either ``bbox`` (left, top, width, height) or
``segmentation`` (run lengths, as `pycocotools.mask.encode` gives them); of results also ``score``, of ground truth
``iscrowd`` where it is 1."""


def coco_average_precision(
    annotations: Sequence[Picture], results: Sequence[Picture], kind: Kind = "bbox", *, max_detections: int = 100, by_area: bool = True
) -> dict[str, Any]:
    """Compute COCO's average precision, over the intersections over union 0.50, 0.55 ... 0.95 (arXiv:1405.0312).

    A crowd neither counts as found nor as missed.

    Args:
        annotations, results: The same pictures in the same order.
        kind: ``"bbox"``, or ``"segm"`` for masks.
        max_detections: How many of the best results of each picture and class count; COCO's is 100.
        by_area: Whether objects of each size are counted by themselves too.

    Returns:
        Fractions ``ap``, ``ap50``, ``ap75``, and `by_area` of objects ``ap_small`` (below 32^2 pixels), ``ap_medium``,
        ``ap_large`` (above 96^2); ``per_class``, of each class of the ground truth, index -> ``ap``. None where it has no such object.

    Raises:
        ModuleNotFoundError: without pycocotools.
        ValueError: for another kind, or different numbers of pictures.
    """
    if kind not in ("bbox", "segm"):
        raise ValueError(f"kind: expected 'bbox' or 'segm', found {kind!r}")
    if len(annotations) != len(results):
        raise ValueError(f"pictures: expected as many results as annotations, found {len(results)} and {len(annotations)}")
    classes = sorted({item["label_id"] for picture in (*annotations, *results) for item in picture})
    precision = _precision(annotations, results, kind, classes, max_detections, by_area)  # (T, R, K, A)
    halves, every = {"50": 0, "75": 5}, {"small": 1, "medium": 2, "large": 3} if by_area else {}
    per_class = {index: _mean(precision[:, :, place, 0]) for place, index in enumerate(classes)}
    return {
        "ap": _mean(precision[..., 0]),
        **{f"ap{name}": _mean(precision[place, ..., 0]) for name, place in halves.items()},
        **{f"ap_{name}": _mean(precision[..., place]) for name, place in every.items()},
        "per_class": {index: value for index, value in per_class.items() if value is not None},
    }


def _precision(
    annotations: Sequence[Picture], results: Sequence[Picture], kind: Kind, classes: list[int], max_detections: int, by_area: bool
) -> np.ndarray:
    """Return the precision (T thresholds, R recalls, K classes, A areas, all sizes first); -1 where the ground truth has no object."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ModuleNotFoundError as error:
        message = "average precision needs pycocotools: pip install 'axialzoo[metrics]' (in a clone: pip install '.[metrics]')"
        raise ModuleNotFoundError(message, name=error.name) from error
    if not classes:
        return np.full((10, 101, 0, 4), -1.0)

    def dataset(pictures: Sequence[Picture]) -> Any:
        rows = [(picture, item) for picture, objects in enumerate(pictures) for item in objects]
        coco: Any = COCO()
        coco.dataset = {
            "images": [{"id": picture, "height": 0, "width": 0} for picture in range(len(pictures))],  # run lengths have their own size
            "categories": [{"id": index} for index in classes],
            "annotations": [_annotation(number, picture, item, kind) for number, (picture, item) in enumerate(rows, 1)],  # 0 means none
        }
        coco.createIndex()
        return coco

    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluation = COCOeval(dataset(annotations), dataset(results), kind)
        settings = evaluation.params
        settings.maxDets = [max_detections]
        if not by_area:
            settings.areaRng, settings.areaRngLbl = settings.areaRng[:1], settings.areaRngLbl[:1]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][..., 0]


def _annotation(number: int, picture: int, item: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    shape = {"bbox": item["bbox"]} if kind == "bbox" else {"segmentation": item["segmentation"]}
    score = {"score": item["score"]} if "score" in item else {}
    ids = {"id": number, "image_id": picture, "category_id": item["label_id"]}
    return {**ids, "area": item["area"], "iscrowd": int(item.get("iscrowd", 0)), **shape, **score}


def _mean(precision: Iterable[float] | np.ndarray) -> float | None:
    known = np.asarray(precision)[np.asarray(precision) > -1]
    return float(known.mean()) if known.size else None
