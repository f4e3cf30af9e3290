"""The attention weights of a layer, computed through the layer's own code, because attention is linear in its values.

With P[p, s] the softmax weights of query p and key s, a layer returns ``P v``, so the gradient of
``<cotangent, P v>`` with respect to the values v is ``P^T cotangent``. A one-hot cotangent at a position gives the weights of that
query. Weights pulled back through an earlier layer give what reaches the position in two steps. The full matrix of pairs is never
built, and spans, windows and shifts are those of the layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.attention2d import Attention2D

LUO = 1 - 0.9545  # of the peak: the tail beyond two standard deviations of a Gaussian


def retrieve(layer: AxialAttention | Attention2D, x: Tensor, values: Tensor) -> Tensor:
    """Apply the attention of `layer`, in evaluation mode, to given values: one number for each head and position.

    Args:
        layer: An attention layer.
        x: Its input, (N, C, H, W), which gives queries and keys.
        values: (N, G, H, W).

    Returns:
        ``P v``, (N, G, H, W): the weighted average of the values that each position attends to.
    """
    size = (-1, x.shape[2], x.shape[3])  # (N, H, W)
    if layer.training:
        raise ValueError("layer: expected evaluation mode, in which weights do not depend on the batch; call model.eval() first")
    v = layer.split_heads(values.permute(0, 2, 3, 1))  # like the layer's own values, of depth 1
    inputs = replace(layer.make_inputs(x), v=v, rv=None, spec=replace(layer.spec, value=("content",)))
    (out,) = layer.attend(inputs)  # (B, G, L, 1) or (N, G, H, W, 1)
    return layer.merge_heads(out, size)[..., 0].unflatten(0, size).permute(0, 3, 1, 2)  # (N, G, H, W)


def transpose_attention(layer: AxialAttention | Attention2D, x: Tensor, cotangent: Tensor) -> Tensor:
    """Return ``P^T cotangent``: the weight of each position's value in the positions that `cotangent` weighs.

    Args:
        layer: An attention layer in evaluation mode.
        x: Its input, (N, C, H, W).
        cotangent: (N, G, H, W).

    Returns:
        (N, G, H, W). Its sum over a head is that of the cotangent.
    """
    values = torch.zeros_like(cotangent, requires_grad=True)
    with torch.enable_grad():
        retrieved = retrieve(layer, x.detach(), values)
    return torch.autograd.grad(retrieved, values, cotangent)[0]


def attention_weights(layer: AxialAttention | Attention2D, x: Tensor, row: int, column: int) -> Tensor:
    """Return the softmax weights of the query at (row, column): (G, H, W), zero where it does not attend.

    Args:
        layer: An attention layer in evaluation mode.
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
    """Return (1, G, H, W) with 1 at a position of the map `x`, (1, C, H, W), and 0 elsewhere."""
    cotangent = torch.zeros(1, heads, *x.shape[2:], dtype=x.dtype, device=x.device)
    cotangent[:, :, row, column] = 1
    return cotangent


def reach(layers: Sequence[tuple[AxialAttention | Attention2D, Tensor]], row: int, column: int) -> Tensor:
    """Return the weight of each position at (row, column) through consecutive attention layers: (H, W), which sums to 1.

    For a pair, height then width, with Pw and Ph the weights averaged over the heads,
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
    """Measure how far and how evenly `weights` (H, W), none negative, spread around (row, column).

    Returns:
        ``reached``: share of positions with a weight above 0.
        ``coverage``: share of positions with at least a tenth of the uniform weight, ``1 / (10 H W)`` of the total.
        ``effective_positions``: exp of the entropy of the weights: the number of equal weights with the same entropy, at most ``H W``.
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
