"""Truths checked as they are made: whatever a reader found, what comes out of here can be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from axialzoo.data.dataset import DataError
from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Detections, Segmentation

TOLERANCE = 1.0  # pixels that a box may reach out of its picture: rounding, and formats that count from 1; it is clipped


def validate_boxes(
    rows: Sequence[Sequence[float]] | np.ndarray,
    indices: Sequence[int] | np.ndarray,
    labels: tuple[Label, ...],
    size: tuple[int, int],
    where: Sequence[str] | str,
    crowd: Sequence[bool] | np.ndarray | None = None,
) -> Detections:
    """Boxes that are finite, inside their picture and of known classes.

    Args:
        rows: (n, 4) left, top, right, bottom in pixels; n may be 0.
        indices: (n,) the class of each.
        size: (width, height) of the picture.
        where: What messages call each box, or all of them.
        crowd: (n,) whether each is a crowd.

    Raises:
        DataError: naming the box and its values: NaN, no width or height (also reversed), more than `TOLERANCE` pixels outside.
    """
    boxes = np.asarray(rows, np.float64).reshape(-1, 4)
    classes = np.asarray(indices, np.int64).reshape(-1)
    ends = np.array([*size, *size], np.float64)

    def refuse(bad: Any, expected: str) -> None:
        if bad.any():
            at = int(bad.argmax())
            name = where if isinstance(where, str) else where[at]
            found = f"left, top, right, bottom {', '.join(f'{value:g}' for value in boxes[at])}"
            raise DataError(f"{name}: expected {expected}, found {found} in a picture of {size[0]} x {size[1]}")

    refuse(~np.isfinite(boxes).all(1), "a box of finite numbers")
    refuse((boxes[:, 2:] <= boxes[:, :2]).any(1), "a box whose width and height are more than 0")
    refuse(
        ((boxes < -TOLERANCE) | (boxes > ends + TOLERANCE)).any(1), f"a box inside its picture (or {TOLERANCE:g} pixel outside, at most)"
    )
    clipped = np.clip(boxes, 0, ends)
    refuse((clipped[:, 2:] <= clipped[:, :2]).any(1), "a box of which more than a line lies inside its picture")
    for at, index in enumerate(classes.tolist()):
        check_class(index, labels, where if isinstance(where, str) else where[at])
    return Detections(clipped, np.ones(len(boxes)), classes, labels, None if crowd is None else np.asarray(crowd, bool).reshape(-1))


def check_class(index: int, labels: tuple[Label, ...], where: str) -> None:
    """Raises DataError for a class that is not in the list."""
    if not 0 <= index < len(labels):
        raise DataError(f"{where}: expected a class from 0 to {len(labels) - 1}, found {index}")


def validate_segments(ids: np.ndarray, info: Sequence[dict[str, Any]], labels: tuple[Label, ...], where: str) -> Segmentation:
    """Segments numbered from 1 in the order of `info`, their areas counted.

    Args:
        ids: (H, W) whole numbers as the file has them, any numbers; 0 is void.
        info: Of each segment its ``id`` in the map, ``label_id`` and, where it is 1, ``iscrowd``.

    Raises:
        DataError: naming ids of the map that `info` does not have, ids of `info` without a pixel, ids that occur twice, and
            classes outside the list.
    """
    found, inverse, areas = _counted(ids)
    at = {int(value): number for number, value in enumerate(found)}
    table, rows = np.zeros(len(found), np.int32), []
    for number, one in enumerate(info, 1):
        if one["id"] not in at:
            raise DataError(f"{where}: segment {one['id']} has no pixel in the map")
        if one["id"] == 0:
            raise DataError(f"{where}: expected segments with ids from 1 (0 is void), found 0")
        if table[at[one["id"]]]:
            raise DataError(f"{where}: segment {one['id']} occurs twice")
        check_class(one["label_id"], labels, f"{where}: segment {one['id']}")
        table[at[one["id"]]] = number
        crowd = {"iscrowd": 1} if one.get("iscrowd") else {}
        rows.append({"id": number, "label_id": one["label_id"], "score": 1.0, "area": int(areas[at[one["id"]]]), **crowd})
    unknown = [int(value) for value in found[table == 0] if value != 0]
    if unknown:
        raise DataError(f"{where}: the map has segments that are not listed: {', '.join(map(str, unknown[:10]))}")
    return Segmentation(table[inverse].reshape(ids.shape), rows, labels)


def _counted(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``np.unique`` with inverse and counts; where the numbers are small, ten times faster without sorting."""
    if ids.min(initial=0) < 0 or ids.max(initial=0) > 1 << 17:
        return np.unique(ids, return_inverse=True, return_counts=True)
    counts = np.bincount(ids.reshape(-1))
    found = np.flatnonzero(counts)
    return found, (np.cumsum(counts > 0) - 1)[ids], counts[found]


def instance_truth(ids: np.ndarray, bits: int, labels: tuple[Label, Label], where: str) -> Segmentation:
    """A map of instances: 0 is the background, a segment of `labels[0]`; every other number an object of `labels[1]`.

    Numbers may have gaps; segments are numbered anew. 255 in a map of 8 bits is refused: masks of black and white, void pixels and
    maps that ran out of numbers look so. Save 255 instances or more with 16 bits.

    Raises:
        DataError: for 255 in 8 bits, and for black-and-white masks of 16 and 24 bits.
    """
    numbers = np.unique(ids)
    if bits == 8 and numbers[-1] == 255:
        raise DataError(
            f"{where}: found instance 255 in a map of 8 bits, which may be void, a black-and-white mask or a map that ran out of numbers; "
            "expected instances from 1 to 254, or a map of 16 bits"
        )
    if len(numbers) <= 2 and (bits, int(numbers[-1])) in ((16, 65535), (24, 0xFFFFFF)):
        raise DataError(
            f"{where}: found 0 and {numbers[-1]} alone in a map of {bits} bits, a black-and-white mask, whose objects would be one; "
            "expected a number for each object, or classes in labels.json"
        )
    # the background is number 0 in the file and void for `segments_truth`: move everything up by one
    info = [{"id": int(number) + 1, "label_id": int(number > 0)} for number in numbers]
    return validate_segments(ids + 1, info, labels, where)


def class_truth(classes: np.ndarray, void: int | None, labels: tuple[Label, ...], where: str) -> Segmentation:
    """A map of classes, `void` for none: a segment for each class that occurs.

    Raises:
        DataError: naming a value that is neither a class nor void.
    """
    numbers = [int(number) for number in np.unique(classes) if number != void]
    wrong = [number for number in numbers if not 0 <= number < len(labels)]
    if wrong:
        ignored = "" if void is None else f" or {void} for void"
        raise DataError(f"{where}: expected classes from 0 to {len(labels) - 1}{ignored}, found {', '.join(map(str, wrong[:10]))}")
    ids = np.where(classes == void, 0, classes + 1) if void is not None else classes + 1
    return validate_segments(ids, [{"id": number + 1, "label_id": number} for number in numbers], labels, where)
