"""Inference of a folded axial attention layer on the fused CPU kernel, for every back end of Keras, and its reference implementation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from axialzoo.ops.attributes import AttentionAttributes
from axialzoo.ops.keras.attention import attend_along
from axialzoo.ops.keras.dispatch import kernel_ops
from axialzoo.ops.keras.tables import Activation, arange, clip, interpolate
from axialzoo.spec.attention import POSITION_TABLES, SIMILARITY_TERMS

Table = Any  # a tensor, or None where the spec has no such term


def xla_unsupported() -> bool:
    """Return whether there is a kernel that compiled models cannot call: XLA in TensorFlow cannot."""
    return keras.backend.backend() == "tensorflow" and kernel_ops().available()


def kernel_for(layer: Any, x) -> bool:
    """Return whether the kernel supports this layer and input: norms folded, float32, on the CPU."""
    folded = layer.norm_qkv.folded and layer.norm_output.folded
    return folded and keras.backend.standardize_dtype(x.dtype) == layer.compute_dtype == "float32" and kernel_ops().supports(x)


def linear(layer, x, residual=None, activation: Activation | None = None):
    """Compute a folded convolution; 1x1 as a matrix product, which is faster on CPUs: (N, H, W, inputs) to (N, H', W', outputs).

    Args:
        layer: The convolution.
        x: Its input.
        residual: (N, H', W', outputs), added to the result.
        activation: Activation of the sum.
    """
    if layer.kernel > 1 or layer.stride > 1:
        return layer.norm(layer.conv_forward(x), residual, activation=activation)
    _, h, w, _ = ops.shape(x)
    weight, bias = (ops.convert_to_tensor(variable) for variable in (layer.conv.kernel, layer.norm.beta))
    y = ops.reshape(x, (-1, layer.inputs)) @ ops.reshape(weight, (layer.inputs, layer.outputs)) + ops.cast(bias, x.dtype)
    y = ops.reshape(y, (-1, h, w, layer.outputs))
    y = y if residual is None else residual + y
    return y if activation is None else activation(y)


def subsample(x, step: int):
    """Return every `step`-th row and column: (N, H, W, C) to (N, ceil(H / step), ceil(W / step), C)."""
    return x[:, ::step, ::step]


def depthwise(conv: keras.layers.DepthwiseConv2D, x):
    """Compute a depthwise convolution of stride 1: (N, H, W, C) to (N, H, W, C)."""
    return conv(x)


def max_pool(x):
    """Compute a max pool, 3 x 3 of stride 2: (N, H, W, C) to (N, ceil(H / 2), ceil(W / 2), C)."""
    x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=float("-inf"))  # "same" would not pad the first row
    return ops.max_pool(x, 3, 2, "valid", data_format="channels_last")


def average_pool(x, stride: int):
    """Compute the mean of every `stride` x `stride` pixels; padding does not count."""
    return ops.average_pool(x, stride, stride, "same", data_format="channels_last")


def fused_inference(layer: Any, x, axis: int, activation: Activation | None = None):
    """Compute a whole layer along an axis on the kernel, activated; call only if :func:`kernel_for`: (N, H, W, C) to (N, H, W, V)."""
    spec, length = layer.spec, ops.shape(x)[1 + axis]
    weight, bias, *tables, scales, position_scale, shift = kernel_ops().kernel_arrays(layer)
    if spec.beyond_tables == "interpolate":
        tables = [_interpolate_for(table, spec.max_length, length) for table in tables]
    attributes = AttentionAttributes.of(spec, axis)
    return kernel_ops().axial_attention(x, (weight, bias, *tables, scales, position_scale, shift), attributes, activation)


def kernel_arrays(layer: Any) -> tuple[Table, ...]:
    """Return the arrays of a layer with folded norms that an operator takes besides the map; channels lie head by head.

    Returns:
        weight (C, 2K+V), bias (2K+V,), query, key and value table (2P-1, D), scales (3, G) of the terms of the logits, position_scale (V,),
        the factor of retrieved positions, and shift (V,), added to the result; None for a missing term.
    """
    spec = layer.spec
    weight, bias = (layer.gated_values(ops.convert_to_tensor(variable)) for variable in (layer.qkv.kernel, layer.norm_qkv.beta))
    scales = layer.scale_in_evaluation()  # (terms, G)
    none = ops.zeros((spec.heads,), "float32")
    scale = {term: scales[index] for index, term in enumerate(spec.similarity)}
    affine = (ops.convert_to_tensor(variable) for variable in (layer.norm_output.gamma, layer.norm_output.beta))
    gamma, beta = (ops.reshape(x, (len(spec.value), -1)) for x in affine)  # (terms, V)
    return (
        weight,
        bias,
        *(layer.apply_gate(name, layer.position_table(name)) for name in POSITION_TABLES),
        ops.stack([scale.get(term, none) for term in SIMILARITY_TERMS]),
        gamma[spec.value.index("position")] if "position" in spec.value else None,
        ops.sum(beta, 0),
    )


def reference_layer(x, arrays: tuple[Table, ...], attributes: AttentionAttributes):
    """Compute a whole layer with `keras.ops`, for derivatives and for other devices: (N, H, W, C) to (N, H, W, V)."""
    weight, bias, *tables, scales, position_scale, shift = arrays
    heads, keys = scales.shape[1], scales.shape[1] * attributes.key_depth
    x = ops.swapaxes(x, 1, 2) if attributes.axis == 0 else x  # (N, O, L, C)
    x = x @ weight + bias  # (N, O, L, 2K+V)
    _, others, length, _ = ops.shape(x)
    parts = x[..., :keys], x[..., keys : 2 * keys], x[..., 2 * keys :]
    q, k, v = (ops.swapaxes(ops.reshape(part, (-1, others, length, heads, part.shape[-1] // heads)), 2, 3) for part in parts)
    content, positions = reference_attention(q, k, v, tables, scales, attributes)  # (N, O, G, L, Dv) or None
    y = ops.reshape(shift, (heads, 1, -1))  # (G, 1, Dv)
    if content is not None:
        y = y + content
    if positions is not None:
        y = y + (positions if position_scale is None else ops.reshape(position_scale, (heads, 1, -1)) * positions)
    y = ops.reshape(ops.swapaxes(y, 2, 3), (-1, others, length, shift.shape[0]))  # (N, O, L, V)
    return ops.swapaxes(y, 1, 2) if attributes.axis == 0 else y


def reference_attention(q, k, v, tables, scales, attributes: AttentionAttributes) -> tuple[Table, Table]:
    """Retrieve contents and positions along L: (N, O, G, L, D) to (N, O, G, L, Dv) each or None."""
    length = ops.shape(q)[3]
    bounds = [attributes.span // 2] * bool(attributes.span) + [table.shape[0] // 2 for table in tables if table is not None]
    reach = length - 1
    for bound in bounds:
        reach = min(reach, bound) if isinstance(reach, int) else ops.minimum(reach, bound)
    position = arange(length)
    distance = position - position[:, None]  # (T, S): key - query
    visible = abs(distance) <= reach  # (T, S)
    near = ops.cast(clip(distance, -reach, reach), "int32")
    rows = tuple(None if table is None else ops.take(table, near + table.shape[0] // 2, axis=0) for table in tables)  # (T, S, D)
    flat = (-1, q.shape[2], length)
    content, positions = attend_along(
        *(ops.reshape(x, (*flat, x.shape[4])) for x in (q, k, v)), rows, factors_of(scales, rows, attributes), visible[None],
        attributes.content_value,
    )  # fmt: skip
    shape = (-1, *ops.shape(q)[1:4], v.shape[4])  # (N, O, G, L, Dv)
    content, positions = (None if x is None else ops.reshape(x, shape) for x in (content, positions))
    return content, positions


def factors_of(scales, tables: tuple[Table, ...], attributes: AttentionAttributes) -> tuple[Table, ...]:
    """Split `scales`, (3, G), into factors of the terms of the logits, (G, 1, 1) each; None for a missing term."""
    has_term = attributes.content_similarity, tables[0] is not None, tables[1] is not None
    return tuple(scales[index][:, None, None] if present else None for index, present in enumerate(has_term))


def split_parts(qkv, heads: int, key_depth: int, axis: int) -> tuple:
    """Split rows with the head index fastest into queries, keys and values: (N, H, W, 2K + V) to (N, O, G, L, D) each."""
    x = ops.swapaxes(qkv, 1, 2) if axis == 0 else qkv  # (N, O, L, 2K+V)
    _, others, length, channels = ops.shape(x)
    keys = heads * key_depth
    ends = ((0, keys), (keys, 2 * keys), (2 * keys, channels))
    parts = (ops.reshape(x[..., start:end], (-1, others, length, (end - start) // heads, heads)) for start, end in ends)
    return tuple(ops.transpose(part, (0, 1, 4, 2, 3)) for part in parts)


def _interpolate_for(table: Table, positions: int, length) -> Table:
    """Interpolate a table, (2P-1, D), for an axis longer than it reaches: (2L-1, D)."""
    if table is None or (isinstance(length, int) and length <= positions):
        return table
    return interpolate(table, 2 * (length if isinstance(length, int) else ops.maximum(length, positions)) - 1)
