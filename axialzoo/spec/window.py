"""Which keys each query of a long axis attends to, as windows of one shape: numpy, shared by both frameworks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Window:
    """An axis of `length` cut into `count` windows of `queries` positions.

    Each window's keys are its own positions and `flange` more on either side; those further than `reach`
    from a query, or past the ends of the axis, are masked. Time and memory are O(length * reach).
    On a `whole` axis nothing is masked.
    """

    length: int
    reach: int
    queries: int
    flange: int

    @classmethod
    def of(cls, length: int, reach: int) -> Window:
        """The windows of an axis: one without flanges where windows would not hold fewer pairs."""
        if reach >= length - 1:
            return cls(length, length - 1, length, 0)
        if length <= 3 * reach:
            return cls(length, reach, length, 0)  # windows would hold as many pairs as the whole
        return cls(length, reach, max(reach, 8), reach)

    @property
    def whole(self) -> bool:
        """Whether every query reaches everything."""
        return self.reach >= self.length - 1

    @property
    def count(self) -> int:
        return -(-self.length // self.queries)

    @property
    def keys(self) -> int:
        return self.queries + 2 * self.flange

    @property
    def pairs(self) -> int:
        """How many (query, key) pairs are attended."""
        return self.length * (2 * self.reach + 1) - self.reach * (self.reach + 1)

    def mask(self) -> np.ndarray:
        """True where a query attends to a key: (count, queries, keys)."""
        return _mask(self)


@lru_cache(maxsize=64)
def _mask(window: Window) -> np.ndarray:
    query = np.arange(window.queries)[None, :, None] + window.queries * np.arange(window.count)[:, None, None]
    key = query[:, :1] + np.arange(window.keys)[None, None, :] - window.flange
    return (abs(key - query) <= window.reach) & (key >= 0) & (key < window.length)


@lru_cache(maxsize=64)
def distances(window: Window, positions: int) -> np.ndarray:
    """Row of the position tables for each query and key of a window: (queries, keys).

    Row ``positions - 1 + d`` holds distance d = key - query; distances that are masked anyway are clipped.
    """
    distance = np.arange(window.keys)[None, :] - window.flange - np.arange(window.queries)[:, None]
    return np.clip(distance, 1 - positions, positions - 1) + positions - 1


@lru_cache(maxsize=64)
def interpolation(positions: int, length: int) -> np.ndarray:
    """Linear interpolation of a table of ``2 * positions - 1`` rows to ``2 * length - 1``, end rows kept, as a matrix."""
    rows, wanted = 2 * positions - 1, 2 * length - 1
    at = np.linspace(0, rows - 1, wanted)
    left = np.minimum(at.astype(int), max(rows - 2, 0))
    matrix = np.zeros((wanted, rows))
    matrix[np.arange(wanted), left] = 1 - (at - left)
    matrix[np.arange(wanted), np.minimum(left + 1, rows - 1)] += at - left
    return matrix
