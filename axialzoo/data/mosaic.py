"""Mosaic: four samples in the quarters of one canvas. Source: Bochkovskiy et al. 2020, "YOLOv4", section 3.4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from axialzoo.data.augment import ScaleCrop
from axialzoo.data.dataset import DataError, Sample
from axialzoo.tasks.results import Detections, Segmentation


def mosaic(samples: Sequence[Sample], policy: ScaleCrop, size: tuple[int, int], fill: tuple[int, ...], rng: np.random.Generator) -> Sample:
    """Join four samples, each augmented by `policy` to fill a quarter whose corner is drawn from the middle of the canvas.

    Raises:
        DataError: for annotations that are not all boxes or all segments.
    """
    policy = replace(policy, scales=(1.0, max(policy.scales[1], 1.0)))
    row, column = (int(side * rng.uniform(0.3, 0.7)) for side in size)
    row, column = max(row, 1), max(column, 1)
    corners = ((0, 0, row, column), (0, column, row, size[1]), (row, 0, size[0], column), (row, column, *size))
    canvas = Image.new("RGB", (size[1], size[0]), fill)
    parts: list[Sample] = []
    for sample, (top, left, bottom, right) in zip(samples, corners, strict=True):
        part = policy(sample, (bottom - top, right - left), fill, rng)
        canvas.paste(part.picture, (left, top))
        parts.append(part)
    annotations, name = [part.annotation for part in parts], " + ".join(part.name for part in parts)
    boxes = [annotation for annotation in annotations if isinstance(annotation, Detections)]
    segments = [annotation for annotation in annotations if isinstance(annotation, Segmentation)]
    if len(boxes) == len(annotations):
        return Sample(name, canvas, _boxes(boxes, corners))
    if len(segments) == len(annotations):
        return Sample(name, canvas, _segments(segments, corners, size))
    raise DataError(f"{name}: a mosaic needs boxes or segments, found {', '.join(type(annotation).__name__ for annotation in annotations)}")


def _boxes(annotations: Sequence[Detections], corners: Sequence[tuple[int, int, int, int]]) -> Detections:
    moved = [annotation.boxes + np.array([left, top, left, top]) for annotation, (top, left, _, _) in zip(annotations, corners)]
    crowds = [np.zeros(len(annotation), bool) if annotation.crowd is None else annotation.crowd for annotation in annotations]
    indices = np.concatenate([annotation.labels for annotation in annotations])
    return replace(annotations[0], boxes=np.concatenate(moved), scores=np.ones(len(indices)), labels=indices, crowd=np.concatenate(crowds))


def _segments(annotations: Sequence[Segmentation], corners: Sequence[tuple[int, int, int, int]], size: tuple[int, int]) -> Segmentation:
    """Join segments: things keep their numbers apart; stuff of one class is one segment, as in any picture."""
    ids, info, stuff = np.zeros(size, np.int32), {}, {}
    for annotation, (top, left, bottom, right) in zip(annotations, corners):
        table = np.zeros(max((segment["id"] for segment in annotation.segments_info), default=0) + 1, np.int32)
        for segment in annotation.segments_info:
            thing = not annotation.categories or annotation.categories[segment["label_id"]].thing
            new = len(info) + 1 if thing else stuff.setdefault(segment["label_id"], len(info) + 1)
            table[segment["id"]] = new
            info[new] = {**segment, "id": new, "area": segment["area"] + info.get(new, {}).get("area", 0)}
        ids[top:bottom, left:right] = table[annotation.segmentation]
    return Segmentation(ids, list(info.values()), annotations[0].categories)
