"""A whole axial attention layer in training on a fused kernel, with the exact batch statistics of its logits.

The similarity norm's shift cancels in the softmax, and its variances follow from Gram matrices of queries, keys and tables,
so that no L x L tensor is needed: ``E[(q.k)^2] = sum_b <Q_b^T Q_b, K_b^T K_b> / n``.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from axialzoo.kernels.folding import head_fastest
from axialzoo.spec import Attention
from axialzoo.spec.attention import SIMILARITY_TERMS
from axialzoo.torch import fused_gpu, fused_training
from axialzoo.torch.fused_moments import logit_sums
from axialzoo.torch.fused_rows import linear
from axialzoo.torch.norm import BatchNorm
from axialzoo.torch.projection import PositionAttention, interpolate
from axialzoo.torch.serving import recorded


def can_train_fused(layer: PositionAttention, x: Tensor, axis: int) -> bool:
    """Whether :func:`train_fused` serves: where there is a kernel, in float32 or under autocast, each query seeing its whole axis.

    Within a span the statistics of the logits do not follow from Gram matrices. What is compiled, exported or traced
    is of PyTorch's own operations, since it may run where there is no kernel.
    """
    if not layer.training or x.device.type not in ("cpu", "cuda") or x.dtype not in (torch.float32, *_autocast_dtype(x.device.type)):
        return False
    length = x.shape[2 + axis]
    if recorded() or layer.spec.reach(length) < length - 1:
        return False
    norms = [norm.training for norm in (layer.norm_qkv, layer.norm_similarity, layer.norm_output)]
    return all(norms) and _has_kernel(x, *layer.parameters())


def _has_kernel(x: Tensor, *parameters: Tensor) -> bool:
    if fused_gpu.serves(x, *parameters):
        return all(parameter.dtype == torch.float32 for parameter in parameters)
    return x.device.type == "cpu" and fused_training.can_attend(*parameters)


def _autocast_dtype(device: str) -> tuple[torch.dtype, ...]:
    """What autocast computes in on such a device, where it is on."""
    return (torch.get_autocast_dtype(device),) if torch.is_autocast_enabled(device) else ()


def train_fused(layer: PositionAttention, x: Tensor, axis: int) -> Tensor:
    """A layer along `axis` in training: (N, C, H, W) to (N, V, H, W), differentiable; updates the moving statistics.

    Under autocast the projection is of its type, and so is the result; what lies between is float32 on a CPU, and on a GPU of that
    type with float32 sums, softmax and statistics.

    Args:
        layer: Whose parameters these are.
        x: Its input, absolute positions added where the spec has such.
        axis: 0 attends along the height, 1 along the width.

    Raises:
        ValueError: where it does not serve; ask :func:`can_train_fused`.
    """
    if not can_train_fused(layer, x, axis):
        raise ValueError(
            "train_fused: expected a layer in training on a whole axis, float32 on a device with the kernel; use the layer itself"
        )
    spec, (n, _, h, w), on_gpu = layer.spec, x.shape, fused_gpu.serves(x)
    keys, values, heads = spec.key_channels, spec.value_channels, spec.heads
    order = None if on_gpu else qkv_order(keys, values, heads)
    rows = linear(x.permute(0, 2, 3, 1), layer.qkv.weight if order is None else layer.qkv.weight[order])  # (N, H, W, 2K+V)
    with torch.autocast(x.device.type, enabled=False):
        qkv = _normalised(layer.norm_qkv, rows, order)
        if "value" in spec.gates:
            qkv = torch.cat([qkv[..., : 2 * keys], layer.gate("value", qkv[..., 2 * keys :])], 3)
        tables = [_table(layer, name, (h, w)[axis]) for name in ("query_position", "key_position", "value_position")]
        qkv, scales = _scales(layer, qkv, tables, axis, not on_gpu)  # (3, G)
        out, _ = torch.ops.axialzoo.attend(
            qkv, *tables, scales, axis, spec.key_depth, spec.span or 0, "content" in spec.similarity, "content" in spec.value, not on_gpu
        )  # (N, H, W, terms V)
        order = None if on_gpu else output_order(len(spec.value), values, heads)
        y = _summed(layer, out, order, rows.dtype)  # (N, H, W, V)
    return y.permute(0, 3, 1, 2)  # (N, V, H, W)


def _normalised(norm: BatchNorm, rows: Tensor, order: Tensor | None) -> Tensor:
    """Rows normalised, whose channel c is the norm's channel ``order[c]``, or c: floats on a CPU, on a GPU of their own type."""
    if order is None:
        return norm(rows.flatten(0, 2)).unflatten(0, rows.shape[:3])
    return norm.of_rows(rows, order, dtype=torch.float32)


