"""Operators of PyTorch on the fused kernel, for inference: ``torch.ops.axialzoo.axial_attention`` and ``linear``.

Both take and return maps of shape (N, C, H, W) with channels-last memory, and take weights packed by
:func:`axialzoo.ops.folding.pack`. They run on the kernel in float32 on a CPU, and on :mod:`axialzoo.ops.torch.gpu` on a GPU. For other
devices and types, or without a kernel (:func:`axialzoo.ops.kernels.kernel_status`), they use PyTorch's own operations.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from axialzoo.ops.attributes import SCHEMA, AttentionAttributes
from axialzoo.ops.kernels.structures import AxialForward, AxialLinear
from axialzoo.ops.torch.attention import attention_weights
from axialzoo.ops.torch.dispatch import data_ptr, kernel_for
from axialzoo.ops.torch.tables import interpolate

LIBRARY = torch.library.Library("axialzoo", "FRAGMENT")
LIBRARY.define("linear(Tensor x, Tensor weight, Tensor bias, Tensor? residual, int outputs, bool relu) -> Tensor")
LIBRARY.define(
    "axial_attention(Tensor x, Tensor weight, Tensor bias, Tensor? query_table, Tensor? key_table, Tensor? value_table, Tensor scales, "
    f"Tensor? position_scale, Tensor shift, {SCHEMA}) -> Tensor"
)


def as_channels_last(x: Tensor) -> Tensor:
    """Return the map itself if its channels are contiguous, else a channels-last copy."""
    return x if x.stride(1) == 1 or x.shape[1] == 1 else x.contiguous(memory_format=torch.channels_last)


def _empty(x: Tensor, channels: int) -> Tensor:
    """Create an uninitialised map, (N, channels, H, W), channels-last."""
    return x.new_empty((x.shape[0], x.shape[2], x.shape[3], channels)).permute(0, 3, 1, 2)


def unpack_panels(weight: Tensor, outputs: int) -> Tensor:
    """Unpack a packed weight: (panels, I, 64) to (outputs, I)."""
    return weight.transpose(1, 2).flatten(0, 1)[:outputs]


def linear(x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None, outputs: int, relu: bool) -> Tensor:
    """Compute a 1x1 convolution, add a residual and activate: (N, I, H, W), packed weight and bias, (N, O, H, W) to (N, O, H, W)."""
    kernel = kernel_for(x, weight, bias, residual)
    if kernel is None:
        rows = F.linear(x.permute(0, 2, 3, 1), unpack_panels(weight, outputs).to(x.dtype), bias[:outputs].to(x.dtype))  # (N, H, W, O)
        y = rows.permute(0, 3, 1, 2)
        y = y if residual is None else y + residual
        return y.relu() if relu else y
    x = as_channels_last(x)
    if residual is not None:
        residual = residual.contiguous(memory_format=torch.channels_last)
    n, inputs, height, width = x.shape
    y = _empty(x, outputs)
    arguments = AxialLinear(
        n, height, width, x.stride(0), x.stride(2), x.stride(3), inputs, outputs,
        data_ptr(x), data_ptr(weight), data_ptr(bias), data_ptr(residual), data_ptr(y), relu,
    )  # fmt: skip
    kernel.run("linear", arguments, torch.get_num_threads())
    return y


class Folded(NamedTuple):
    """Tensors of a layer with all norms folded: see :class:`axialzoo.ops.folding.FoldedAttention`; weight and bias are packed."""

    weight: Tensor
    bias: Tensor
    query_table: Tensor | None
    key_table: Tensor | None
    value_table: Tensor | None
    scales: Tensor
    position_scale: Tensor | None
    shift: Tensor

    @property
    def tables(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        return self.query_table, self.key_table, self.value_table


def axial_attention(x: Tensor, folded: Folded, attributes: AttentionAttributes) -> Tensor:
    """Compute a whole axial attention layer with all norms folded.

    Args:
        x: (N, C, H, W).
        folded: Tensors of the layer.
        attributes: Attributes of the attention; `head_fastest` holds for the channels of the result.

    Returns:
        (N, V, H, W).
    """
    axis, scales = attributes.axis, folded.scales
    tables, reach = resolve_tables_and_reach(folded.tables, x.shape[2 + axis], attributes)
    kernel = kernel_for(x, folded.weight, folded.bias, scales, folded.shift)
    heads, values = scales.shape[1], folded.shift.shape[0]
    if kernel is None:
        return _reference_layer(x, folded._replace(query_table=tables[0], key_table=tables[1], value_table=tables[2]), reach, attributes)
    x = as_channels_last(x)
    y = _empty(x, values)
    fields = {name: data_ptr(getattr(folded, name)) for name in ("weight", "bias", "position_scale", "shift")}
    strides = y.permute(0, 2, 3, 1).stride()
    arguments = forward_arguments(
        x.permute(0, 2, 3, 1), tables, scales, attributes, reach=reach, value_depth=values // heads, strides=strides,
        out=data_ptr(y), relu=attributes.relu, **fields,
    )  # fmt: skip
    kernel.run("forward", arguments, torch.get_num_threads())
    return y


def forward_arguments(
    x: Tensor, tables: Sequence[Tensor | None], scales: Tensor, attributes: AttentionAttributes, *, reach: int, value_depth: int,
    strides: Sequence[int], **fields: int,
) -> AxialForward:  # fmt: skip
    """Return the arguments of the kernel's forward pass, in inference and in training.

    Args:
        x: (N, H, W, C).
        tables: Tables of queries, keys and values.
        scales: (3, G).
        attributes: Attributes of the attention.
        reach: Largest distance from a query to its keys.
        value_depth: Channels of a head's values.
        strides: Strides of the result, (N, H, W, V).
        fields: Further fields of the structure, by name.
    """
    heads, other, attended = scales.shape[1], 2 - attributes.axis, 1 + attributes.axis
    rows = next((table.shape[0] for table in tables if table is not None), 1)
    return AxialForward(
        batch=x.shape[0], others=x.shape[other], length=x.shape[attended], heads=heads, key_depth=attributes.key_depth,
        value_depth=value_depth, reach=reach, table_reach=rows // 2, x=data_ptr(x), x_batch=x.stride(0), x_other=x.stride(other),
        x_position=x.stride(attended), inputs=x.shape[3],
        query_table=data_ptr(tables[0]), key_table=data_ptr(tables[1]), value_table=data_ptr(tables[2]),
        content_scale=data_ptr(scales) if attributes.content_similarity else 0, query_scale=data_ptr(scales) + 4 * heads,
        key_scale=data_ptr(scales) + 8 * heads, content_value=attributes.content_value,
        out_batch=strides[0], out_other=strides[other], out_position=strides[attended],
        out_head=1 if attributes.head_fastest else value_depth, out_depth=heads if attributes.head_fastest else 1, **fields,
    )  # fmt: skip


def _operator(x: Tensor, *arguments: Any) -> Tensor:
    """Call :func:`axial_attention` with the flat arguments of ``torch.library``."""
    return axial_attention(x, Folded(*arguments[:8]), AttentionAttributes.from_flat(arguments[8:]))


def resolve_tables_and_reach(
    tables: Sequence[Tensor | None], length: int, attributes: AttentionAttributes
) -> tuple[tuple[Tensor | None, ...], int]:
    """Return the tables for an axis of `length`, interpolated if `attributes` say so, and the largest distance from a query to its keys."""
    reach = min(length - 1, attributes.span // 2) if attributes.span else length - 1
    resolved = []
    for table in tables:
        if table is not None and attributes.interpolate and length > (table.shape[0] + 1) // 2:
            table = interpolate(table, 2 * length - 1).contiguous()
        elif table is not None:
            reach = min(reach, table.shape[0] // 2)
        resolved.append(table)
    return tuple(resolved), reach


def _reference_layer(x: Tensor, folded: Folded, reach: int, attributes: AttentionAttributes) -> Tensor:
    """Compute :func:`axial_attention` with PyTorch's operations and L x L logits, for other devices, types and machines."""
    axis, scales = attributes.axis, folded.scales
    heads, outputs = scales.shape[1], 2 * scales.shape[1] * attributes.key_depth + folded.shift.shape[0]
    x = x.permute(0, 3, 2, 1) if axis == 0 else x.permute(0, 2, 3, 1)  # (N, O, L, C)
    x = F.linear(x, unpack_panels(folded.weight, outputs).to(x.dtype), folded.bias[:outputs].to(x.dtype))  # (N, O, L, 2K+V)
    content, positions = reference_attention(x, folded.tables, scales, reach, attributes)  # (N, O, G, L, Dv) or None
    y = folded.shift.to(x.dtype).view(-1, heads).T[:, None]  # (G, 1, Dv)
    if content is not None:
        y = y + content
    if positions is not None:
        factor = 1 if folded.position_scale is None else folded.position_scale.to(x.dtype).view(-1, heads).T[:, None]  # (G, 1, Dv)
        y = y + factor * positions
    y = y.permute(0, 1, 3, 4, 2) if attributes.head_fastest else y.permute(0, 1, 3, 2, 4)  # (N, O, L, Dv, G) or (N, O, L, G, Dv)
    y = y.flatten(3).relu() if attributes.relu else y.flatten(3)  # (N, O, L, V)
    return y.permute(0, 3, 2, 1) if axis == 0 else y.permute(0, 3, 1, 2)


