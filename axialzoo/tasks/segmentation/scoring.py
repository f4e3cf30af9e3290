"""Classes of pixels, and how sure of a segment's class the network is; in rows at a time, so that no second map of all classes is held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

ROWS = 16
Activation = Literal["softmax"] | None


def rows(height: int) -> Iterator[slice]:
    """Slices of `ROWS` rows that cover a map."""
    return (slice(top, top + ROWS) for top in range(0, height, ROWS))


def pixel_classes(semantic: np.ndarray, void: int | None = None) -> np.ndarray:
    """(H, W) int32: the likeliest class of each pixel, of equal ones the lower; -1 where that is the class `void`."""
    classes = np.empty(semantic.shape[:2], np.int32)
    for part in rows(len(classes)):
        classes[part] = semantic[part].argmax(-1)
    if void is not None:
        classes[classes == void] = -1
    return classes


def probabilities(semantic: np.ndarray, activation: Activation) -> np.ndarray:
    """(..., C) float32 from logits (``"softmax"``), or what there is (None)."""
    semantic = np.asarray(semantic, np.float32)
    if activation is None:
        return semantic
    if activation != "softmax":
        raise ValueError(f"activation: expected 'softmax' or None, found {activation!r}")
    grown = np.exp(semantic - semantic.max(-1, keepdims=True))
    return grown / grown.sum(-1, keepdims=True)


def class_scores(semantic: np.ndarray, segments: np.ndarray, classes: np.ndarray, activation: Activation) -> np.ndarray:
    """The mean probability of its class over the pixels of each segment.

    Args:
        semantic: (H, W, C) logits or probabilities, or (H, W) the probability of each pixel's own class.
        segments: (H, W) int32, 0 for none, else the segment's number from 1.
        classes: (n,) the class of each segment.
        activation: As of `probabilities`; not used of (H, W).

    Returns:
        (n,) float64.
    """
    total, count = np.zeros(len(classes) + 1), np.zeros(len(classes) + 1)
    column = np.concatenate([[0], classes])  # void reads class 0 and is dropped
    for part in rows(len(segments)):
        number, values = segments[part], semantic[part]
        if values.ndim == 3:
            values = np.take_along_axis(probabilities(values, activation), column[number][..., None], -1)[..., 0]  # (rows, W)
        total += np.bincount(number.ravel(), values.ravel(), len(total))
        count += np.bincount(number.ravel(), minlength=len(total))
    if not np.isfinite(total).all():
        raise ValueError("semantic: expected finite numbers, found NaN or infinity; did training diverge?")
    return total[1:] / np.maximum(count[1:], 1)
