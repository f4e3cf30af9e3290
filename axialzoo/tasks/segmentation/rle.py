"""COCO's run lengths of all segments of a map at once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np


def run_lengths(index: np.ndarray, count: int) -> list[list[int]]:
    """Of each number 1 .. `count` in `index`, the lengths of its runs as COCO counts them: down the columns, outside first.

    One pass over the map finds the runs of all segments, so no mask is made.

    Args:
        index: (H, W) integers from 0 to `count`.

    Returns:
        `count` lists; each sums to H * W, and ``[H * W]`` is an empty mask.
    """
    flat = np.ascontiguousarray(index.T).ravel()
    begins = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(begins[1:], flat.size)
    numbers = flat[begins]
    order = np.argsort(numbers, kind="stable")
    first = np.searchsorted(numbers[order], np.arange(1, count + 2))
    found = []
    for low, high in pairwise(first):
        runs = order[low:high]
        edges = np.stack([begins[runs], ends[runs]], 1).ravel()  # begin, end, begin, end ...
        edges = np.concatenate([[0], edges, [flat.size]])
        lengths = np.diff(edges).tolist()
        found.append(lengths[:-1] if lengths[-1] == 0 and len(lengths) > 1 else lengths)
    return found
