"""Classes of pixels, class scores of segments, and the agreement of their pixels.

Works on some rows at a time, so that no second map of all classes is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from axialzoo.tasks.results import NotFiniteError

ROWS = 16
Activation = Literal["softmax"] | None


def rows(height: int) -> Iterator[slice]:
    """Return the slices of `ROWS` rows that cover a map."""
    return (slice(top, top + ROWS) for top in range(0, height, ROWS))


def pixel_classes(semantic: np.ndarray, activation: Activation, void: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the likeliest class of each pixel, and the logarithm of the softmax's denominator.

    Args:
        semantic: (H, W, C) logits or probabilities.
        activation: As of `probabilities`.
        void: A class that counts as none.

    Returns:
        (H, W) int32, the lower of equally likely classes, -1 for none; and (H, W) float32, the logarithm of the sum of the exponentials
        of the logits (None for probabilities). Values that are not finite stay so.
    """
    check_activation(activation)
    classes = np.empty(semantic.shape[:2], np.int32)
    norms = None if activation is None else np.empty(semantic.shape[:2], np.float32)
    for part in rows(len(classes)):
        values = semantic[part]
        classes[part] = likeliest = values.argmax(-1)  # (rows, W)
        if norms is not None:
            peak = np.take_along_axis(values, likeliest[..., None], -1)
            with np.errstate(invalid="ignore"):
                norms[part] = peak[..., 0] + np.log(np.einsum("hwc->hw", np.exp(values - peak)))  # faster than sum over few classes
    if void is not None:
        classes[classes == void] = -1
    return classes, norms


def check_activation(activation: Activation) -> None:
    """Refuse an unknown activation."""
    if activation not in ("softmax", None):
        raise ValueError(f"activation: expected 'softmax' or None, found {activation!r}")


def probabilities(semantic: np.ndarray, activation: Activation) -> np.ndarray:
    """Return (..., C) float32 probabilities from logits (``"softmax"``), or `semantic` itself (None)."""
    check_activation(activation)
    semantic = np.asarray(semantic, np.float32)
    if activation is None:
        return semantic
    exponentials = np.exp(semantic - semantic.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def class_scores(semantic: np.ndarray, segments: np.ndarray, classes: np.ndarray, norms: np.ndarray | None = None) -> np.ndarray:
    """Return the mean probability of its class over the pixels of each segment.

    Args:
        semantic: (H, W, C) logits or probabilities, or (H, W) the probability of each pixel's own class.
        segments: (H, W) int32, 0 for none, else the segment's number from 1.
        classes: (n,) the class of each segment.
        norms: (H, W) of logits, as `pixel_classes` gives them.

    Returns:
        (n,) float64.
    """
    total, count = np.zeros(len(classes) + 1), np.zeros(len(classes) + 1)
    column = np.concatenate([[0], classes])  # void reads class 0 and is dropped
    for part in rows(len(segments)):
        number, values = segments[part], semantic[part]
        if values.ndim == 3:
            values = np.take_along_axis(values, column[number][..., None], -1)[..., 0]  # (rows, W)
        if norms is not None:
            with np.errstate(invalid="ignore"):
                values = np.exp(values - norms[part])
        total += np.bincount(number.ravel(), values.ravel(), len(total))
        count += np.bincount(number.ravel(), minlength=len(total))
    if not np.isfinite(total).all():
        raise NotFiniteError("semantic: expected finite numbers, found NaN or infinity; did training diverge?")
    return total[1:] / np.maximum(count[1:], 1)


def vote_agreement(offset: np.ndarray, segments: np.ndarray, count: int, weight: float) -> np.ndarray:
    """Return how well the pixels of each segment agree on its center: 1 where all point to one place.

    The pixels of two merged objects point to two centers; the pixels of a part of an object point to a center outside of it. The agreement
    is the mean over the pixels of ``exp(-weight * d^2 / r^2)``: `d` is the distance from the point that a pixel points to, to the mean of
    these points, and `r` the radius of a disc as large as the segment.

    Args:
        offset: (H, W, 2) rows and columns from each pixel to the middle of its object.
        segments: (H, W) int32, 0 for none, else the segment's number from 1.
        count: Number of segments.
        weight: Strength of the penalty.

    Returns:
        (count,) float64.
    """
    pixels = np.bincount(segments.ravel(), minlength=count + 1)  # (count + 1,)
    sums = np.zeros((2, count + 1))
    for part in rows(len(segments)):
        for axis, at in enumerate(_pointed(offset, part)):
            sums[axis] += np.bincount(segments[part].ravel(), at.ravel(), count + 1)
    middle = sums / np.maximum(pixels, 1)
    scale = weight * np.pi / np.maximum(pixels, 1)
    total = np.zeros(count + 1)
    for part in rows(len(segments)):
        number = segments[part]
        y, x = _pointed(offset, part)
        distance = (y - middle[0][number]) ** 2 + (x - middle[1][number]) ** 2  # (rows, W), squared
        total += np.bincount(number.ravel(), np.exp(-scale[number] * distance).ravel(), count + 1)
    return total[1:] / np.maximum(pixels[1:], 1)


def _pointed(offset: np.ndarray, part: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns, (rows, W) each, that the pixels of `part` point to."""
    height, width = offset[part].shape[:2]
    return offset[part][..., 0] + np.arange(part.start, part.start + height)[:, None], offset[part][..., 1] + np.arange(width)
