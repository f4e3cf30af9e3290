"""Objects of a picture as a label map and as a table, for programs that count and measure cells."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from axialzoo.files import atomic_write
from axialzoo.spec import SpecError
from axialzoo.spec.labels import label_name
from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.task import Task

COLUMNS = (
    "image", "id", "class", "score", "area", "left", "top", "right", "bottom", "centroid_x", "centroid_y", "mean_intensity",
    "equivalent_diameter",
)  # fmt: skip


def check_has_masks(task: Task, option: str) -> None:
    """Refuse an option that needs a mask for each object.

    Raises:
        SpecError: for a task whose results are no segments.
    """
    if task.annotation_type != "segments":
        raise SpecError(f"{option}: expected a model that gives a mask for each object, found one of {task.name}; leave {option} out")


def object_info(segments: Segmentation) -> list[dict[str, Any]]:
    """Return the rows of `segments_info` that are objects (things) and have a pixel, in their order: the best first."""
    return [
        segment
        for segment in segments.segments_info
        if segment["area"] and (not segments.categories or segments.categories[segment["label_id"]].thing)
    ]  # without labels nothing tells background from objects: each segment is one


def label_map(segments: Segmentation) -> np.ndarray:
    """Return the objects as a label map: 0 is background, object k of :func:`object_table` has the value k.

    Returns:
        (H, W) uint16; uint32 for more than 65,535 objects.
    """
    info = object_info(segments)
    table = np.zeros(int(segments.segmentation.max(initial=0)) + 1, np.uint16 if len(info) <= 65535 else np.uint32)
    for number, segment in enumerate(info, 1):
        table[segment["id"]] = number
    return table[segments.segmentation]


def object_table(segments: Segmentation, picture: Image.Image, name: str = "") -> list[dict[str, Any]]:
    """Return a row for each object, in the order of their ids.

    Args:
        segments: Result of a model, or annotation.
        picture: Picture of the same size; intensities are those of its 8-bit gray values, 0 to 255.
        name: Goes into the column ``image``.

    Returns:
        Rows of `COLUMNS`: ``id`` is the value in :func:`label_map`; ``area`` in pixels; ``left``, ``top``, ``right``, ``bottom`` are
        the edges of the box, in pixels (``right - left`` is its width); ``centroid_x``, ``centroid_y`` are the mean column and row,
        counted from 0; ``equivalent_diameter`` is that of the circle of the same area, in pixels.

    Raises:
        ValueError: for a picture of another size.
    """
    height, width = segments.segmentation.shape
    if picture.size != (width, height):
        raise ValueError(f"picture: expected {width} x {height} pixels as the map of segments, found {picture.width} x {picture.height}")
    info, ids = object_info(segments), label_map(segments)  # (H, W)
    flat, count = ids.ravel(), len(info) + 1
    area = np.bincount(flat, minlength=count)  # (n + 1,)
    gray = np.asarray(picture.convert("L"))  # (H, W)
    rows, columns = (np.broadcast_to(axis, ids.shape).ravel() for axis in np.ogrid[:height, :width])
    sums = [np.bincount(flat, values, count) for values in (columns, rows, gray.ravel())]
    means = np.stack(sums, 1) / np.maximum(area, 1)[:, None]  # (n + 1, 3)
    boxes = segments.boxes.astype(np.int64).tolist()
    box_of = {segment["id"]: box for segment, box in zip(segments.segments_info, boxes)}
    table = []
    for number, segment in enumerate(info, 1):
        score = round(float(segment.get("score", 1.0)), 6)
        box = dict(zip(("left", "top", "right", "bottom"), box_of[segment["id"]]))
        measured = dict(zip(("centroid_x", "centroid_y", "mean_intensity"), np.round(means[number], 3).tolist()))
        diameter = round(2 * math.sqrt(area[number] / math.pi), 3)
        row = {
            "image": name,
            "id": number,
            "class": label_name(segments.categories, segment["label_id"]),
            "score": score,
            "area": int(area[number]),
        }
        table.append({**row, **box, **measured, "equivalent_diameter": diameter})
    return table


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> None:
    """Write rows of :func:`object_table` as CSV, with a header."""
    with atomic_write(path) as beside, open(beside, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
