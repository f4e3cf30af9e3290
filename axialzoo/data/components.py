"""Connected regions of equal numbers in a map."""

from __future__ import annotations

import numpy as np

SIDE = 1024  # pixels of the middle of a map that are looked at
SMALLEST = 4  # pixels of a region that counts


def count_regions(ids: np.ndarray) -> dict[int, int]:
    """Return the number of regions of each value above 0 in the middle of a map: pixels of one value that touch by sides.

    Regions of fewer than `SMALLEST` pixels count only where a value has no larger one.
    """
    top, left = (max((length - SIDE) // 2, 0) for length in ids.shape)
    ids = ids[top : top + SIDE, left : left + SIDE]
    number = np.arange(ids.size).reshape(ids.shape)
    right, down = ids[:, 1:] == ids[:, :-1], ids[1:] == ids[:-1]
    pairs = np.concatenate(
        [np.stack([number[:, :-1][right], number[:, 1:][right]]), np.stack([number[:-1][down], number[1:][down]])], axis=1
    )
    first = np.arange(ids.size)
    while (first[pairs[0]] != first[pairs[1]]).any():
        ends = np.sort(first[pairs], axis=0)
        np.minimum.at(first, ends[1], ends[0])
        while (first[first] != first).any():
            first = first[first]
    roots, areas = np.unique(first, return_counts=True)
    values = ids.reshape(-1)[roots]
    counts: dict[int, int] = {}
    for value in np.unique(values[values > 0]).tolist():
        counts[value] = max(int((areas[values == value] >= SMALLEST).sum()), 1)
    return counts
