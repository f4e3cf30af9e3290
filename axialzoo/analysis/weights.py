"""The attention weights of a layer, read through the layer's own code: attention is linear in its values.

With P[p, s] the softmax weights of query p and key s, what a layer retrieves is ``P v``, so the gradient of
``<cotangent, P v>`` by the values v is ``P^T cotangent``. A cotangent of one at a position gives that query's weights;
weights pulled back through an earlier layer give what reaches the position in two steps. No matrix of all pairs is made,
and spans, windows and shifts are as the layer has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.attention2d import Attention2D

LUO = 1 - 0.9545  # of the peak: what two standard deviations of a Gaussian leave


def retrieve(layer: AxialAttention | Attention2D, x: Tensor, values: Tensor) -> Tensor:
    """What `layer`, in evaluation, would retrieve of other values than its own: one number for each head and position.

    Args:
        layer: An attention layer.
        x: Its input, (N, C, H, W), which queries and keys are of.
        values: (N, G, H, W).

    Returns:
        ``P v``, (N, G, H, W): the weights' average of the values that each position attends to.
    """
    size = (-1, x.shape[2], x.shape[3])  # (N, H, W)
    if layer.training:
        raise ValueError("layer: expected evaluation mode, in which weights do not depend on the batch; call model.eval() first")
    v = layer.split_heads(values.permute(0, 2, 3, 1))  # as the layer's own, of depth 1
    inputs = replace(layer.make_inputs(x), v=v, rv=None, spec=replace(layer.spec, value=("content",)))
    (out,) = layer.attend(inputs)  # (B, G, L, 1) or (N, G, H, W, 1)
    return layer.merge_heads(out, size)[..., 0].unflatten(0, size).permute(0, 3, 1, 2)  # (N, G, H, W)


def transpose_attention(layer: AxialAttention | Attention2D, x: Tensor, cotangent: Tensor) -> Tensor:
    """``P^T cotangent``: how much each position's value counts in the positions that `cotangent` weighs.

    Args:
        layer: An attention layer, in evaluation.
        x: Its input, (N, C, H, W).
        cotangent: (N, G, H, W).

    Returns:
        (N, G, H, W). Its sum over a head is that of the cotangent.
    """
    values = torch.zeros_like(cotangent, requires_grad=True)
    with torch.enable_grad():
        found = retrieve(layer, x.detach(), values)
    return torch.autograd.grad(found, values, cotangent)[0]


def attention_weights(layer: AxialAttention | Attention2D, x: Tensor, row: int, column: int) -> Tensor:
    """The softmax weights of the query at (row, column): (G, H, W), zero where it does not attend.

    Args:
        layer: An attention layer, in evaluation.
        x: Its input, (1, C, H, W).
        row, column: A position of the map.

    Example:
        >>> from axialzoo.spec import Attention, Norm
        >>> layer = AxialAttention(8, Attention(4, 8, heads=2, max_length=5), Norm(), axis=0).eval()
        >>> weights = attention_weights(layer, torch.randn(1, 8, 5, 5), 2, 3)
        >>> [round(float(head.sum()), 6) for head in weights], float(weights[:, :, :3].sum())
        ([1.0, 1.0], 0.0)
    """
    return transpose_attention(layer, x, one_hot_map(x, layer.spec.heads, row, column))[0]


def one_hot_map(x: Tensor, heads: int, row: int, column: int) -> Tensor:
    """One at a position of the map `x`, (1, C, H, W), zero elsewhere: (1, G, H, W)."""
    cotangent = torch.zeros(1, heads, *x.shape[2:], dtype=x.dtype, device=x.device)
    cotangent[:, :, row, column] = 1
    return cotangent


def reach(layers: Sequence[tuple[AxialAttention | Attention2D, Tensor]], row: int, column: int) -> Tensor:
    """How strongly each position reaches (row, column) through consecutive attention layers: (H, W), which sums to 1.

    Of a pair, height then width, with Pw and Ph the weights averaged over the heads,
    ``reach[y', x'] = Pw[row][column, x'] Ph[x'][row, y']``: position (y', x') goes along its column to `row`, then along that row.

    Args:
        layers: (layer, its input (1, C, H, W)) in the order in which they run; maps of one size.
        row, column: A position of the map.
    """
    weight = None
    for layer, x in reversed(layers):
        heads = layer.spec.heads
        cotangent = one_hot_map(x, heads, row, column) if weight is None else weight[None, None].expand(1, heads, -1, -1)
        weight = transpose_attention(layer, x, cotangent)[0].mean(0)  # (H, W)
    assert weight is not None
    return weight


def spread(weights: np.ndarray, row: float, column: float) -> dict[str, float]:
    """How far and how evenly `weights` (H, W), none negative, spread around (row, column).

    Returns:
        ``reached``: share of positions with any weight at all.
        ``coverage``: share of positions with at least a tenth of the weight of an even spread, ``1 / (10 H W)`` of the total.
        ``effective_positions``: exp of the entropy of the weights: so many equal ones are spread as widely; ``H W`` at most.
        ``mean_distance``: mean of the distance from (row, column), weighted, in positions (the attention distance of
        arXiv:2010.11929, appendix D.7).
        ``above_peak_share``: share of positions above 4.55 % of the largest: the effective receptive field of Luo et al.
        (arXiv:1701.04128, section 4).

    Raises:
        ValueError: for a map that is empty, negative, not finite, or zero everywhere.

    Example:
        >>> spread(np.ones((4, 4)), 1.5, 1.5)["effective_positions"]
        16.0
    """
    weights = np.asarray(weights, np.float64)
    if weights.ndim != 2 or not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum() > 0:
        raise ValueError(f"weights: expected a map (H, W) of numbers of at least 0, not all 0, found {weights.shape}, sum {weights.sum()}")
    share = weights / weights.sum()  # (H, W)
    some = share[share > 0]
    rows, columns = np.indices(share.shape)
    return {
        "reached": float((share > 0).mean()),
        "coverage": float((share >= 0.1 / share.size).mean()),
        "effective_positions": round(float(np.exp(-(some * np.log(some)).sum())), 6),
        "mean_distance": float((share * np.hypot(rows - row, columns - column)).sum()),
        "above_peak_share": float((share > LUO * share.max()).mean()),
    }
