"""A second, slow implementation: one box, one location, one number at a time."""

from __future__ import annotations

import math

import numpy as np


def areas(one, other) -> tuple[float, float]:
    """Intersection and union of two boxes."""
    width = max(min(one[2], other[2]) - max(one[0], other[0]), 0)
    height = max(min(one[3], other[3]) - max(one[1], other[1]), 0)
    both = width * height
    return both, (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - both


def iou(one, other) -> float:
    both, union = areas(one, other)
    return both / union if union > 0 else 0.0


def suppress(boxes, scores, indices, overlap: float) -> list[int]:
    remaining: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):

        def near(j, i=i):
            both, union = areas(boxes[i], boxes[j])
            return indices[i] == indices[j] and both > overlap * union

        if not any(near(j) for j in remaining):
            remaining.append(i)
    return remaining


def suppress_rows(boxes, scores, overlap: float) -> list[int]:
    """Suppression of many boxes of one class: a row of overlaps at a time."""
    rest = np.array(sorted(range(len(boxes)), key=lambda i: (-scores[i], i)))
    remaining = []
    while len(rest):
        remaining.append(int(rest[0]))
        first, rest = boxes[rest[0]], rest[1:]
        x1, y1, x2, y2 = boxes[rest].T
        both = np.maximum(np.minimum(first[2], x2) - np.maximum(first[0], x1), 0)
        both = both * np.maximum(np.minimum(first[3], y2) - np.maximum(first[1], y1), 0)
        union = (first[2] - first[0]) * (first[3] - first[1]) + (x2 - x1) * (y2 - y1) - both
        rest = rest[~(both > overlap * union)]
    return remaining


def suppress_softly(boxes, scores, indices, method: str, sigma: float, overlap: float, threshold: float) -> list[tuple[int, float]]:
    left = {i: float(score) for i, score in enumerate(scores) if score >= threshold}
    picked = []
    while left:
        best = min(left, key=lambda i: (-left[i], i))
        picked.append((best, left.pop(best)))
        for i in list(left):
            if indices[i] == indices[best]:
                u = iou(boxes[best], boxes[i])
                left[i] *= math.exp(-(u**2) / sigma) if method == "gaussian" else 1 - u if u > overlap else 1.0
                if left[i] < threshold:
                    del left[i]
    return picked


def targets(boxes, indices, crowd, sizes, strides, ranges, radius: float):
    """(classes, distances, centerness), lists over the locations."""
    classes, distances, centerness = [], [], []
    for (height, width), stride, (low, high) in zip(sizes, strides, ranges):
        for row in range(height):
            for column in range(width):
                x, y = (column + 0.5) * stride, (row + 0.5) * stride
                best, ignored = None, False
                for (x1, y1, x2, y2), index, many in zip(boxes, indices, crowd):
                    sides = x - x1, y - y1, x2 - x, y2 - y
                    if min(sides) <= 0:
                        continue
                    if many:
                        ignored = True
                        continue
                    central = max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2)) < radius * stride
                    area = (x2 - x1) * (y2 - y1)
                    if central and low <= max(sides) <= high and (best is None or area < best[0]):
                        best = area, index, sides
                if best is None:
                    classes.append(-2 if ignored else -1)
                    distances.append((0, 0, 0, 0))
                    centerness.append(0)
                else:
                    left, top, right, bottom = best[2]
                    classes.append(best[1])
                    distances.append(tuple(side / stride for side in best[2]))
                    centerness.append(math.sqrt(min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom)))
    return classes, distances, centerness


def losses(classes, boxes, centerness, wanted, distances, central, alpha=0.25, gamma=2.0, totals=None) -> dict[str, float]:
    """Losses of (L, K), (L, 4), (L,) outputs and (L,), (L, 4), (L,) targets, by the equations of the papers."""

    def log(z):  # of the sigmoid
        return -math.log1p(math.exp(-z)) if z > 0 else z - math.log1p(math.exp(z))

    parts = {"classes": 0.0, "boxes": 0.0, "centerness": 0.0}
    positives, weight = (wanted >= 0).sum(), central[wanted >= 0].sum()
    positives, weight = (positives, weight) if totals is None else totals
    for i, index in enumerate(wanted):
        if index == -2:
            continue
        for k, z in enumerate(classes[i]):
            y = 1 if k == index else 0
            p = 1 / (1 + math.exp(-z))
            parts["classes"] -= alpha * (1 - p) ** gamma * log(z) if y else (1 - alpha) * p**gamma * log(-z)
        if index >= 0:
            item, other = (tuple(np.array([-1, -1, 1, 1]) * sides) for sides in (boxes[i], distances[i]))
            _, union = areas(item, other)
            hull = (max(item[2], other[2]) - min(item[0], other[0])) * (max(item[3], other[3]) - min(item[1], other[1]))
            parts["boxes"] += central[i] * (1 - iou(item, other) + (hull - union) / hull)
            parts["centerness"] -= central[i] * log(centerness[i]) + (1 - central[i]) * log(-centerness[i])
    parts = {
        "classes": parts["classes"] / max(positives, 1),
        "boxes": parts["boxes"] / max(weight, 1e-7),
        "centerness": parts["centerness"] / max(positives, 1),
    }
    return {**parts, "total": sum(parts.values())}


def average_precision(annotations, results, threshold: float) -> float:
    """Average precision of one class: truths a picture [(box, crowd)], results a picture [(score, box)]; COCO's 101 recalls."""
    hits: list[tuple[float, bool]] = []
    there = sum(not crowd for picture in annotations for _, crowd in picture)
    for annotation, actual in zip(annotations, results):
        used: set[int] = set()
        for score, box in sorted(actual, key=lambda item: -item[0]):
            best, match = threshold, None
            for i, (other, crowd) in enumerate(annotation):
                if not crowd and i not in used and iou(box, other) >= best:
                    best, match = iou(box, other), i
            if match is not None:
                used.add(match)
                hits.append((score, True))
            elif not any(
                crowd and areas(box, other)[0] / ((box[2] - box[0]) * (box[3] - box[1])) >= threshold for other, crowd in annotation
            ):
                hits.append((score, False))
    right = wrong = 0
    curve = []  # (recall, precision)
    for _, hit in sorted(hits, key=lambda item: -item[0]):
        right, wrong = right + hit, wrong + (not hit)
        curve.append((right / there, right / (right + wrong)))
    return sum(max((p for r, p in curve if r >= recall), default=0.0) for recall in np.linspace(0, 1, 101)) / 101
