"""A folded axial attention layer on the fused CPU kernel, on the back end that Keras has; elsewhere the layer's own form serves."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import keras
from keras import ops

from axialzoo.keras.dynamic_window import arange, clip
from axialzoo.keras.projection import PositionAttention, interpolate
from axialzoo.keras.windows import HIDDEN
from axialzoo.kernels.folding import PANEL
from axialzoo.spec.attention import SIMILARITY_TERMS

Table = Any  # a tensor, or None where the spec has no such term
_packed: WeakKeyDictionary[PositionAttention, tuple[list, list[int], dict[str, Table]]] = WeakKeyDictionary()


class Form(NamedTuple):
    """What the operator is told besides arrays.

    Attributes:
        axis: 0 attends along the height, 1 along the width.
        key_depth: Dk.
        span: Width of what a query attends to; 0 for everything the tables reach.
        content_similarity, content_value: Whether there is q.k, and whether v is retrieved.
    """

    axis: int
    key_depth: int
    span: int
    content_similarity: bool
    content_value: bool


def backend() -> Any:
    """The module that calls the kernel on the back end that Keras has."""
    return importlib.import_module(f"axialzoo.keras.fused_{keras.backend.backend()}")


def beyond_jit() -> bool:
    """Whether the kernel is there, but not within what Keras compiles: XLA in TensorFlow cannot call it."""
    return keras.backend.backend() == "tensorflow" and backend().available()


def serving_kernel(layer: PositionAttention, x) -> bool:
    """Whether the kernel is there for this layer and input: folded, float32, on the CPU."""
    folded = layer.norm_qkv.folded and layer.norm_output.folded
    return folded and keras.backend.standardize_dtype(x.dtype) == layer.compute_dtype == "float32" and backend().serves(x)


def attend_folded(layer: PositionAttention, x, axis: int):
    """The whole layer along an axis, on the kernel, where :func:`serving_kernel` says so: (N, H, W, C) to (N, H, W, V)."""
    spec, length = layer.spec, ops.shape(x)[1 + axis]
    arrays = packed(layer)
    if spec.long_axis == "interpolate":
        arrays = {name: _stretched(value, spec.positions, length) if name.endswith("_table") else value for name, value in arrays.items()}
    return axial_attention(
        x, **arrays, form=Form(axis, spec.key_depth, spec.span or 0, "content" in spec.similarity, "content" in spec.value)
    )


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
    form: Form,
):
    """A whole axial attention layer with every norm folded: see :class:`axialzoo.kernels.folding.FoldedAttention`.

    Args:
        x: (N, H, W, C).
        weight, bias: Packed: (panels, C, 64) and (panels 64).
        query_table, key_table, value_table, scales, position_scale, shift: As there.
        form: The rest.

    Returns:
        (N, H, W, V), head by head.
    """
    arrays = (weight, bias, query_table, key_table, value_table, scales, position_scale, shift)
    return backend().axial_attention(x, arrays, form)


def plain(x, arrays, form: Form):
    """What :func:`axial_attention` computes, of plain operations: for derivatives, and for other devices."""
    weight, bias, *tables, scales, position_scale, shift = arrays
    heads, keys, values = scales.shape[1], scales.shape[1] * form.key_depth, shift.shape[0]
    x = ops.swapaxes(x, 1, 2) if form.axis == 0 else x  # (N, O, L, C)
    x = x @ ops.reshape(ops.swapaxes(weight, 0, 1), (weight.shape[1], -1)) + bias  # (N, O, L, panels 64)
    _, others, length, _ = ops.shape(x)
    parts = x[..., :keys], x[..., keys : 2 * keys], x[..., 2 * keys : 2 * keys + values]
    q, k, v = (
        ops.transpose(ops.reshape(part, (-1, others, length, part.shape[-1] // heads, heads)), (0, 1, 4, 2, 3)) for part in parts
    )  # (N, O, G, L, D)
    content, positions = attended(q, k, v, tables, scales, form)  # (N, O, G, L, Dv) or None
    y = _by_head(shift, heads)  # (G, 1, Dv)
    if content is not None:
        y = y + content
    if positions is not None:
        y = y + (positions if position_scale is None else _by_head(position_scale, heads) * positions)
    y = ops.reshape(ops.swapaxes(y, 2, 3), (-1, others, length, values))  # (N, O, L, V)
    return ops.swapaxes(y, 1, 2) if form.axis == 0 else y


def attended(q, k, v, tables, scales, form: Form) -> tuple[Table, Table]:
    """Contents and positions retrieved along L, (N, O, G, L, Dv) each or None, of (N, O, G, L, D)."""
    length = ops.shape(q)[3]
    bounds = [form.span // 2] * bool(form.span) + [table.shape[0] // 2 for table in tables if table is not None]
    reach = length - 1
    for bound in bounds:
        reach = min(reach, bound) if isinstance(reach, int) else ops.minimum(reach, bound)
    position = arange(length)
    distance = position - position[:, None]  # (T, S): key - query
    seen = ops.cast(ops.abs(distance) <= reach, q.dtype)
    near = ops.cast(clip(distance, -reach, reach), "int32")
    rq, rk, rv = (None if table is None else ops.take(table, near + table.shape[0] // 2, axis=0) for table in tables)  # (T, S, D)
    a, b, c = (scales[index][:, None, None] for index in range(3))  # (G, 1, 1)
    logits = (seen - 1) * HIDDEN  # (T, S)
    if form.content_similarity:
        logits = logits + a * (q @ ops.swapaxes(k, 3, 4))  # (N, O, G, T, S)
    if rq is not None:
        logits = logits + b * ops.einsum("nogtd,tsd->nogts", q, rq)
    if rk is not None:
        logits = logits + c * ops.einsum("nogsd,tsd->nogts", k, rk)
    p = ops.softmax(logits, axis=-1)  # (N, O, G, T, S)
    content = p @ v if form.content_value else None
    return content, None if rv is None else ops.einsum("nogts,tsd->nogtd", p, rv)


def _by_head(x, heads: int):
    """Channels depth by depth to a row a head: (DG,) to (G, 1, D)."""
    return ops.expand_dims(ops.transpose(ops.reshape(x, (-1, heads))), 1)


def packed(layer: PositionAttention) -> dict[str, Table]:
    """The layer's variables as `axial_attention` takes them; made again only where they have changed, as far as that can be seen."""
    values = [variable.value for variable in layer.weights]
    versions = backend().versions_of(values)
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
    return {name: None if array is None else backend().contiguous(array) for name, array in found.items()}


def _head_fastest(x, heads: int):
    """Channels from head by head to depth by depth: (R, GD) to (R, DG)."""
    return ops.reshape(ops.swapaxes(ops.reshape(x, (x.shape[0], heads, -1)), 1, 2), x.shape)


def _stretched(table: Table, positions: int, length) -> Table:
    """A table, (2P-1, D), for an axis longer than it reaches: (2L-1, D)."""
    if table is None or (isinstance(length, int) and length <= positions):
        return table
    return interpolate(table, 2 * (length if isinstance(length, int) else ops.maximum(length, positions)) - 1)