def reference_attention(
    x: Tensor, tables: Sequence[Tensor | None], scales: Tensor, reach: int, attributes: AttentionAttributes
) -> tuple[Tensor | None, Tensor | None]:
    """Retrieve contents and positions along L: rows (N, O, L, 2K + V), head fastest, to (N, O, G, L, Dv) each or None."""
    heads, length = scales.shape[1], x.shape[2]
    keys = heads * attributes.key_depth
    parts = x.split((keys, keys, x.shape[3] - 2 * keys), dim=3)
    q, k, v = (part.unflatten(3, (-1, heads)).permute(0, 1, 4, 2, 3) for part in parts)  # (N, O, G, L, D)
    position = torch.arange(length, device=x.device)
    distance = position - position[:, None]  # (T, S): key - query
    visible = distance.abs() <= reach
    rq, rk, rv = (None if t is None else t[distance.clamp(-reach, reach) + t.shape[0] // 2].to(x.dtype) for t in tables)  # (T, S, D)
    a, b, c = (scale[:, None, None].to(x.dtype) for scale in scales)  # (G, 1, 1)
    logits = x.new_zeros(())
    if attributes.content_similarity:
        logits = logits + a * (q @ k.mT)  # (N, O, G, T, S)
    if rq is not None:
        logits = logits + b * torch.einsum("nogtd,tsd->nogts", q, rq)
    if rk is not None:
        logits = logits + c * torch.einsum("nogsd,tsd->nogts", k, rk)
    p = attention_weights(logits, visible, x.dtype)  # (N, O, G, T, S)
    content = p @ v if attributes.content_value else None
    return content, None if rv is None else torch.einsum("nogts,tsd->nogtd", p, rv)


def channels_last(function):
    """Make the result of `function` channels-last in memory on every path; compiled programs rely on it."""

    @functools.wraps(function)
    def wrapped(*arguments):
        y = function(*arguments)
        return y.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)

    return wrapped


LIBRARY.impl("linear", channels_last(linear), "CompositeExplicitAutograd")
LIBRARY.impl("axial_attention", channels_last(_operator), "CompositeExplicitAutograd")


@torch.library.register_fake("axialzoo::linear")
def _(x, weight, bias, residual, outputs, relu):
    return _empty(x, outputs)


@torch.library.register_fake("axialzoo::axial_attention")
def _(x, *arguments):
    return _empty(x, Folded(*arguments[:8]).shift.shape[0])
