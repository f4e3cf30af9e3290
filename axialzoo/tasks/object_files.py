"""Objects of a picture in the formats of other tools: YOLO's text, COCO's JSON, and a cut-out of each object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from axialzoo.spec import Label, SpecError
from axialzoo.spec.labels import label_name
from axialzoo.tasks.objects import object_info
from axialzoo.tasks.results import Classification, Detections, Result, Segmentation
from axialzoo.tasks.task import Task


def check_has_objects(task: Task, option: str) -> None:
    """Refuse an option that needs objects.

    Raises:
        SpecError: for a task whose results are a class for the whole picture.
    """
    if task.annotation_type == "classes":
        raise SpecError(f"{option}: expected a model that finds objects, found one of {task.name}; leave {option} out")


def keep_scores(result: Result, min_score: float) -> Result:
    """Return a result without the objects of a lower score; segments that are no objects stay."""
    if isinstance(result, Detections):
        keep = result.scores >= min_score
        crowd = None if result.crowd is None else result.crowd[keep]
        warnings = result.warnings if keep.all() else ()  # objects that a limit left out have lower scores than those left out here
        arrays = {"boxes": result.boxes[keep], "scores": result.scores[keep], "labels": result.labels[keep]}
        return replace(result, **arrays, crowd=crowd, warnings=warnings)
    if isinstance(result, Classification):
        return result
    objects = {segment["id"] for segment in object_info(result)}
    left = [segment for segment in result.segments_info if segment["id"] not in objects or segment.get("score", 1.0) >= min_score]
    ids = np.where(np.isin(result.segmentation, [segment["id"] for segment in left]), result.segmentation, 0)
    warnings = result.warnings if len(left) == len(result.segments_info) else ()
    return replace(result, segmentation=ids, segments_info=left, warnings=warnings)


def boxes_of(result: Result) -> Detections:
    """Return the objects of a result as boxes: of segments, those that are things."""
    if isinstance(result, Classification):
        raise TypeError("boxes_of: expected boxes or segments, found classes of the whole picture")
    if isinstance(result, Detections):
        return result
    keep = {segment["id"] for segment in object_info(result)}
    return replace(result, segments_info=[segment for segment in result.segments_info if segment["id"] in keep]).to_detections()


def yolo_lines(result: Result, size: tuple[int, int]) -> list[str]:
    """Return a line for each object: class, middle, width and height of its box as shares of the picture, and its score.

    Args:
        size: Width and height of the picture.
    """
    objects, lines = boxes_of(result), []
    for box, score, label in zip(objects.boxes, objects.scores.tolist(), objects.labels.tolist()):
        left, top, right, bottom = box / np.tile(size, 2)
        middle = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
        lines.append(" ".join([str(label), *(f"{value:.6f}" for value in middle), f"{score:.6f}"]))
    return lines


def coco_objects(result: Result, image_id: int, first_id: int = 1) -> list[dict[str, Any]]:
    """Return the objects of a picture as COCO's annotations with a ``score``; category k of COCO is class k - 1.

    Boxes are (left, top, width, height); masks are run lengths, column by column, beginning with background.
    """
    objects, rows = boxes_of(result), []
    ids = [segment["id"] for segment in object_info(result)] if isinstance(result, Segmentation) else []
    for number, (box, score, label) in enumerate(zip(objects.boxes.tolist(), objects.scores.tolist(), objects.labels.tolist())):
        left, top, right, bottom = box
        row = {"id": first_id + number, "image_id": image_id, "category_id": label + 1, "score": score, "iscrowd": 0}
        row |= {"bbox": [left, top, right - left, bottom - top], "area": (right - left) * (bottom - top)}
        if isinstance(result, Segmentation):
            mask = result.segmentation == ids[number]
            row |= {"area": int(mask.sum()), "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask)}}
        rows.append(row)
    return rows


def run_lengths(mask: np.ndarray) -> list[int]:
    """Return the lengths of runs of background and object in turn, down the columns of a mask (H, W), as COCO has them uncompressed."""
    flat = mask.T.ravel()
    changes = (np.flatnonzero(np.diff(flat.astype(np.int8))) + 1).tolist()
    lengths = np.diff(np.array([0, *changes, flat.size])).tolist()
    return [0, *lengths] if flat.size and flat[0] else lengths


def coco_file(images: Sequence[tuple[str, tuple[int, int]]], annotations: Sequence[dict[str, Any]], labels: Sequence[Label]) -> dict:
    """Return COCO's JSON: images by name and (width, height), their annotations, and a category for each label, from 1."""
    return {
        "images": [{"id": at, "file_name": name, "width": size[0], "height": size[1]} for at, (name, size) in enumerate(images, 1)],
        "categories": [{"id": at, "name": label.name} for at, label in enumerate(labels, 1)],
        "annotations": list(annotations),
    }


def crops(result: Result, picture: Image.Image) -> Iterator[tuple[str, Image.Image]]:
    """Yield the class and the cut-out of the box of each object that has a pixel."""
    objects = boxes_of(result)
    for box, label in zip(objects.boxes, objects.labels.tolist()):
        left, top = np.floor(box[:2]).clip(0).astype(int).tolist()
        right, bottom = np.minimum(np.ceil(box[2:]), picture.size).astype(int).tolist()
        if right > left and bottom > top:
            yield label_name(objects.categories, label), picture.crop((left, top, right, bottom))
