"""Feature maps and position tables cut into the windows that :class:`axialzoo.spec.window.Window` describes, and put together again.

Letters as in :mod:`axialzoo.keras.attention`; B' is B times the number of windows. A `window` here is a `Window`, or a
`SymbolicWindow` where the length of the axis is known only when the model runs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from keras import ops

from axialzoo.keras.dynamic_window import SymbolicWindow
from axialzoo.ops.keras.tables import arange, clip, interpolate
from axialzoo.spec import Attention
from axialzoo.spec.window import Window


def window_of(length, spec: Attention) -> Window | SymbolicWindow:
    """Return the windows of an axis whose length is known now, or is a tensor of one whole number."""
    return Window.of(length, spec) if isinstance(length, int) else SymbolicWindow.of(length, spec)


def table_window(table, spec: Attention, window):
    """Return the rows of `table`, (2P-1, D), for each query and key of a window: (T, S, D); None for None.

    A window of the table is a few kilobytes, shared by every column and head: one batched product over
    queries then costs half of a product with the whole table, and no skewing of logits.
    """
    if table is None:
        return None
    positions, length = spec.max_length, window.length
    table = ops.reshape(table, (2 * positions - 1, -1))  # (2P-1, D); makes TensorFlow's gradient a dense one
    if spec.beyond_tables == "interpolate" and not (isinstance(length, int) and length <= positions):
        positions = length if isinstance(length, int) else ops.maximum(length, positions)
        table = interpolate(table, 2 * positions - 1)  # (2L-1, D)
    query = arange(window.queries)[:, None]  # (T, 1)
    key = arange(window.keys) - window.flange  # (S,)
    distance = clip(key - query, 1 - positions, positions - 1)  # (T, S); clipped pairs are masked later
    return ops.take(table, distance + positions - 1, axis=0)  # (T, S, D)


def partition_queries(x, window):
    """Cut an axis into the queries of each window: (B, G, L, D) to (B', G, T, D)."""
    if _single(window):
        return x
    groups, depth = x.shape[1], ops.shape(x)[3]
    x = ops.pad(x, ((0, 0), (0, 0), window.padding, (0, 0)))
    x = ops.reshape(x, (-1, groups, window.count, window.queries, depth))
    return ops.reshape(ops.swapaxes(x, 1, 2), (-1, groups, window.queries, depth))


def partition_keys(x, window):
    """Cut an axis into the keys of each window, its queries' positions and `flange` more on each side: (B, G, L, D) to (B', G, S, D)."""
    if _single(window):
        return x
    groups, depth = x.shape[1], ops.shape(x)[3]
    before, after = window.padding
    x = ops.pad(x, ((0, 0), (0, 0), (before + window.flange, after + window.flange), (0, 0)))
    positions = window.queries * arange(window.count)[:, None] + arange(window.keys)  # (windows, S)
    x = ops.take(x, positions, axis=2)  # (B, G, windows, S, D)
    return ops.reshape(ops.swapaxes(x, 1, 2), (-1, groups, window.keys, depth))


def window_reverse(x, window):
    """Put the queries of all windows back in line, without the padding: (B', G, T, D) to (B, G, L, D)."""
    if _single(window):
        return x
    groups, depth = x.shape[1], ops.shape(x)[3]
    x = ops.swapaxes(ops.reshape(x, (-1, window.count, groups, window.queries, depth)), 1, 2)  # (B, G, windows, T, D)
    x = ops.reshape(x, (-1, groups, window.count * window.queries, depth))  # (B, G, windows T, D)
    return x[:, :, window.offset : window.offset + window.length]


def attention_mask(window):
    """Return the mask of the keys within reach of each query, both on the axis: bool, (windows, T, S).

    It is a constant of numpy where the length of the axis is known before the model runs.
    """
    start = window.queries * arange(window.count)[:, None, None] - window.offset  # (windows, 1, 1)
    query = start + arange(window.queries)[:, None]  # (windows, T, 1)
    key = start + arange(window.keys) - window.flange  # (windows, 1, S)
    inside = (query >= 0) & (query < window.length) & (key >= 0) & (key < window.length)
    return inside & (abs(key - query) <= window.reach)


def window_partition_2d(x, windows, cut: Callable):
    """Cut both axes of a map: (N, G, H, W, D) to (B', G, Th, Tw, D).

    Args:
        x: Queries, keys or values.
        windows: Of the height and of the width.
        cut: `partition_queries` or `partition_keys`, which cut one axis.
    """
    _, g, h, w, d = ops.shape(x)
    x = cut(ops.reshape(x, (-1, g, h, w * d)), windows[0])  # (B, G, Th, W D)
    t = ops.shape(x)[2]
    x = ops.transpose(ops.reshape(x, (-1, g, t, w, d)), (0, 1, 3, 2, 4))  # (B, G, W, Th, D)
    x = cut(ops.reshape(x, (-1, g, w, t * d)), windows[1])  # (B', G, Tw, Th D)
    return ops.transpose(ops.reshape(x, (-1, g, ops.shape(x)[2], t, d)), (0, 1, 3, 2, 4))  # (B', G, Th, Tw, D)


def window_reverse_2d(x, windows):
    """Put the queries of all windows back into a map: (B', G, Th, Tw, D) to (N, G, H, W, D)."""
    _, g, t, u, d = ops.shape(x)
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4)), (-1, g, u, t * d))  # (B', G, Tw, Th D)
    x = window_reverse(x, windows[1])  # (B, G, W, Th D)
    w = windows[1].length
    x = ops.transpose(ops.reshape(x, (-1, g, w, t, d)), (0, 1, 3, 2, 4))  # (B, G, Th, W, D)
    x = window_reverse(ops.reshape(x, (-1, g, t, w * d)), windows[0])  # (N, G, H, W D)
    return ops.reshape(x, (-1, g, windows[0].length, w, d))


def attention_mask_2d(windows):
    """Return the mask of the keys that each query sees: bool, (windows h, windows w, Th, Tw, Sh, Sw), or None if it sees all."""
    if windows[0].whole and windows[1].whole:
        return None
    rows, columns = (attention_mask(window) for window in windows)  # (windows, T, S)
    if isinstance(rows, np.ndarray) and isinstance(columns, np.ndarray):
        return rows[:, None, :, None, :, None] & columns[None, :, None, :, None]
    rows, columns = (ops.cast(mask, "float32") for mask in (rows, columns))  # TensorFlow has no broadcast of so many axes
    return ops.einsum("ats,buv->abtusv", rows, columns) > 0.5


def _single(window) -> bool:
    """Return True if it is known now that one window covers the axis, which then is not cut."""
    return isinstance(window.count, int) and window.count == 1