def _summed(layer: PositionAttention, out: Tensor, order: Tensor | None, dtype: torch.dtype) -> Tensor:
    """What was retrieved, (N, H, W, terms V), to the sum of the terms' norms, head by head: (N, H, W, V)."""
    terms = len(layer.spec.value)
    if order is None:
        y = layer.norm_output(out.flatten(0, 2)).unflatten(1, (terms, -1)).sum(1)  # (NHW, V)
        return y.to(dtype).unflatten(0, out.shape[:3])
    return layer.norm_output.of_rows(out, order, terms=terms, heads=layer.spec.heads, dtype=dtype)


@functools.cache
def qkv_order(keys: int, values: int, heads: int) -> Tensor:
    """Channel of the projection that lies at each place where the head index is fastest: (2K + V,)."""
    k_order, v_order = (head_fastest(channels, heads) for channels in (keys, values))
    return _kept(np.concatenate([k_order, keys + k_order, 2 * keys + v_order]))


@functools.cache
def output_order(terms: int, values: int, heads: int) -> Tensor:
    """The same of what is retrieved, term by term: (terms V,)."""
    order = head_fastest(values, heads)
    return _kept(np.concatenate([term * values + order for term in range(terms)]))


def _kept(order: np.ndarray) -> Tensor:
    """A tensor that serves training too where ``torch.inference_mode`` was on when it was first asked for."""
    with torch.inference_mode(False):
        return torch.from_numpy(order)


def _table(layer: PositionAttention, name: str, length: int) -> Tensor | None:
    """A position table, gated, for an axis of `length`: (rows, D)."""
    table = layer.gate(name, layer.table(name))
    if table is not None and layer.spec.long_axis == "interpolate" and length > layer.spec.positions:
        table = interpolate(table, 2 * length - 1)
    return table


def _scales(
    layer: PositionAttention, qkv: Tensor, tables: list[Tensor | None], axis: int, head_fastest: bool
) -> tuple[Tensor, Tensor]:
    """qkv, and factors of the three terms of the logits, (3, G), zeros where there is no such term; updates the moving statistics."""
    spec = layer.spec
    if head_fastest:
        qkv, mean, variance, n = _summed_moments(qkv, tables, spec, axis)
    else:
        mean, variance, n = gram_moments(qkv.float(), tables, spec, axis)
    by_term = dict(zip(spec.similarity, layer.scale_from_moments(mean, variance, n)))  # (G,) each
    zero = torch.zeros_like(mean[0])
    return qkv, torch.stack([by_term.get(term, zero) for term in SIMILARITY_TERMS])


def _summed_moments(qkv: Tensor, tables: list[Tensor | None], spec: Attention, axis: int) -> tuple[Tensor, Tensor, Tensor, int]:
    """qkv, and mean and (biased) variance of each term of the logits, (terms, G), and their number, on the CPU's kernel."""
    content, (n, length) = "content" in spec.similarity, (qkv.shape[0] * qkv.shape[2 - axis], qkv.shape[1 + axis])
    qkv, sums = logit_sums(qkv, tables[0], tables[1], axis, spec.heads, spec.key_depth, content)
    mean, square = sums.div(n * length**2).unbind(1)  # (3, G) each, doubles
    variance = (square - mean.square()).clamp(min=0)
    some = [SIMILARITY_TERMS.index(term) for term in spec.similarity]
    return qkv, mean[some].to(qkv.dtype), variance[some].to(qkv.dtype), n * length**2


def gram_moments(qkv: Tensor, tables: list[Tensor | None], spec: Attention, axis: int) -> tuple[Tensor, Tensor, int]:
    """Mean and (biased) variance of each term of the logits over batch, queries and keys, (terms, G), and their number, on a GPU.

    Args:
        qkv: (N, H, W, 2K + V), head by head.
        tables: Of queries and keys, (rows, Dk), where there are such terms.
    """
    keys, heads, length = spec.key_channels, spec.heads, qkv.shape[1 + axis]
    lines = qkv[..., : 2 * keys].unflatten(3, (2, heads, -1)).mT  # (N, H, W, 2, D, G)
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
