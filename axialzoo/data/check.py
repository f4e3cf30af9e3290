"""Validation of every sample, before a run spends hours on the way to a bad one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from axialzoo.data.dataset import ArraySplit, DataError, Dataset, Sample, Split
from axialzoo.data.faults import BadLabelError, Fault
from axialzoo.tasks.results import Detections, Segmentation


def check(
    data: Dataset, progress: Callable[[int, int], None] | None = None, on_sample: Callable[[str, Sample], None] | None = None
) -> dict[str, dict[str, Any]]:
    """Open and validate every sample.

    Args:
        progress: Called with how many samples are done and how many there are.
        on_sample: Called with the name of the split and each sample that is opened from a file.

    Returns:
        Of each split: ``pictures``; of boxes and segments ``objects`` by class name, ``crowds``, ``without`` (pictures without any);
        of classes ``objects`` by class name; ``same_as`` of a split that holds the pictures of another; ``skipped``: the bad labels
        that were left out of all splits, by kind, in the first split.

    Raises:
        BadLabelError: listing every bad sample with its file and value.
        DataError: where no picture to train on has a box.
    """
    total, done = sum(len(split) for split in data.splits.values()), 0
    counted: dict[str, dict[str, Any]] = {}
    faults: list[Fault] = []
    for name, split in data.splits.items():
        if not len(split):
            raise DataError(f"data: split {name!r} has no pictures")
        counts, crowds, without = np.zeros(len(data.labels), np.int64), 0, 0
        for index in range(len(split)):
            try:
                classes, crowd = _classes(data, split, index, lambda sample, name=name: on_sample and on_sample(name, sample))
                counts += np.bincount(classes, minlength=len(counts))
                crowds += crowd
                without += not len(classes)
            except BadLabelError as error:
                faults += error.faults
            except DataError as error:
                faults.append(Fault("sample that cannot be used", str(error), can_skip=False))
            done += 1
            if progress:
                progress(done, total)
        if data.kind == "boxes" and name == "train" and not counts.any() and not faults:
            raise DataError(f"data: expected objects to train on, found none in the {len(split)} pictures of split {name!r}")
        counted[name] = {"pictures": len(split), "objects": dict(zip(data.classes, counts.tolist()))}
        if data.kind != "classes":
            counted[name] |= {"crowds": crowds, "without": without}
    if faults := list(dict.fromkeys(faults)):  # of pictures that serve as two splits, once
        raise BadLabelError(faults)
    if data.policy.skipped:
        data.about["skipped_labels"] = dict(Counter(fault.kind for fault in data.policy.skipped))
        counted[next(iter(counted))]["skipped"] = data.about["skipped_labels"]
    for name, other in data.about.get("same_as", {}).items():
        if name in counted:
            counted[name]["same_as"] = other
    return counted


def _classes(data: Dataset, split: Split, index: int, on_sample: Callable[[Sample], None]) -> tuple[np.ndarray, int]:
    """Return the classes of a sample's objects, crowds left out, and the number of crowds."""
    if isinstance(split, ArraySplit):
        return np.array([check_number(int(split.labels[index]), data, f"{split.name} {index}")]), 0
    sample = split[index]
    annotation = sample.annotation
    expected = {"classes": int, "boxes": Detections, "segments": Segmentation}[data.kind]
    if not isinstance(annotation, expected):
        raise DataError(f"{sample.name}: expected {expected.__name__} as ground truth, found {type(annotation).__name__}")
    if isinstance(annotation, Detections):
        classes, crowd = annotation.labels, np.zeros(len(annotation), bool) if annotation.crowd is None else annotation.crowd
    elif isinstance(annotation, Segmentation):
        _check_map(sample, annotation)
        classes = np.array([segment["label_id"] for segment in annotation.segments_info], np.int64)
        crowd = np.array([bool(segment.get("iscrowd")) for segment in annotation.segments_info], bool)
    else:
        classes, crowd = np.array([annotation], np.int64), np.zeros(1, bool)
    for number in classes.tolist():
        check_number(number, data, sample.name)
    on_sample(sample)
    return classes[~crowd], int(crowd.sum())


def check_number(number: int, data: Dataset, where: str) -> int:
    """Return the class of a sample if the data set has it."""
    if not 0 <= number < len(data.labels):
        raise DataError(f"{where}: expected a class from 0 to {len(data.labels) - 1}, found {number}")
    return number


def _check_map(sample: Sample, annotation: Segmentation) -> None:
    if annotation.segmentation.shape != sample.picture.size[::-1]:
        size = f"{annotation.segmentation.shape[1]} x {annotation.segmentation.shape[0]}"
        raise DataError(f"{sample.name}: expected a map of {sample.picture.width} x {sample.picture.height}, found {size}")
