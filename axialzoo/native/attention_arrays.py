"""Arrays of attention, folded, as both executors take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(eq=False)
class AttentionArrays:
    """Arrays of axial attention for one length, beside the projection; float32, head fastest (see :mod:`axialzoo.ops.folding`).

    Attributes:
        axis: 0 attends along the height, 1 along the width.
        heads, key_depth: G, Dk.
        reach: Largest distance from a query to its keys.
        tables: Of queries, keys and values, (rows, D); None where there is no such term.
        scales: (3, G): factors of the terms of the logits.
        content_similarity, content_value: Whether there is q.k, and whether v is retrieved.
        position_scale: (V,), or None; shift: (V,).
        head_fastest: Whether the channels of the result lie as ``d * G + g``.
    """

    axis: int
    heads: int
    key_depth: int
    reach: int
    tables: tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]
    scales: np.ndarray
    content_similarity: bool
    content_value: bool
    position_scale: np.ndarray | None
    shift: np.ndarray
    head_fastest: bool


@dataclass(eq=False)
class AxisPairs:
    """Pairs of queries and keys along one axis.

    Attributes:
        reach: Largest distance from a query to its keys.
        window, offset: Side of the windows that keys share with their queries, or 0; the first begins `offset` before the map.
        tables: Of queries, keys and values, (rows, D / 2); None where there is no such term.
    """

    reach: int
    window: int = 0
    offset: int = 0
    tables: tuple[np.ndarray | None, ...] = (None, None, None)

    def visible(self, queries: int, keys: int) -> np.ndarray:
        """Return which keys each query sees: bool, (queries, keys)."""
        query, key = np.arange(queries)[:, None], np.arange(keys)
        near = abs(key - query) <= self.reach
        return near if not self.window else near & ((query + self.offset) // self.window == (key + self.offset) // self.window)


@dataclass(eq=False)
class Attention2DArrays:
    """Arrays of attention over both axes of a map, or of tokens; float32, head by head.

    Attributes:
        heads, key_depth: G, Dk.
        axes: The height and the width.
        scales: (3, G): factors of the terms of the logits.
        content_similarity, content_value: Whether there is q.k, and whether v is retrieved.
        value_scale, position_scale: (V,): factors of what is retrieved, or None.
        shift: (V,).
    """

    heads: int
    key_depth: int
    axes: tuple[AxisPairs, AxisPairs]
    scales: np.ndarray
    content_similarity: bool
    content_value: bool
    value_scale: np.ndarray | None
    position_scale: np.ndarray | None
    shift: np.ndarray


def pair_products(arrays: AttentionArrays | Attention2DArrays, tables: Sequence[np.ndarray | None], channels: int) -> int:
    """Return the multiply-adds of a pair of a query and a key, all heads together."""
    logits = arrays.content_similarity + sum(table is not None for table in tables[:2])
    retrieved = arrays.content_value + (tables[2] is not None)
    return logits * arrays.heads * arrays.key_depth + retrieved * channels
