"""Targets of each location from boxes: FCOS (arXiv:1904.01355, section 3), with center sampling (arXiv:2006.09214)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from axialzoo.tasks.results import Detections

BACKGROUND, IGNORED = -1, -2
Range = tuple[float, float]


def box_targets(
    annotation: Detections,
    sizes: Sequence[tuple[int, int]],
    strides: Sequence[int],
    *,
    ranges: Sequence[Range] | None = None,
    radius: float | None = 1.5,
) -> dict[str, np.ndarray]:
    """Return the targets of one picture, at the locations of all levels one after another, row by row.

    A location belongs to a box if it lies inside, at most `radius` strides from its centre in x and in y, and the largest of the four
    distances is in the level's range. If it belongs to several boxes, it takes the smallest; among equals, the first.
    A box so small that it contains no location has no target, as in the paper.

    Args:
        annotation: In pixels of the model's input. No location belongs to boxes with `crowd`.
        sizes: Height and width of each level's map.
        strides: Of each level.
        ranges: Of each level, in pixels, both ends included; None for :func:`size_ranges`.
        radius: Of center sampling, in strides; None takes all of a box.

    Returns:
        ``classes`` (L,) int32: the class, BACKGROUND (-1), or IGNORED (-2) in a crowd's region and in no box;
        ``boxes`` (L, 4) float32: how far left, top, right and bottom of the box are, in strides of the level, 0 where there is none;
        ``centerness`` (L,) float32: sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b)), 0 where there is no box.

    Raises:
        ValueError: for numbers of levels that differ, boxes that are not finite or whose ends are swapped, or a class that there is not.

    Example:
        >>> import numpy as np
        >>> objects = Detections(np.array([[0, 0, 16, 16]]), np.ones(1), np.array([3]))
        >>> box_targets(objects, [(2, 3)], [8])["classes"].tolist()
        [3, 3, -1, 3, 3, -1]
    """
    ranges = size_ranges(strides) if ranges is None else ranges
    if not len(sizes) == len(strides) == len(ranges):
        raise ValueError(f"levels: expected as many sizes as strides and ranges, found {len(sizes)}, {len(strides)}, {len(ranges)}")
    boxes = np.asarray(annotation.boxes, np.float64).reshape(-1, 4)
    if not np.isfinite(boxes).all() or (boxes[:, :2] > boxes[:, 2:]).any():
        raise ValueError(f"annotation: expected finite left, top, right, bottom with left <= right, top <= bottom, found {boxes.tolist()}")
    _check_pixels(boxes, [min(side * stride for side, stride in zip(lengths, strides)) for lengths in zip(*sizes)])
    wrong = [int(index) for index in annotation.labels if index < 0 or (annotation.categories and index >= len(annotation.categories))]
    if wrong:
        raise ValueError(
            f"annotation: expected classes from 0 to {len(annotation.categories) - 1 if annotation.categories else 'any'}, found {wrong[0]}"
        )
    crowd = np.zeros(len(boxes), bool) if annotation.crowd is None else np.asarray(annotation.crowd, bool)
    order = np.argsort(np.prod(boxes[:, 2:] - boxes[:, :2], 1), kind="stable")  # the smallest first: the first that fits is taken
    objects = order[~crowd[order]]
    indices = np.asarray(annotation.labels, np.int32)[objects]
    levels = [
        _level(boxes[objects], indices, boxes[crowd], size, stride, bounds, radius) for size, stride, bounds in zip(sizes, strides, ranges)
    ]
    return {name: np.concatenate([level[name] for level in levels]) for name in ("classes", "boxes", "centerness")}


def _check_pixels(boxes: np.ndarray, size: Sequence[int]) -> None:
    """Refuse boxes (n, 4) that are not in pixels of the input, whose maps cover `size`: height and width."""
    advice = "expected pixels of the model's input, to which axialzoo.data.Batches and to_model_input move boxes"
    outside = boxes[(boxes.min(1) < -1) | (boxes[:, 2] > size[1] + 1) | (boxes[:, 3] > size[0] + 1)]
    if len(outside):
        raise ValueError(f"annotation: the box {outside[0].tolist()} reaches beyond the input of {size[0]} x {size[1]}; {advice}")
    if len(boxes) and boxes.max() <= 1:
        raise ValueError(f"annotation: the box {boxes[0].tolist()} looks like shares of the picture; {advice}")


def size_ranges(strides: Sequence[int]) -> list[Range]:
    """Return the paper's ranges: each level ends at 8 of its strides and begins where the level before ends; the last has no end.

    Example:
        >>> size_ranges([8, 16, 32])
        [(0.0, 64.0), (64.0, 128.0), (128.0, inf)]
    """
    ends = [0.0, *(8.0 * stride for stride in strides[:-1]), np.inf]
    return list(pairwise(ends))


def _level(boxes, indices, crowds, size: tuple[int, int], stride: int, bounds: Range, radius: float | None) -> dict[str, np.ndarray]:
    """Return the targets of one level. Conditions are computed by row (n, H) and by column (n, W); only bits have (n, H, W)."""
    height, width = size
    x, y = ((np.arange(side) + 0.5) * stride for side in (width, height))
    inside_x, far_x = _axis(x, boxes[:, 0], boxes[:, 2], stride, radius)  # (n, W)
    inside_y, far_y = _axis(y, boxes[:, 1], boxes[:, 3], stride, radius)  # (n, H)
    low, high = bounds
    fits = (inside_y & (far_y <= high))[:, :, None] & (inside_x & (far_x <= high))[:, None]  # (n, H, W)
    fits &= (far_y >= low)[:, :, None] | (far_x >= low)[:, None]
    classes = np.full((height, width), BACKGROUND, np.int32)
    crowded_x, crowded_y = _axis(x, crowds[:, 0], crowds[:, 2], stride, None)[0], _axis(y, crowds[:, 1], crowds[:, 3], stride, None)[0]
    classes[(crowded_y[:, :, None] & crowded_x[:, None]).any(0)] = IGNORED
    distances, centerness = np.zeros((height, width, 4), np.float32), np.zeros((height, width), np.float32)
    row, column = np.nonzero(fits.any(0))
    which = fits[:, row, column].argmax(0) if len(row) else np.zeros(0, np.int64)  # the first that fits
    left, top, right, bottom = boxes[which].T
    reach = np.stack([x[column] - left, y[row] - top, right - x[column], bottom - y[row]], 1)  # (positives, 4) in pixels, above 0
    classes[row, column] = indices[which]
    distances[row, column] = reach / stride
    pairs = reach[:, :2], reach[:, 2:]
    centerness[row, column] = np.sqrt((np.minimum(*pairs) / np.maximum(*pairs)).prod(1))
    return {"classes": classes.ravel(), "boxes": distances.reshape(-1, 4), "centerness": centerness.ravel()}


def _axis(points: np.ndarray, begin: np.ndarray, end: np.ndarray, stride: int, radius: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, points) each, along one axis: whether a point is in (the middle of) a box, and its distance to the farther end."""
    before, after = points - begin[:, None], end[:, None] - points  # (n, points)
    inside = (before > 0) & (after > 0)
    if radius is not None:
        inside &= np.abs(before - after) < 2 * radius * stride  # twice the distance from the centre
    return inside, np.maximum(before, after)
