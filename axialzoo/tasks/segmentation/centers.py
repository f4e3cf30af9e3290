"""Finds the centers of objects in a heat map."""

from __future__ import annotations

import numpy as np

from axialzoo.tasks.results import NotFiniteError


def find_centers(
    heat: np.ndarray, threshold: float = 0.1, kernel: int = 13, top_k: int | None = None, *, every_tie: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the peaks of a heat map: pixels above a threshold that are the highest of the window around them.

    Two points differ from deeplab2. Peaks that touch (a plateau) are one center, in their middle: where the heat has few digits (half
    precision) or an object's center lies between the pixels of a smaller map, several pixels are equally high, and each would take a
    part of the object. And exactly the `top_k` highest stay; deeplab2's `keep_k_centers` compares with an arbitrary one of the k
    highest, strictly, and drops far too many.

    Args:
        heat: (H, W) or (H, W, 1).
        threshold: Peaks must be higher than this, and than 0.
        kernel: Side of the window in pixels; of an even one the longer half lies below and to the right.
        top_k: How many at most, of equal ones the first in reading order; None for all.
        every_tie: Whether every pixel of a plateau is a center, as in deeplab2.

    Returns:
        (n, 2) int64 rows and columns in reading order, and (n,) float32 heights.

    Source: Panoptic-DeepLab (arXiv:1911.10194), section 3.2.
    """
    peaks = suppressed(heat, threshold, kernel)
    where = np.argwhere(peaks > 0)  # (n, 2), in reading order
    heights = peaks[where[:, 0], where[:, 1]]  # (n,)
    if not every_tie and len(where) > 1:
        _, first, plateau = np.unique(connected_component(where, peaks.shape), return_index=True, return_inverse=True)
        sums = [np.bincount(plateau, along) for along in where.T]
        where = np.rint(np.stack(sums, 1) / np.bincount(plateau)[:, None]).astype(np.int64)
        heights = heights[first]
    return highest_centers(where, heights, top_k)


def highest_centers(where: np.ndarray, heights: np.ndarray, top_k: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the `top_k` highest of centers (n, 2) and their heights (n,), in their order; arguments as of `find_centers`."""
    if top_k is None or len(where) <= top_k:
        return where, heights
    if top_k < 1:
        raise ValueError(f"top_k: expected at least 1 or None, found {top_k}")
    best = np.sort(np.argsort(-heights, kind="stable")[:top_k])
    return where[best], heights[best]


def suppressed(heat: np.ndarray, threshold: float = 0.1, kernel: int = 13) -> np.ndarray:
    """Return the heat map, (H, W) float32, with all pixels but the peaks set to 0; arguments as for `find_centers`."""
    if kernel < 1:
        raise ValueError(f"kernel: expected at least 1, found {kernel}")
    heat = np.asarray(heat, np.float32)
    if heat.ndim == 3 and heat.shape[-1] == 1:
        heat = heat[..., 0]
    if heat.ndim != 2:
        raise ValueError(f"center: expected a heat map (H, W) or (H, W, 1), found shape {heat.shape}")
    if not np.isfinite(heat).all():
        raise NotFiniteError("center: expected finite numbers, found NaN or infinity; did training diverge?")
    heat = np.where(heat > max(threshold, 0), heat, np.float32(0))  # (H, W)
    heat[_highest(heat, kernel) != heat] = 0
    return heat


def connected_component(where: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return (n,) int64: for each of the (n, 2) pixels the first pixel of its connected component (8 neighbours).

    Neighbours take the lower of their numbers again and again; following each number to the pixel that it stands for keeps the steps few.
    """
    number = np.full((size[0] + 2, size[1] + 2), -1, np.int32)  # of each pixel, with a border
    rows, columns = where.T + 1
    number[rows, columns] = np.arange(len(where))
    a, b = [], []
    for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):
        neighbour = number[rows + down, columns + right]
        a.append(np.flatnonzero(neighbour >= 0))
        b.append(neighbour[neighbour >= 0])
    pairs = np.stack([np.concatenate(a), np.concatenate(b)])  # (2, pairs)
    first = np.arange(len(where))
    while (first[pairs[0]] != first[pairs[1]]).any():
        ends = np.sort(first[pairs], axis=0)
        np.minimum.at(first, ends[1], ends[0])
        while (first[first] != first).any():
            first = first[first]
    return first


def _highest(x: np.ndarray, kernel: int) -> np.ndarray:
    """Return (H, W): the maximum of the window around each pixel; 0 outside."""
    before = (kernel - 1) // 2
    highest = np.pad(x, (before, kernel - 1 - before))
    for axis in (0, 1):
        highest = _running_maximum(highest, kernel, axis)
    return highest


def _running_maximum(x: np.ndarray, kernel: int, axis: int) -> np.ndarray:
    """Return the maximum of each `kernel` neighbours along an axis, which becomes `kernel - 1` shorter, by doubling windows."""
    x = x.swapaxes(0, axis)
    span = 1
    while span < kernel:
        step = min(span, kernel - span)
        x = np.maximum(x[:-step], x[step:])
        span += step
    return x.swapaxes(0, axis)
