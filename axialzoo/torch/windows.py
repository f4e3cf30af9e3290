"""Feature maps and position tables cut into the windows that :class:`axialzoo.spec.window.Window` describes, and put together again.

Letters as in :mod:`axialzoo.torch.attention`; B' is B times the number of windows. A `window` here is a `Window`, or a
`SymbolicWindow` where the length of the axis is known only when the model runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from axialzoo.ops.torch.tables import interpolate, is_static
from axialzoo.spec import Attention
from axialzoo.spec.window import Window
from axialzoo.torch.dynamic_window import SymbolicWindow
from axialzoo.torch.projection import Table

AnyWindow = Window | SymbolicWindow
Windows = tuple[AnyWindow, AnyWindow]  # of the height and of the width


def window_of(length: int, spec: Attention) -> AnyWindow:
    """Return the windows of an axis whose length is known now, or once the model runs."""
    return Window.of(length, spec) if is_static(length) else SymbolicWindow.of(length, spec)


def table_window(table: Table, spec: Attention, window: AnyWindow) -> Table:
    """Return the rows of `table`, (2P-1, D), for each query and key of a window: (T, S, D); None for None.

    A window of the table is a few kilobytes, shared by every column and head: one batched product over
    queries then costs half of a product with the whole table, and no skewing of logits.
    """
    if table is None:
        return None
    positions = spec.max_length
    if isinstance(window, SymbolicWindow):
        return _gather_table(table, spec, window)
    if spec.beyond_tables == "interpolate" and window.length > positions:
        table, positions = interpolate(table, 2 * window.length - 1), window.length  # (2L-1, D)
    far = window.queries - 1 + window.flange  # the largest distance
    pad = far - (positions - 1)
    table = nn.functional.pad(table, (0, 0, pad, pad + 1))  # (2 far + 2, D): cropped, or zeros that are masked later
    return _skew(table, window.queries)[:, : window.keys]  # (T, S, D)


def _gather_table(table: Tensor, spec: Attention, window: SymbolicWindow) -> Tensor:
    """Index a table for a window of symbolic sizes, without a branch on them: (2P-1, D) to (T, S, D)."""
    positions: Any = spec.max_length
    if spec.beyond_tables == "interpolate":
        positions = torch.sym_max(window.length, positions)
        table = interpolate(table, 2 * positions - 1)  # (2L-1, D)
    query = torch.arange(window.queries, device=table.device)[:, None]  # (T, 1)
    key = torch.arange(window.keys, device=table.device) - window.flange  # (S,)
    return table[(key - query).clamp(1 - positions, positions - 1) + positions - 1]  # (T, S, D); clamped pairs are masked later


def _skew(rows: Tensor, count: int) -> Tensor:
    """Stack `count` copies of R rows, each shifted by one: (R, D) to (count, R - 1, D), where ``[t, s]`` is row ``s - t + count - 1``.

    It uses views only. Their gradient is a sum instead of a scatter, which is faster and which torch.compile gets right.
    """
    length, rows = len(rows), rows.expand(count, -1, -1).flatten(0, 1)  # (count R, D)
    return rows[count - 1 : count * length - 1].unflatten(0, (count, -1))


def partition_queries(x: Tensor, window: AnyWindow) -> Tensor:
    """Cut an axis into the queries of each window: (B, G, L, D) to (B', G, T, D)."""
    if _single(window):
        return x
    if isinstance(window, SymbolicWindow):
        return _gather_windows(x, window, 0)
    x = nn.functional.pad(x, (0, 0, *window.padding))
    return x.unflatten(2, (window.count, window.queries)).transpose(1, 2).flatten(0, 1)


def partition_keys(x: Tensor, window: AnyWindow) -> Tensor:
    """Cut an axis into the keys of each window, its queries' positions and `flange` more on each side: (B, G, L, D) to (B', G, S, D)."""
    if _single(window):
        return x
    if isinstance(window, SymbolicWindow):
        return _gather_windows(x, window, window.flange)
    before, after = window.padding
    x = nn.functional.pad(x, (0, 0, before + window.flange, after + window.flange))
    return x.unfold(2, window.keys, window.queries).permute(0, 2, 1, 4, 3).flatten(0, 1)


def _gather_windows(x: Tensor, window: SymbolicWindow, flange: int) -> Tensor:
    """Index the queries of each window and `flange` more on each side: (B, G, L, D) to (B', G, queries + 2 flange, D).

    Beyond the ends of the axis the last position is repeated and masked later, so that no branch depends on the length.
    """
    starts = window.queries * torch.arange(window.count, device=x.device)[:, None] - window.offset - flange  # (windows, 1)
    positions = starts + torch.arange(window.queries + 2 * flange, device=x.device)  # (windows, S)
    positions = positions.clamp(min=0).clamp(max=window.length - 1).flatten()  # (windows S,)
    x = x.transpose(1, 2).index_select(1, positions)  # (B, windows S, G, D)
    return x.unflatten(1, (window.count, window.queries + 2 * flange)).flatten(0, 1).transpose(1, 2)


def window_reverse(x: Tensor, batch: int, window: AnyWindow) -> Tensor:
    """Put the queries of all windows back in line, without the padding: (B', G, T, D) to (B, G, L, D), where `batch` is B."""
    if _single(window):
        return x
    x = x.unflatten(0, (batch, window.count)).transpose(1, 2)  # (B, G, windows, T, D)
    if isinstance(window, SymbolicWindow):
        x = x.clone(memory_format=torch.contiguous_format).flatten(2, 3)  # (B, G, windows T, D)
        return x.index_select(2, window.offset + torch.arange(window.length, device=x.device))
    x = x.flatten(2, 3)  # (B, G, windows T, D)
    return x[:, :, window.offset : window.offset + window.length]


def attention_mask(window: AnyWindow, device: torch.device) -> Tensor:
    """Return the mask of the keys within reach of each query, both on the axis: bool, (windows, T, S)."""
    start = window.queries * torch.arange(window.count, device=device)[:, None, None] - window.offset  # (windows, 1, 1)
    query = start + torch.arange(window.queries, device=device)[:, None]  # (windows, T, 1)
    key = start + torch.arange(window.keys, device=device) - window.flange  # (windows, 1, S)
    inside = (query >= 0) & (query < window.length) & (key >= 0) & (key < window.length)
    return inside & ((key - query).abs() <= window.reach)


def apply_mask(x: Tensor, batch: int, groups: int, window: AnyWindow, fill: float) -> Tensor:
    """Set the masked pairs of the logits, (B'G, T, S), to `fill`, where `batch` is B."""
    if window.whole:
        return x
    visible = attention_mask(window, x.device)[:, None]  # (windows, 1, T, S)
    return x.unflatten(0, (batch, window.count, groups)).masked_fill(~visible, fill).flatten(0, 2)


def window_partition_2d(x: Tensor, windows: Windows, cut: Callable[[Tensor, AnyWindow], Tensor]) -> Tensor:
    """Cut both axes of a map: (N, G, H, W, D) to (B', G, Th, Tw, D).

    Args:
        x: Queries, keys or values.
        windows: Of the height and of the width.
        cut: `partition_queries` or `partition_keys`, which cut one axis.
    """
    w, d = x.shape[3:]
    x = cut(x.flatten(3), windows[0]).unflatten(3, (w, d))  # (B, G, Th, W, D)
    x = x.transpose(2, 3)  # (B, G, W, Th, D)
    return cut(x.flatten(3), windows[1]).unflatten(3, (-1, d)).transpose(2, 3)  # (B', G, Th, Tw, D)


def window_reverse_2d(x: Tensor, batch: int, windows: Windows) -> Tensor:
    """Put the queries of all windows back into a map: (B', G, Th, Tw, D) to (N, G, H, W, D), where `batch` is N."""
    d = x.shape[4]
    x = window_reverse(x.transpose(2, 3).flatten(3), batch * windows[0].count, windows[1]).unflatten(3, (-1, d))  # (B, G, W, Th, D)
    x = x.transpose(2, 3)  # (B, G, Th, W, D)
    return window_reverse(x.flatten(3), batch, windows[0]).unflatten(3, (-1, d))  # (N, G, H, W, D)


def attention_mask_2d(windows: Windows, device: torch.device) -> Tensor | None:
    """Return the mask of the keys that each query sees: bool, (windows h, windows w, Th, Tw, Sh, Sw), or None if it sees all."""
    if windows[0].whole and windows[1].whole:
        return None
    rows, columns = (attention_mask(window, device) for window in windows)  # (windows, T, S)
    return rows[:, None, :, None, :, None] & columns[None, :, None, :, None, :]


def _single(window: AnyWindow) -> bool:
    """Return True if it is known now that one window covers the axis, which then is not cut."""
    return isinstance(window.count, int) and window.count == 1
