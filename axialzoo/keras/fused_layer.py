"""A whole axial attention layer in training on the fused kernel, with the exact batch statistics of its logits.

The similarity norm's shift cancels in the softmax, and its variances follow from Gram matrices of queries, keys and tables,
so that no L x L tensor is needed: ``E[(q.k)^2] = sum_b <Q_b^T Q_b, K_b^T K_b> / n``.
"""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from axialzoo.keras.projection import PositionAttention
from axialzoo.ops.attributes import AttentionAttributes
from axialzoo.ops.keras.dispatch import can_train_rows, kernel_ops
from axialzoo.ops.keras.order import Order, head_by_head, head_fastest
from axialzoo.ops.keras.tables import Activation, interpolate
from axialzoo.spec import Attention
from axialzoo.spec.attention import POSITION_TABLES, SIMILARITY_TERMS


def can_train_fused(layer: PositionAttention, x, axis: int) -> bool:
    """Return True if :func:`train_fused` can compute the layer: with a kernel, float32 on a CPU, and queries that see the whole axis.

    Within a span the statistics of the logits do not follow from Gram matrices. Exported graphs, and graphs of compilers that cannot
    call the kernel, use plain operations.
    """
    length = ops.shape(x)[1 + axis]
    norms = (layer.norm_qkv, layer.norm_similarity, layer.norm_output)
    if not isinstance(length, int) or layer.spec.reach(length) < length - 1 or not all(norm.trainable for norm in norms):
        return False
    return layer.compute_dtype == "float32" and can_train_rows(x, *layer.weights)


def train_fused(layer: PositionAttention, x, axis: int, activation: Activation | None = None):
    """Compute a layer along `axis` in training: (N, H, W, C) to (N, H, W, V), differentiable; update the moving statistics.

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
    spec, length = layer.spec, ops.shape(x)[1 + axis]
    order = qkv_order(spec)
    qkv = kernel_ops().product(x, order.there(ops.convert_to_tensor(layer.qkv.kernel)))  # (N, H, W, 2K+V)
    qkv = layer.gated_values(layer.norm_qkv.forward_channels_last(qkv, order))
    tables = [_table(layer, name, length) for name in POSITION_TABLES]
    attributes = AttentionAttributes.of(spec, axis)
    qkv, scales = _scales(layer, qkv, tables, attributes)  # (3, G)
    out = kernel_ops().attend(qkv, tables, scales, attributes)  # (N, H, W, terms V)
    relu = activation is ops.relu
    y = layer.norm_output.forward_channels_last(out, output_order(spec), relu=relu, terms=len(spec.value), heads=spec.heads)  # (N, H, W, V)
    return y if relu or activation is None else activation(y)


def qkv_order(spec: Attention) -> Order:
    """Return the order of the projection's channels, a tensor's last axis, with the head index fastest in queries, keys and values."""
    return _order((spec.key_channels, spec.key_channels, spec.value_channels), spec.heads)


def output_order(spec: Attention) -> Order:
    """Return the order of the retrieved channels with the head index fastest, term by term."""
    return _order((spec.value_channels,) * len(spec.value), spec.heads)


def _order(parts: tuple[int, ...], heads: int) -> Order:
    def of_each_part(reorder):
        def reordered(x):
            ends = [sum(parts[: index + 1]) for index in range(len(parts))]
            return ops.concatenate([reorder(x[..., end - size : end]) for size, end in zip(parts, ends)], axis=-1)

        return reordered

    return Order(of_each_part(lambda x: head_fastest(x, heads)), of_each_part(lambda x: head_by_head(x, heads)))


def _table(layer: PositionAttention, name: str, length: int) -> Any:
    """Return a position table, gated, for an axis of `length`: (rows, D)."""
    table = layer.apply_gate(name, layer.position_table(name))
    if table is not None and layer.spec.beyond_tables == "interpolate" and length > layer.spec.max_length:
        table = interpolate(table, 2 * length - 1)
    return table


def _scales(layer: PositionAttention, qkv, tables: list, attributes: AttentionAttributes) -> tuple[Any, Any]:
    """Return qkv and the factors of the three terms of the logits, (3, G), 0 for a missing term; update the moving statistics."""
    spec = layer.spec
    qkv, mean, variance = kernel_ops().logit_moments(qkv, tables[:2], spec.heads, attributes)  # (3, G)
    *sides, _ = ops.shape(qkv)
    pairs = math.prod(ops.cast(side, qkv.dtype) for side in sides) * sides[1 + attributes.axis]
    indices = [SIMILARITY_TERMS.index(term) for term in spec.similarity]
    mean, variance = (ops.stack([moment[index] for index in indices]) for moment in (mean, variance))  # (terms, G)
    scale = layer.scale_from_moments(mean, variance, pairs)  # (terms, G)
    by_term = {term: scale[index] for index, term in enumerate(spec.similarity)}
    zero = ops.zeros_like(scale[0])
    return qkv, ops.stack([by_term.get(term, zero) for term in SIMILARITY_TERMS])
