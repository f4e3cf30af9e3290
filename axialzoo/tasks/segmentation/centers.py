"""Middles of objects in a heat map."""

from __future__ import annotations

import numpy as np


def find_centers(heat: np.ndarray, threshold: float = 0.1, kernel: int = 13, top_k: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The peaks of a heat map: above a threshold and nowhere lower than within a window around them.

    A plateau of equal values gives one center a pixel, as deeplab2 has it. deeplab2's own `keep_k_centers` drops far too many (it
    compares with an arbitrary one of the k highest, and strictly); here exactly the `top_k` highest stay, of equal ones those that
    come first in reading order.

    Args:
        heat: (H, W) or (H, W, 1).
        threshold: Peaks must be higher than this, and than 0.
        kernel: Side of the window in pixels; of an even one the longer half lies below and to the right.
        top_k: How many at most; None for all.

    Returns:
        (n, 2) int64 rows and columns in reading order, and (n,) float32 heights.

    Source: Panoptic-DeepLab (arXiv:1911.10194), section 3.2.
    """
    peaks = suppressed(heat, threshold, kernel)
    where = np.argwhere(peaks > 0)  # (n, 2), in reading order
    heights = peaks[where[:, 0], where[:, 1]]  # (n,)
    if top_k is not None and len(where) > top_k:
        if top_k < 1:
            raise ValueError(f"top_k: expected at least 1 or None, found {top_k}")
        best = np.sort(np.argsort(-heights, kind="stable")[:top_k])
        where, heights = where[best], heights[best]
    return where, heights


def suppressed(heat: np.ndarray, threshold: float = 0.1, kernel: int = 13) -> np.ndarray:
    """(H, W) float32: the heat map with everything set to 0 that is no peak; arguments as of `find_centers`."""
    if kernel < 1:
        raise ValueError(f"kernel: expected at least 1, found {kernel}")
    heat = np.asarray(heat, np.float32)
    if heat.ndim == 3 and heat.shape[-1] == 1:
        heat = heat[..., 0]
    if heat.ndim != 2:
        raise ValueError(f"center: expected a heat map (H, W) or (H, W, 1), found shape {heat.shape}")
    if not np.isfinite(heat).all():
        raise ValueError("center: expected finite numbers, found NaN or infinity; did training diverge?")
    heat = np.where(heat > max(threshold, 0), heat, np.float32(0))  # (H, W)
    before = (kernel - 1) // 2
    highest = np.pad(heat, (before, kernel - 1 - before))
    for axis in (0, 1):
        highest = _running_maximum(highest, kernel, axis)
    heat[highest != heat] = 0
    return heat


def _running_maximum(x: np.ndarray, kernel: int, axis: int) -> np.ndarray:
    """The maximum of each `kernel` neighbours along an axis, which becomes `kernel - 1` shorter; windows double until they are as long."""
    x = x.swapaxes(0, axis)
    span = 1
    while span < kernel:
        step = min(span, kernel - span)
        x = np.maximum(x[:-step], x[step:])
        span += step
    return x.swapaxes(0, axis)
