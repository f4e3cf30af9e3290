"""Assigns pixels to the centers that they point to."""

from __future__ import annotations

import numpy as np

from axialzoo.tasks.results import NotFiniteError

ROWS, COLUMNS = 64, 256  # of a block, so that its distances stay in the processor's cache


def nearest_center(offset: np.ndarray, centers: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return the number of the center nearest to the point that each pixel's offset leads to.

    Works in blocks, so that it never holds a whole map for each center. A block leaves out centers that are too far from all its points.

    Args:
        offset: (H, W, 2) float, rows and columns to add to a pixel's own.
        centers: (n, 2) rows and columns.
        where: (H, W) bool, the pixels to assign.

    Returns:
        (H, W) int32: 1 for the first center and so on; the first of equally near ones. 0 outside of `where` and without centers.
    """
    height, width = where.shape
    if offset.shape != (height, width, 2):
        raise ValueError(f"offset: expected shape {(height, width, 2)}, as the semantic map has it, found {offset.shape}")
    nearest = np.zeros((height, width), np.int32)
    if not len(centers):
        return nearest
    centers = centers.astype(np.float32)
    for top in range(0, height, ROWS):
        for left in range(0, width, COLUMNS):
            block = np.s_[top : top + ROWS, left : left + COLUMNS]
            rows, columns = np.nonzero(where[block])
            if len(rows):
                y = offset[block][..., 0][rows, columns] + (rows + top).astype(np.float32)  # (pixels,)
                x = offset[block][..., 1][rows, columns] + (columns + left).astype(np.float32)
                nearest[block][rows, columns] = _nearest(y, x, centers)
    return nearest


def _nearest(y: np.ndarray, x: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Return (pixels,) int32: the number, from 1, of the center nearest to each point (y, x)."""
    if not (np.isfinite(y).all() and np.isfinite(x).all()):
        raise NotFiniteError("offset: expected finite numbers, found NaN or infinity; did training diverge?")
    best = np.full(len(y), np.inf, np.float32)
    number = np.zeros(len(y), np.int32)
    distance, across, nearer = np.empty_like(best), np.empty_like(best), np.empty(len(y), bool)
    for index in _within_reach(y, x, centers):
        np.square(np.subtract(y, centers[index, 0], out=distance), out=distance)
        np.square(np.subtract(x, centers[index, 1], out=across), out=across)
        distance += across
        np.less(distance, best, out=nearer)
        np.minimum(distance, best, out=best)
        number[nearer] = index + 1
    return number


def _within_reach(y: np.ndarray, x: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Return the indices of the centers that can be nearest to any point of the rectangle that holds all (y, x)."""
    low, high = np.array([y.min(), x.min()], np.float64), np.array([y.max(), x.max()], np.float64)
    outside = np.maximum(np.maximum(low - centers, centers - high), 0)  # (n, 2)
    farthest = np.maximum(centers - low, high - centers)
    least, most = (outside**2).sum(1), (farthest**2).sum(1)  # (n,) squared distances
    return np.flatnonzero(least * 0.9999 <= most.min())  # the margin is for rounding in float32
