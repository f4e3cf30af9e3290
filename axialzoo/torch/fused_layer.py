"""A whole axial attention layer in training on a fused kernel, with the exact batch statistics of its logits.

The similarity norm's shift cancels in the softmax, and its variances follow from Gram matrices of queries, keys and tables,
so that no L x L tensor is needed: ``E[(q.k)^2] = sum_b <Q_b^T Q_b, K_b^T K_b> / n``.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from axialzoo.ops.attributes import AttentionAttributes
from axialzoo.ops.folding import head_fastest
from axialzoo.ops.torch import gpu, training
from axialzoo.ops.torch.core import Core, retrieve
from axialzoo.ops.torch.dispatch import TYPES, in_functorch_transform, is_tracing
from axialzoo.ops.torch.tables import interpolate
from axialzoo.spec import Attention
from axialzoo.spec.attention import POSITION_SIDES, POSITION_TABLES, SIMILARITY_TERMS
from axialzoo.torch.norm import Activation, freeze_running_stats
from axialzoo.torch.processes import is_synced
from axialzoo.torch.projection import PositionAttention


def can_train_fused(layer: PositionAttention, x: Tensor, axis: int) -> bool:
    """Return True if :func:`train_fused` can compute the layer: with a kernel, float32 or autocast, and queries that see the whole axis.

    Within a span the statistics of the logits do not follow from Gram matrices. Compiled, exported and traced graphs use PyTorch's own
    operations, since they may run where there is no kernel.
    """
    if not layer.training or x.device.type not in ("cpu", "cuda") or x.dtype not in (torch.float32, *_autocast_dtype(x.device.type)):
        return False
    length = x.shape[2 + axis]
    if is_tracing() or in_functorch_transform() or layer.spec.reach(length) < length - 1:
        return False
    norms = [norm.training for norm in (layer.norm_qkv, layer.norm_similarity, layer.norm_output)]
    return all(norms) and _has_kernel(x, *layer.parameters())


def _has_kernel(x: Tensor, *parameters: Tensor) -> bool:
    if gpu.supports(x, *parameters):
        return all(parameter.dtype == torch.float32 for parameter in parameters)
    return x.device.type == "cpu" and training.can_attend(*parameters)


def _autocast_dtype(device: str) -> tuple[torch.dtype, ...]:
    """Return the dtype of autocast on a device, in a tuple; an empty one where autocast is off."""
    return (torch.get_autocast_dtype(device),) if torch.is_autocast_enabled(device) else ()


def train_fused(layer: PositionAttention, x: Tensor, axis: int, activation: Activation | None = None) -> Tensor:
    """Compute a layer along `axis` in training: (N, C, H, W) to (N, V, H, W), differentiable; update the moving statistics.

    Under autocast the projection and the result have its dtype. The attention between them is float32 on a CPU; on a GPU it has
    autocast's dtype, with sums, softmax and statistics in float32.

    Args:
        layer: Layer with the parameters.
        x: Its input, with absolute positions added where the spec has them.
        axis: 0 attends along the height, 1 along the width.
        activation: Activation after the layer.

    Raises:
        ValueError: where :func:`can_train_fused` returns False.
    """
    if not can_train_fused(layer, x, axis):
        raise ValueError(
            "train_fused: expected a layer in training on a whole axis, float32 on a device with the kernel; use the layer itself"
        )
    run = _on_gpu if gpu.supports(x) else _on_cpu
    tables = [_table(layer, name, x.shape[2 + axis]) for name in POSITION_TABLES]
    return run(layer, x.permute(0, 2, 3, 1), tables, axis, activation).permute(0, 3, 1, 2)  # (N, V, H, W)


def _on_cpu(layer: PositionAttention, x: Tensor, tables: list[Tensor | None], axis: int, activation: Activation | None) -> Tensor:
    """Compute (N, H, W, C) to (N, H, W, V), with the head index of channels fastest in between."""
    spec, norm, relu = layer.spec, layer.norm_qkv, activation is F.relu
    keys, values, heads = spec.key_channels, spec.value_channels, spec.heads
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    order = qkv_order(keys, values, heads)
    core = Core(
        AttentionAttributes.of(spec, axis), heads, spec.similarity, norm.eps, layer.scale_from_moments,
        functools.partial(freeze_running_stats, layer), order, dtype,
    )  # fmt: skip
    similarity = (layer.norm_similarity.weight, layer.norm_similarity.bias)
    scale, shift = (
        torch.cat([vector[: 2 * keys], layer.apply_gate("value", vector[2 * keys :])]) for vector in (norm.weight[order], norm.bias[order])
    )  # (2K+V,)
    if is_synced(norm):
        qkv = norm.forward_channels_last(F.linear(x, layer.qkv.weight[order]), order, dtype=torch.float32)
        qkv = torch.cat([qkv[..., : 2 * keys], layer.apply_gate("value", qkv[..., 2 * keys :])], 3)
        out, _, _ = retrieve(qkv.contiguous(), None, scale, shift, tables, similarity, core)  # (N, H, W, terms V)
    else:
        out, mean, variance = retrieve(x, layer.qkv.weight, scale, shift, tables, similarity, core)  # (N, H, W, terms V)
        norm.update_running_stats(mean, variance, out[..., 0].numel(), order)
    with torch.autocast("cpu", enabled=False):
        terms = len(spec.value)
        order, kind = output_order(terms, values, heads), dtype if dtype in TYPES else torch.float32
        y = layer.norm_output.forward_channels_last(out, order, relu=relu, terms=terms, heads=heads, dtype=kind).to(dtype)  # (N, H, W, V)
    return y if relu or activation is None else activation(y)


def _on_gpu(layer: PositionAttention, x: Tensor, tables: list[Tensor | None], axis: int, activation: Activation | None) -> Tensor:
    """Compute (N, H, W, C) to (N, H, W, V), with channels head by head."""
    spec, keys, size = layer.spec, layer.spec.key_channels, x.shape[:3]
    rows = F.linear(x.flatten(0, 2), layer.qkv.weight)  # (NHW, 2K+V)
    with torch.autocast(x.device.type, enabled=False):
        qkv = layer.norm_qkv(rows)
        if "value" in spec.gates:
            qkv = torch.cat([qkv[:, : 2 * keys], layer.apply_gate("value", qkv[:, 2 * keys :])], 1)
        qkv = qkv.unflatten(0, size)
        scale = layer.scale_from_moments(*gram_moments(qkv.float(), tables, spec, axis))  # (terms, G)
        by_term = dict(zip(spec.similarity, scale))
        scales = torch.stack([by_term.get(term, torch.zeros_like(scale[0])) for term in SIMILARITY_TERMS])  # (3, G)
        out, _ = torch.ops.axialzoo.attend(
            qkv, *tables, scales, *AttentionAttributes.of(spec, axis, head_fastest=False).flat()
        )  # (N, H, W, terms V)
        y = layer.norm_output(out.flatten(0, 2)).unflatten(1, (len(spec.value), -1)).sum(1)  # (NHW, V)
    y = y.to(rows.dtype).unflatten(0, size)
    return y if activation is None else activation(y)


@functools.cache
def qkv_order(keys: int, values: int, heads: int) -> Tensor:
    """Return the channel of the projection at each place of a layout with the head index fastest: (2K + V,)."""
    k_order, v_order = (head_fastest(channels, heads) for channels in (keys, values))
    return _outside_inference_mode(np.concatenate([k_order, keys + k_order, 2 * keys + v_order]))


@functools.cache
def output_order(terms: int, values: int, heads: int) -> Tensor:
    """Return the retrieved channel at each place of a layout with the head index fastest, term by term: (terms V,)."""
    order = head_fastest(values, heads)
    return _outside_inference_mode(np.concatenate([term * values + order for term in range(terms)]))


def _outside_inference_mode(order: np.ndarray) -> Tensor:
    """Make a tensor that can be used in training too, even if ``torch.inference_mode`` is on at the first call."""
    with torch.inference_mode(False):
        return torch.from_numpy(order)


def _table(layer: PositionAttention, name: str, length: int) -> Tensor | None:
    """Return a position table, gated, for an axis of `length`: (rows, D)."""
    table = layer.apply_gate(name, layer.position_table(name))
    if table is not None and layer.spec.beyond_tables == "interpolate" and length > layer.spec.max_length:
        table = interpolate(table, 2 * length - 1)
    return table


def gram_moments(qkv: Tensor, tables: list[Tensor | None], spec: Attention, axis: int) -> tuple[Tensor, Tensor, int]:
    """Return mean and (biased) variance of each term of the logits over batch, queries and keys, (terms, G), and their number, on a GPU.

    Args:
        qkv: (N, H, W, 2K + V), head by head.
        tables: Tables of queries and keys, (rows, Dk), None where there is no such term.
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
        side = POSITION_SIDES[term]
        table = tables[side]
        assert table is not None
        far = (table.shape[0] - 1) // 2
        table = table[far - length + 1 : far + length]  # distances -(L - 1) to L - 1
        skewed = table.unfold(0, length, 1).transpose(1, 2).flip(0)  # (L, L, D): row s - p of query p and key s
        x = (q, k)[side]
        skewed = skewed.transpose(0, 1) if side else skewed  # by x's own position
        x = x.permute(1, 2, 0, 3)  # (G, L, B, D)
        means.append((x.sum(2, dtype=torch.float64) * skewed.sum(1, dtype=torch.float64)).sum((1, 2)))  # (G, L, D) -> (G,)
        squares.append(((x.mT @ x).double() * (skewed.mT @ skewed).double()).sum((1, 2, 3)))  # (G, L, D, D) -> (G,)
    mean = torch.stack(means) / n  # (terms, G)
    variance = (torch.stack(squares) / n - mean.square()).clamp(min=0)
    return mean.to(qkv.dtype), variance.to(qkv.dtype), n


def _content_squares(q: Tensor, k: Tensor) -> Tensor:
    """Return sum (q.k)^2, (G,), from the logits (L x L) or the Gram matrices (D x D), whichever are smaller."""
    if q.shape[2] < q.shape[3]:
        return (q @ k.mT).square().sum((0, 2, 3), dtype=torch.float64)
    return ((q.mT @ q) * (k.mT @ k)).sum((0, 2, 3), dtype=torch.float64)
