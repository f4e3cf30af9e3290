"""Labels are validated as they are built: what comes out of here can be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from axialzoo.data.dataset import DataError
from axialzoo.data.faults import STRICT, BadLabelError, Fault, LabelPolicy
from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Detections, Segmentation

WHITE = ((1, 1), (8, 255), (16, 65535), (24, 0xFFFFFF))  # bits and value of white in masks of black and white
TOLERANCE = 1.0  # pixels that a box may reach out of its picture: rounding, and formats that count from 1; it is clipped


def validate_boxes(
    rows: Sequence[Sequence[float]] | np.ndarray,
    indices: Sequence[int] | np.ndarray,
    labels: tuple[Label, ...],
    size: tuple[int, int],
    where: Sequence[str] | str,
    crowd: Sequence[bool] | np.ndarray | None = None,
    policy: LabelPolicy = STRICT,
) -> Detections:
    """Return boxes that are finite, inside their picture and of known classes.

    Args:
        rows: (n, 4) left, top, right, bottom in pixels; n may be 0.
        indices: (n,) the class of each.
        size: (width, height) of the picture.
        where: Name of each box in messages, or of all of them.
        crowd: (n,) whether each is a crowd.
        policy: Decides about bad boxes.

    Raises:
        BadLabelError: naming each bad box and its values: NaN, no width or height (also reversed), more than `TOLERANCE` pixels outside.
    """
    boxes = np.asarray(rows, np.float64).reshape(-1, 4)
    classes = np.asarray(indices, np.int64).reshape(-1)
    crowds = None if crowd is None else np.asarray(crowd, bool).reshape(-1)
    ends = np.array([*size, *size], np.float64)
    clipped = np.clip(boxes, 0, ends)
    checks = (
        (~np.isfinite(boxes).all(1), "box with NaN or infinity", "a box of finite numbers"),
        ((boxes[:, 2:] <= boxes[:, :2]).any(1), "box without width or height", "a box whose width and height are more than 0"),
        (
            ((boxes < -TOLERANCE) | (boxes > ends + TOLERANCE)).any(1),
            "box outside its picture",
            f"a box inside its picture (or {TOLERANCE:g} pixel outside, at most)",
        ),
        ((clipped[:, 2:] <= clipped[:, :2]).any(1), "box outside its picture", "a box of which more than a line lies inside its picture"),
    )
    bad = np.stack([rows for rows, _, _ in checks])
    faults, good = [], np.ones(len(boxes), bool)
    for at in np.flatnonzero(bad.any(0) | (classes < 0) | (classes >= len(labels))).tolist():
        good[at], name = False, where if isinstance(where, str) else where[at]
        reasons = [(kind, expected) for number, (_, kind, expected) in enumerate(checks) if bad[number, at]]
        if reasons:
            values = f"left, top, right, bottom {', '.join(f'{value:g}' for value in boxes[at])}"
            message = f"{name}: expected {reasons[0][1]}, found {values} in a picture of {size[0]} x {size[1]}"
            faults.append(Fault(reasons[0][0], message))
        else:
            faults.append(class_fault(int(classes[at]), labels, name))
    policy.handle(faults)
    return Detections(clipped[good], np.ones(int(good.sum())), classes[good], labels, None if crowds is None else crowds[good])


def class_fault(index: int, labels: tuple[Label, ...], where: str) -> Fault:
    """Return the fault of a class that is not in the list."""
    return Fault("class that the list does not have", f"{where}: expected a class from 0 to {len(labels) - 1}, found {index}")


def check_class(index: int, labels: tuple[Label, ...], where: str) -> None:
    """Raise BadLabelError for a class that is not in the list."""
    if not 0 <= index < len(labels):
        raise BadLabelError([class_fault(index, labels, where)])


def validate_segments(
    ids: np.ndarray, info: Sequence[dict[str, Any]], labels: tuple[Label, ...], where: str, policy: LabelPolicy = STRICT
) -> Segmentation:
    """Return segments numbered from 1 in the order of `info`, their areas counted.

    Args:
        ids: (H, W) whole numbers as the file has them, any numbers; 0 is void.
        info: Of each segment its ``id`` in the map, ``label_id`` and, where it is 1, ``iscrowd``.
        policy: Decides about bad segments: skipped, their pixels are void.

    Raises:
        BadLabelError: naming ids of the map that `info` does not have, ids of `info` without a pixel, ids that occur twice, and
            classes outside the list.
    """
    numbers, inverse, areas = _counted(ids)
    at = {int(value): number for number, value in enumerate(numbers)}
    table, rows, bad = np.zeros(len(numbers), np.int32), [], set()
    with policy.gather() as gathered:
        for segment in info:
            key = segment["id"]
            if key not in at:
                fault = Fault("segment without a pixel", f"{where}: segment {key} has no pixel in the map")
            elif key == 0:
                fault = Fault("segment of void", f"{where}: expected segments with ids from 1 (0 is void), found 0")
            elif table[at[key]]:
                fault = Fault("segment id that occurs twice", f"{where}: segment {key} occurs twice")
            elif not 0 <= segment["label_id"] < len(labels):
                bad.add(key)
                fault = class_fault(segment["label_id"], labels, f"{where}: segment {key}")
            else:
                table[at[key]] = len(rows) + 1
                crowd = {"iscrowd": 1} if segment.get("iscrowd") else {}
                area = int(areas[at[key]])
                rows.append({"id": len(rows) + 1, "label_id": segment["label_id"], "score": 1.0, "area": area, **crowd})
                continue
            gathered.handle([fault])
        unknown = [int(value) for value in numbers[table == 0] if value != 0 and int(value) not in bad]
        if unknown:
            message = f"{where}: the map has segments that are not listed: {', '.join(map(str, unknown[:10]))}"
            gathered.handle([Fault("map with segments that are not listed", message)])
    return Segmentation(table[inverse].reshape(ids.shape), rows, labels)


def _counted(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ``np.unique`` with inverse and counts; where the numbers are small, ten times faster without sorting."""
    if ids.min(initial=0) < 0 or ids.max(initial=0) > 1 << 17:
        return np.unique(ids, return_inverse=True, return_counts=True)
    counts = np.bincount(ids.reshape(-1))
    numbers = np.flatnonzero(counts)
    return numbers, (np.cumsum(counts > 0) - 1)[ids], counts[numbers]


