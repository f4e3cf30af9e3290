"""Attention for training on the fused kernel, without L x L tensors in the forward or the backward pass.

The forward pass saves q, k, v and one number per row, the logarithm of its sum of exponentials; the backward pass recomputes the
probabilities. Channels lie depth by depth with the head index fastest (``d * G + g``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from axialzoo.ops.attributes import SCALES, TABLES, AttentionAttributes
from axialzoo.ops.keras.dispatch import CustomOp, kernel_ops, shape_of
from axialzoo.ops.keras.inference import Table, reference_attention, split_parts
from axialzoo.ops.kernels.structures import AxialBackward, AxialForward


def attend(qkv, tables: Sequence[Table], scales, attributes: AttentionAttributes):
    """Compute softmax attention with relative positions along one axis; call only if :func:`axialzoo.ops.keras.dispatch.can_train_rows`.

    Args:
        qkv: (N, H, W, 2K + V).
        tables: Tables of queries and keys, (2P - 1, Dk), and of values, (2P - 1, Dv), of the axis's length or longer; None where not used.
        scales: (3, G): factors of the terms of the logits.
        attributes: Axis and terms.

    Returns:
        The retrieved contents, then positions, (N, H, W, terms V).
    """
    return kernel_ops().operate(ATTEND, attributes, (qkv, *tables, scales))[0]


def _arguments(attributes: AttentionAttributes, qkv, *inputs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays and the other fields of the kernel's arguments, by name."""
    *tables, scales = inputs
    axis, heads, (n, h, w, channels) = attributes.axis, scales.shape[1], shape_of(qkv)
    depth = channels // heads - 2 * attributes.key_depth
    row = heads * depth * (attributes.content_value + (tables[2] is not None))  # contents and positions of a row lie side by side
    strides = (h * w, w, 1)
    rows = next((table.shape[0] for table in tables if table is not None), 1)
    places = {name: ("scales", index * heads) for index, name in enumerate(SCALES)}
    return {"x": qkv, **dict(zip(TABLES, tables)), "scales": scales}, {
        "batch": n, "others": (h, w)[1 - axis], "length": (h, w)[axis], "heads": heads, "key_depth": attributes.key_depth,
        "value_depth": depth, "reach": (h, w)[axis] - 1, "table_reach": rows // 2, "inputs": channels,
        "content_value": int(attributes.content_value),
        "x_batch": strides[0] * channels, "x_other": strides[2 - axis] * channels, "x_position": strides[1 + axis] * channels,
        "out_batch": strides[0] * row, "out_other": strides[2 - axis] * row, "out_position": strides[1 + axis] * row,
        "out_head": 1, "out_depth": heads, **places, **({} if attributes.content_similarity else {SCALES[0]: 0}),
    }  # fmt: skip


def _term_offsets(attributes: AttentionAttributes, sizes: dict[str, Any], name: str, position: bool) -> tuple[Any, Any]:
    """Return the fields for contents and positions in the array called `name`, (N, H, W, terms V); 0 for a missing term."""
    values = sizes["heads"] * sizes["value_depth"]
    return name if attributes.content_value else 0, (name, values * attributes.content_value) if position else 0


def _forward(attributes: AttentionAttributes, *inputs: Any):
    arrays, sizes = _arguments(attributes, *inputs)
    sizes["out"], sizes["out_position_term"] = _term_offsets(attributes, sizes, "retrieved", inputs[3] is not None)
    rows = (sizes["batch"], sizes["others"], sizes["length"], sizes["heads"])
    terms = attributes.content_value + (inputs[3] is not None)
    results = {"retrieved": (*shape_of(inputs[0])[:3], terms * sizes["heads"] * sizes["value_depth"]), "normaliser": rows}
    out, normaliser = kernel_ops().run("forward", AxialForward, arrays, results, **sizes)
    return (out,), (normaliser,)


def _backward(attributes: AttentionAttributes, inputs, outputs, saved, grads):
    arrays, sizes = _arguments(attributes, *inputs)
    arrays |= {"normaliser": saved[0], "grad": grads[0]}
    sizes["grad_content"], sizes["grad_position"] = _term_offsets(attributes, sizes, "grad", inputs[3] is not None)
    tables = {f"grad_{name}": arrays[name].shape for name in TABLES if arrays[name] is not None}
    results = {"grad_x": shape_of(inputs[0]), "grad_scales": inputs[4].shape, **tables}
    filled = dict(zip(results, kernel_ops().run("backward", AxialBackward, arrays, results, **sizes)))
    return filled["grad_x"], *(filled.get(f"grad_{name}") for name in TABLES), filled["grad_scales"]


def _reference(attributes: AttentionAttributes, qkv, *inputs: Any):
    """Compute :func:`attend` with `keras.ops` and L x L logits."""
    *tables, scales = inputs
    parts = split_parts(qkv, scales.shape[1], attributes.key_depth, attributes.axis)  # (N, O, G, L, D) each
    _, others, heads, length, depth = parts[2].shape
    retrieved = reference_attention(*parts, tables, scales, attributes)  # (N, O, G, L, Dv) each, or None
    terms = [ops.transpose(term, (0, 1, 3, 4, 2)) for term in retrieved if term is not None]  # (N, O, L, Dv, G) each
    out = ops.concatenate([ops.reshape(term, (-1, others, length, depth * heads)) for term in terms], axis=3)  # (N, O, L, terms V)
    return (ops.swapaxes(out, 1, 2) if attributes.axis == 0 else out,)


ATTEND = CustomOp(_reference, _forward, _backward)
