"""Interpolation of position tables for long axes, and a check of whether the length of an axis is static."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def is_static(length: Any) -> bool:
    """Return whether the length of an axis is known now. torch.compile specialises on sizes; torch.export may leave them symbolic."""
    return isinstance(length, int) or not torch.compiler.is_exporting()


def interpolate(table: Tensor, rows: int) -> Tensor:
    """Interpolate a table linearly to another number of rows, with the end rows aligned: (R, D) to (rows, D)."""
    if not is_static(rows):
        last = len(table) - 1
        place = torch.arange(rows, device=table.device) * (last / (rows - 1))  # (rows,)
        low = place.long().clamp(max=last - 1)
        share = (place - low).to(table.dtype)[:, None]  # (rows, 1)
        return table[low] * (1 - share) + table[low + 1] * share
    return nn.functional.interpolate(table.T[None], rows, mode="linear", align_corners=True)[0].T
