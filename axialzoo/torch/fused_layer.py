"""A whole axial attention layer in training on the fused kernel, with the exact batch statistics of its logits.

The similarity norm's shift cancels in the softmax, and its variances follow from Gram matrices of queries, keys and tables,
so that no L x L tensor is needed: ``E[(q.k)^2] = sum_b <Q_b^T Q_b, K_b^T K_b> / n``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from axialzoo.kernels.folding import head_fastest
from axialzoo.spec import Attention
from axialzoo.spec.attention import SIMILARITY_TERMS
from axialzoo.torch import fused_training
from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.norm import BatchNorm, normalise_from_moments
from axialzoo.torch.projection import interpolate


def can_train_fused(layer: AxialAttention, x: Tensor) -> bool:
    """Whether :func:`train_fused` serves: the kernel is there for float32 on the CPU, and each query sees its whole axis.

    Within a span the statistics of the logits do not follow from Gram matrices; autocast wants other types.
    """
    length = x.shape[2 + layer.axis]
    whole = layer.spec.reach(length) >= length - 1
    tensors = [x, *layer.parameters()]
    norms = [norm.training for norm in (layer.norm_qkv, layer.norm_similarity, layer.norm_output)]
    return whole and all(norms) and not torch.is_autocast_enabled("cpu") and fused_training.can_attend(*tensors)


def train_fused(layer: AxialAttention, x: Tensor) -> Tensor:
    """`layer(x)` in training: (N, C, H, W) to (N, V, H, W), differentiable; updates the moving statistics.

    Raises:
        ValueError: where it does not serve; ask :func:`can_train_fused`.
    """
    if not can_train_fused(layer, x):
        raise ValueError(
            "train_fused: expected a layer in training on a whole axis, float32 on a CPU with the kernel; use the layer itself"
        )
    spec, axis, (n, _, h, w) = layer.spec, layer.axis, x.shape
    if spec.encoding != "relative":
        x = x + layer.position_encoding(x.shape[1], h, w)  # (C, H, 1) or (C, 1, W)
    keys, values, heads = spec.key_channels, spec.value_channels, spec.heads
    k_order, v_order = (torch.from_numpy(head_fastest(channels, heads)) for channels in (keys, values))
    order = torch.cat([k_order, keys + k_order, 2 * keys + v_order])
    rows = F.linear(x.permute(0, 2, 3, 1).flatten(0, 2), layer.qkv.weight[order])  # (NHW, 2K+V)
    qkv = _norm(layer.norm_qkv, rows, order)
    if "value" in spec.gates:
        qkv = torch.cat([qkv[:, : 2 * keys], layer.gate("value", qkv[:, 2 * keys :])], 1)
    qkv = qkv.unflatten(0, (n, h, w))
    tables = [_table(layer, name, (h, w)[axis]) for name in ("query_position", "key_position", "value_position")]
    scales = _scales(layer, qkv, tables)  # (3, G)
    out, _ = torch.ops.axialzoo.attend(
        qkv, *tables, scales, axis, spec.key_depth, spec.span or 0, "content" in spec.similarity, "content" in spec.value
    )  # (N, H, W, terms V)
    order = torch.cat([index * values + v_order for index in range(len(spec.value))])
    y = _norm(layer.norm_output, out.flatten(0, 2), order)  # (NHW, terms V)
    y = y.unflatten(1, (len(spec.value), -1, heads)).sum(1)  # (NHW, Dv, G)
    return y.transpose(1, 2).flatten(1).unflatten(0, (n, h, w)).permute(0, 3, 1, 2)  # (N, V, H, W)


def _norm(norm: BatchNorm, x: Tensor, order: Tensor) -> Tensor:
    """The norm in training of rows whose channels lie in another order: channel `order[c]` of the norm is channel c of x."""
    mean, variance = norm.running_mean[order], norm.running_var[order]
    y = F.batch_norm(x, mean, variance, norm.weight[order], norm.bias[order], True, norm.momentum, norm.eps)
    if not norm.frozen:
        with torch.no_grad():
            norm.running_mean[order] = mean
            norm.running_var[order] = variance
    return y


def _table(layer: AxialAttention, name: str, length: int) -> Tensor | None:
    """A position table, gated, for an axis of `length`: (rows, D)."""
    table = layer.gate(name, layer.table(name))
    if table is not None and layer.spec.long_axis == "interpolate" and length > layer.spec.positions:
        table = interpolate(table, 2 * length - 1)
    return table


def _scales(layer: AxialAttention, qkv: Tensor, tables: list[Tensor | None]) -> Tensor:
    """Factors of the three terms of the logits, (3, G), zeros where there is no such term; updates the moving statistics."""
    spec = layer.spec
    mean, variance, n = gram_moments(qkv, tables, spec, layer.axis)
    scale = normalise_from_moments(layer.norm_similarity, mean.flatten(), variance.flatten(), n).unflatten(0, (-1, spec.heads))
    by_term = dict(zip(spec.similarity, scale))
    return torch.stack([by_term[term] if term in by_term else torch.zeros_like(scale[0]) for term in SIMILARITY_TERMS])


def gram_moments(qkv: Tensor, tables: list[Tensor | None], spec: Attention, axis: int) -> tuple[Tensor, Tensor, int]:
    """Mean and (biased) variance of each term of the logits over batch, queries and keys, (terms, G), and their number.

    Args:
        qkv: (N, H, W, 2K + V), head fastest.
        tables: Of queries and keys, (rows, Dk), where there are such terms.
    """
    keys, heads, length = spec.key_channels, spec.heads, qkv.shape[1 + axis]
    lines = qkv[..., : 2 * keys].unflatten(3, (2, -1, heads))  # (N, H, W, 2, D, G)
    lines = lines.permute(3, 0, 2, 5, 1, 4) if axis == 0 else lines.permute(3, 0, 1, 5, 2, 4)  # (2, N, O, G, L, D)
    q, k = lines.flatten(1, 2)  # (B, G, L, D)
    n = q.shape[0] * length**2
    means, squares = [], []
    for term in spec.similarity:
        if term == "content":
            means.append((q.sum(2, dtype=torch.float64) * k.sum(2, dtype=torch.float64)).sum((0, 2)))  # (G,)
            squares.append(_content_squares(q, k))
            continue
        table = tables[SIMILARITY_TERMS.index(term) - 1]
        assert table is not None
        far = (table.shape[0] - 1) // 2
        table = table[far - length + 1 : far + length]  # distances -(L - 1) to L - 1
        skewed = table.unfold(0, length, 1).transpose(1, 2).flip(0)  # (L, L, D): row s - p of query p and key s
        x = q if term == "query" else k
        skewed = skewed if term == "query" else skewed.transpose(0, 1)  # by x's own position
        x = x.permute(1, 2, 0, 3)  # (G, L, B, D)
        means.append((x.sum(2, dtype=torch.float64) * skewed.sum(1, dtype=torch.float64)).sum((1, 2)))  # (G, L, D) -> (G,)
        squares.append(((x.mT @ x).double() * (skewed.mT @ skewed).double()).sum((1, 2, 3)))  # (G, L, D, D) -> (G,)
    mean = torch.stack(means) / n  # (terms, G)
    variance = (torch.stack(squares) / n - mean.square()).clamp(min=0)
    return mean.to(qkv.dtype), variance.to(qkv.dtype), n


def _content_squares(q: Tensor, k: Tensor) -> Tensor:
    """sum (q.k)^2, (G,), of whichever is smaller, the logits (L x L) or the Gram matrices (D x D)."""
    if q.shape[2] < q.shape[3]:
        return (q @ k.mT).square().sum((0, 2, 3), dtype=torch.float64)
    return ((q.mT @ q) * (k.mT @ k)).sum((0, 2, 3), dtype=torch.float64)