def instance_annotation(ids: np.ndarray, bits: int, labels: tuple[Label, Label], where: str) -> Segmentation:
    """Return the segments of a map of instances: 0 is the background, of `labels[0]`; every other number an object of `labels[1]`.

    Numbers may have gaps; segments are numbered anew. 255 in a map of 8 bits is refused: masks of black and white, void pixels and
    maps that ran out of numbers look so. Save 255 instances or more with 16 bits.

    Raises:
        DataError: for 255 in 8 bits, and for black-and-white masks of any encoding.
    """
    numbers = np.unique(ids)
    if len(numbers) <= 2 and (bits, int(numbers[-1])) in WHITE:
        raise DataError(
            f"{where}: found 0 and {numbers[-1]} alone in a map of {bits} bits, a black-and-white mask, whose objects would be one; "
            'expected a number for each object, or two classes in labels.json, such as ["background", "object"]'
        )
    if bits == 8 and numbers[-1] == 255:
        raise DataError(
            f"{where}: found instance 255 in a map of 8 bits, which may be void, a black-and-white mask or a map that ran out of numbers; "
            "expected instances from 1 to 254, or a map of 16 bits"
        )
    # the background is number 0 in the file and void for `validate_segments`: move everything up by one
    info = [{"id": int(number) + 1, "label_id": int(number > 0)} for number in numbers]
    return validate_segments(ids + 1, info, labels, where)


def class_annotation(
    classes: np.ndarray, void: int | None, labels: tuple[Label, ...], where: str, policy: LabelPolicy = STRICT
) -> Segmentation:
    """Return a segment for each class that occurs in a map of classes; `void` is the number of no class.

    Raises:
        BadLabelError: naming a value that is neither a class nor void; skipped, such pixels are void.
    """
    numbers = [int(number) for number in np.unique(classes) if number != void]
    wrong = [number for number in numbers if not 0 <= number < len(labels)]
    if wrong:
        ignored = "" if void is None else f" or {void} for void"
        message = f"{where}: expected classes from 0 to {len(labels) - 1}{ignored}, found {', '.join(map(str, wrong[:10]))}"
        policy.handle([Fault("map with values that are no class", message)])
    numbers = [number for number in numbers if number not in wrong]
    ids = np.where(np.isin(classes, numbers), classes + 1, 0)
    return validate_segments(ids, [{"id": number + 1, "label_id": number} for number in numbers], labels, where)
