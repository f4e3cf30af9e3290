"""Softmax of attention, shared by all of PyTorch's implementations except the kernels."""

from __future__ import annotations

import torch
from torch import Tensor


def attention_weights(logits: Tensor, visible: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Return the softmax of logits over their last dimension, in `dtype`; computed in float32 at least.

    Args:
        logits: (..., T, S).
        visible: Attention mask, true where a query sees a key, of a shape that broadcasts; None for no mask.
        dtype: Type of the result.
    """
    if visible is not None:
        logits = logits.masked_fill(~visible, torch.finfo(logits.dtype).min)
    return torch.softmax(logits, dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32)).to(dtype)
