"""Confusion of classes: how often each true class (row) was predicted as each class (column)."""

from __future__ import annotations

import numpy as np

from axialzoo.tasks.results import Detections, Segmentation

IOU, SCORE = 0.5, 0.25  # from which on a box is that of an object, and counts


def count_pairs(annotations: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Return the number of each pair of classes, (classes, classes) int64; pairs with a class below 0 do not count.

    Args:
        annotations, predictions: (n,) each.
    """
    known = (annotations >= 0) & (predictions >= 0)
    flat = annotations[known].astype(np.int64) * classes + predictions[known]
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def count_pixels(result: Segmentation, annotation: Segmentation, classes: int) -> np.ndarray:
    """Return the confusion of the pixels that have a class in the annotation; no class predicted is the last row and column."""
    target, prediction = annotation.class_map.ravel(), result.class_map.ravel()
    return count_pairs(target, np.where(prediction < 0, classes, prediction), classes + 1)


def count_boxes(result: Detections, annotation: Detections, classes: int) -> np.ndarray:
    """Return the confusion of boxes that overlap by an IoU of 0.5 or more, best scores first; what has no partner counts as the last class.

    Predictions of a score below 0.25 and crowds do not count.
    """
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    counted = np.ones(len(annotation), bool) if annotation.crowd is None else ~annotation.crowd
    boxes, labels = annotation.boxes[counted], annotation.labels[counted]
    free = np.ones(len(boxes), bool)
    for index in np.flatnonzero(result.scores >= SCORE):
        overlaps = _ious(result.boxes[index], boxes) * free
        if len(overlaps) and overlaps.max() >= IOU:
            partner = int(overlaps.argmax())
            free[partner] = False
            counts[labels[partner], result.labels[index]] += 1
        elif not (len(annotation.boxes) > len(boxes) and _ious(result.boxes[index], annotation.boxes[~counted]).max() >= IOU):
            counts[classes, result.labels[index]] += 1
    counts[:classes, classes] += np.bincount(labels[free], minlength=classes)
    return counts


def _ious(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the IoU of one box, (4,), with each of `boxes`, (n, 4)."""
    overlap = np.prod(np.maximum(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    return overlap / np.maximum(areas - overlap, 1e-12)
