"""Layers, their folded form's arguments and what differs between them."""

from __future__ import annotations

import torch

from axialzoo.ops import reference
from axialzoo.spec import Attention, Norm
from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.folded import FoldedAxialAttention
from tests.attention.layers import randomise


def layer(inputs: int = 12, axis: int = 0, seed: int = 0, **fields) -> AxialAttention:
    """A float32 layer away from its initial values, in evaluation."""
    torch.manual_seed(seed)
    spec = Attention(**{"key_channels": 8, "value_channels": 16, "heads": 4, "max_length": 9, **fields})
    built = randomise(AxialAttention(inputs, spec, Norm(), axis), seed)
    assert isinstance(built, AxialAttention)
    return built.eval()


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


def of_reference(qkv: torch.Tensor, *rest: torch.Tensor, spec: Attention) -> list[torch.Tensor]:
    """Attention along the height by the reference: (N, H, W, 2K + V), head fastest, to contents and positions, (N, H, W, V) each."""
    *tables, scales = rest
    n, length, w, channels = qkv.shape
    sizes = (spec.key_channels, spec.key_channels, channels - 2 * spec.key_channels)
    q, k, v = (part.unflatten(3, (-1, spec.heads)).permute(0, 2, 4, 1, 3).flatten(0, 1) for part in qkv.split(sizes, 3))  # (B, G, L, D)
    rows = (len(tables[0]) + 1) // 2 - 1  # of the distance 0
    distance = (torch.arange(length) - torch.arange(length)[:, None]).clamp(-rows, rows) + rows  # (L, L)
    actual = reference.attend(q, k, v, [table[distance] for table in tables], scales, reference.pairs(spec, length))
    return [x.unflatten(0, (n, w)).permute(0, 3, 1, 4, 2).flatten(3) for x in actual]  # pyright: ignore[reportOptionalMemberAccess]  # there are
