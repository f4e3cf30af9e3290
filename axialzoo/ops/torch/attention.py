"""The softmax of attention: every form of it in PyTorch, but the kernels, takes its weights from here."""

from __future__ import annotations

import torch
from torch import Tensor


def attention_weights(logits: Tensor, visible: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Return the softmax of logits over their last dimension, in `dtype`; computed in float32 at least.

    Args:
        logits: (..., T, S).
        visible: Which keys a query sees, a shape that broadcasts; None for all.
        dtype: Of the result.
    """
    if visible is not None:
        logits = logits.masked_fill(~visible, torch.finfo(logits.dtype).min)
    return torch.softmax(logits, dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32)).to(dtype)
