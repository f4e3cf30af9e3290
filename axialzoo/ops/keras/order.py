"""Orders of channels: head by head, as in layers, and with the head index fastest, as the kernel takes rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops


class Order(NamedTuple):
    """Reordering of channels, and its inverse."""

    there: Callable[[Any], Any]
    back: Callable[[Any], Any]


def head_fastest(x, heads: int):
    """Reorder channels from head by head to depth by depth: (..., GD) to (..., DG)."""
    return ops.reshape(ops.swapaxes(ops.reshape(x, (*x.shape[:-1], heads, -1)), -1, -2), x.shape)


def head_by_head(x, heads: int):
    """Reorder channels from depth by depth to head by head: (..., DG) to (..., GD)."""
    return head_fastest(x, x.shape[-1] // heads)
