"""Stochastic depth (arXiv:1603.09382): in training, the residuals of whole samples are dropped."""

from __future__ import annotations

from torch import Tensor

from axialzoo.torch.sample_placement import keep_mask


def drop_path(x: Tensor, rate: float, layer: int = 0) -> Tensor:
    """Drop whole samples of (N, ...) with probability `rate` and scale the others up; each `layer` draws on its own."""
    return x * keep_mask(x.shape[0], rate, layer).to(x.device).view(-1, *[1] * (x.dim() - 1)) / (1 - rate)
