"""Layers, their folded form's arguments and what differs between them."""

from __future__ import annotations

import torch

from axialzoo.spec import Attention, Norm
from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.inference import FoldedAxialAttention
from tests.attention.layers import randomise


def layer(inputs: int = 12, axis: int = 0, seed: int = 0, **fields) -> AxialAttention:
    """A float32 layer away from its initial values, in evaluation."""
    torch.manual_seed(seed)
    spec = Attention(**{"key_channels": 8, "value_channels": 16, "heads": 4, "positions": 9, **fields})
    made = randomise(AxialAttention(inputs, spec, Norm(), axis), seed)
    assert isinstance(made, AxialAttention)
    return made.eval()


def relative(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Root mean square of the difference by that of the exact values."""
    return float((found.double() - exact).norm() / exact.norm())


def compare(plain: AxialAttention, x: torch.Tensor, fused: torch.nn.Module | None = None) -> tuple[float, float, float]:
    """Fused against plain, fused against float64, plain against float64."""
    with torch.inference_mode():
        ours, theirs = (fused or FoldedAxialAttention(plain))(x), plain(x)
        exact = plain.double()(x.double())
        plain.float()
    return relative(ours, theirs.double()), relative(ours, exact), relative(theirs, exact)
