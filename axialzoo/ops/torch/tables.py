"""Position tables for an axis longer than they reach, and whether the length of an axis is known."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def is_static(length: Any) -> bool:
    """Whether the length of an axis is a number now, or may be taken for one: torch.compile records sizes, and asks of each."""
    return isinstance(length, int) or not torch.compiler.is_exporting()


def interpolate(table: Tensor, rows: int) -> Tensor:
    """Stretch a table to another number of rows, linearly, the end rows kept: (R, D) to (rows, D)."""
    if not is_static(rows):
        last = len(table) - 1
        place = torch.arange(rows, device=table.device) * (last / (rows - 1))  # (rows,)
        low = place.long().clamp(max=last - 1)
        share = (place - low).to(table.dtype)[:, None]  # (rows, 1)
        return table[low] * (1 - share) + table[low + 1] * share
    return nn.functional.interpolate(table.T[None], rows, mode="linear", align_corners=True)[0].T
