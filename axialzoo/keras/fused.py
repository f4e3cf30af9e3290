"""A folded axial attention layer on the fused CPU kernel, on the back end that Keras has; elsewhere the layer's own form serves."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import keras
from keras import ops

from axialzoo.keras.fused_backends import BACKENDS, contiguous, serves, versions_of
from axialzoo.keras.projection import PositionAttention, interpolate
from axialzoo.kernels.folding import PANEL
from axialzoo.spec.attention import SIMILARITY_TERMS

Table = Any  # a tensor, or None where the spec has no such term
_packed: WeakKeyDictionary[PositionAttention, tuple[list, list[int], dict[str, Table]]] = WeakKeyDictionary()


def serving_kernel(layer: PositionAttention, x) -> bool:
    """Whether the kernel is there for this layer and input: folded, float32, on the CPU."""
    folded = layer.norm_qkv.folded and layer.norm_output.folded
    return folded and keras.backend.standardize_dtype(x.dtype) == layer.compute_dtype == "float32" and serves(x)


def attend_folded(layer: PositionAttention, x, axis: int):
    """The whole layer along an axis, on the kernel, where :func:`serving_kernel` says so: (N, H, W, C) to (N, H, W, V)."""
    spec, length = layer.spec, ops.shape(x)[1 + axis]
    arrays = packed(layer)
    if spec.long_axis == "interpolate":
        arrays = {name: _stretched(value, spec.positions, length) if name.endswith("_table") else value for name, value in arrays.items()}
    content = "content" in spec.similarity, "content" in spec.value
    return axial_attention(x, **arrays, axis=axis, key_depth=spec.key_depth, span=spec.span or 0, content=content)


def axial_attention(
    x,
    weight,
    bias,
    query_table: Table,
    key_table: Table,
    value_table: Table,
    scales,
    position_scale: Table,
    shift,
    axis: int,
    key_depth: int,
    span: int,
    content: tuple[bool, bool],
):
    """A whole axial attention layer with every norm folded: see :class:`axialzoo.kernels.folding.FoldedAttention`.

    Args:
        x: (N, H, W, C).
        weight, bias: Packed: (panels, C, 64) and (panels 64).
        query_table, key_table, value_table, scales, position_scale, shift: As there.
        axis: 0 attends along the height, 1 along the width.
        key_depth: Dk.
        span: Width of what a query attends to; 0 for everything the tables reach.
        content: Whether there is q.k, and whether v is retrieved.

    Returns:
        (N, H, W, V), head by head.
    """
    arrays = (weight, bias, query_table, key_table, value_table, scales, position_scale, shift)
    return BACKENDS[keras.backend.backend()](x, arrays, axis, key_depth, span, content)


def packed(layer: PositionAttention) -> dict[str, Table]:
    """The layer's variables as `axial_attention` takes them; made again only where they have changed, as far as that can be seen."""
    values = [variable.value for variable in layer.weights]
    versions = versions_of(values)
    if versions is None:
        return _pack(layer)
    known = _packed.get(layer)
    if known is None or known[1] != versions or any(one is not other for one, other in zip(known[0], values)):
        known = _packed[layer] = values, versions, _pack(layer)
    return known[2]


def _pack(layer: PositionAttention) -> dict[str, Table]:
    spec, keys = layer.spec, layer.spec.key_channels
    kernel, offset = ops.convert_to_tensor(layer.qkv.kernel), ops.convert_to_tensor(layer.norm_qkv.beta)  # (C, 2K+V), (2K+V,)
    rows = ops.concatenate([kernel, ops.expand_dims(offset, 0)])  # (C + 1, 2K+V)
    q, k, v = rows[:, :keys], rows[:, keys : 2 * keys], rows[:, 2 * keys :]
    rows = ops.concatenate([_head_fastest(part, spec.heads) for part in (q, k, layer.gate("value", v))], axis=1)
    rows = ops.pad(rows, ((0, 0), (0, -(2 * keys + spec.value_channels) % PANEL)))  # (C + 1, panels 64)
    weight = ops.transpose(ops.reshape(rows[:-1], (layer.inputs, -1, PANEL)), (1, 0, 2))  # (panels, C, 64)
    scales = layer.scale_in_evaluation()  # (terms, G)
    scale = {term: scales[index] for index, term in enumerate(spec.similarity)}
    none = ops.zeros((spec.heads,), "float32")
    gamma, beta = (
        ops.reshape(ops.convert_to_tensor(one), (len(spec.value), -1)) for one in (layer.norm_output.gamma, layer.norm_output.beta)
    )  # (terms, V)
    factor = gamma[spec.value.index("position")][None] if "position" in spec.value else None
    found = {
        "weight": weight,
        "bias": rows[-1],
        **{f"{name}_table": layer.gate(f"{name}_position", layer.table(f"{name}_position")) for name in ("query", "key", "value")},
        "scales": ops.stack([scale.get(term, none) for term in SIMILARITY_TERMS]),  # (3, G)
        "position_scale": None if factor is None else _head_fastest(factor, spec.heads)[0],
        "shift": _head_fastest(ops.sum(beta, 0)[None], spec.heads)[0],
    }
    return {name: None if array is None else contiguous(array) for name, array in found.items()}


def _head_fastest(x, heads: int):
    """Channels from head by head to depth by depth: (R, GD) to (R, DG)."""
    return ops.reshape(ops.swapaxes(ops.reshape(x, (x.shape[0], heads, -1)), 1, 2), x.shape)


def _stretched(table: Table, positions: int, length) -> Table:
    """A table, (2P-1, D), for an axis longer than it reaches: (2L-1, D)."""
    if table is None or (isinstance(length, int) and length <= positions):
        return table
    return interpolate(table, 2 * (length if isinstance(length, int) else ops.maximum(length, positions)) - 1)
