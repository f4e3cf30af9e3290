"""Resizing with aligned corners, as deeplab2 does everywhere, or with aligned pixel centres."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from axialzoo.ops.torch.tables import is_static


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """Resize bilinearly with aligned corners: (N, C, H, W) to (N, C, height, width)."""
    if not (is_static(height) and is_static(width)):
        return _resize_axis(_resize_axis(x, height, 2), width, 3)
    if x.shape[2:] == (height, width):
        return x
    return F.interpolate(x, (height, width), mode="bilinear", align_corners=True)


def resize_centers(x: Tensor, height: int, width: int) -> Tensor:
    """Resize bilinearly with aligned pixel centres instead of corners, as PyTorch's default: (N, C, H, W) to (N, C, height, width)."""
    return F.interpolate(x, (height, width), mode="bilinear", align_corners=False)


def _resize_axis(x: Tensor, length: Any, axis: int) -> Tensor:
    before, steps = x.shape[axis], torch.sym_max(length - 1, 1)
    place = torch.arange(length, device=x.device) * (before - 1)  # (length,), times `steps`, since integers do not round
    low = place // steps
    high, share = (low + 1).clamp(max=before - 1), (place - low * steps).to(x.dtype) / steps
    share = share[:, None] if axis == 2 else share  # (length, 1) or (length,)
    return x.index_select(axis, low) * (1 - share) + x.index_select(axis, high) * share
