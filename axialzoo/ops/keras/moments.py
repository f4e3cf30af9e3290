"""Batch statistics of the logits in training on the fused kernel, without L x L tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras import ops

from axialzoo.ops.attributes import TABLES, AttentionAttributes
from axialzoo.ops.keras.attention import logit_terms
from axialzoo.ops.keras.dispatch import CustomOp, kernel_ops, shape_of
from axialzoo.ops.keras.inference import Table, split_parts
from axialzoo.ops.kernels.structures import AxialStatistics

Attributes = tuple[int, AttentionAttributes]  # heads, and the attention


def logit_moments(qkv, tables: Sequence[Table], heads: int, attributes: AttentionAttributes) -> tuple[Any, Any, Any]:
    """Compute the moments of the logits of a whole axis; call only if :func:`axialzoo.ops.keras.dispatch.can_train_rows`.

    Args:
        qkv: (N, H, W, 2K + V), head index fastest.
        tables: Tables of queries and keys, (2P - 1, Dk), P at least the axis's length; None where not used.
        heads: G.
        attributes: Axis, Dk, and whether there is q.k.

    Returns:
        The input qkv, to attend with, so that its gradients add up in one place; and mean and biased variance of the terms of the logits
        over batch, queries and keys, (3, G) each, zero for a missing term.
    """
    return kernel_ops().operate(MOMENTS, (heads, attributes), (qkv, *tables))


def _arguments(attributes: Attributes, qkv, *tables: Table) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays and the integer fields of the kernel's arguments, by name."""
    (heads, attention), (n, h, w, channels) = attributes, shape_of(qkv)
    axis, depth, content = attention.axis, attention.key_depth, attention.content_similarity
    strides = (h * w * channels, w * channels, channels)
    rows = next((table.shape[0] for table in tables if table is not None), 1)
    length, others = (h, w)[axis], (h, w)[1 - axis]
    return {"x": qkv, **dict(zip(TABLES, tables))}, {
        "batch": n, "others": others, "length": length, "heads": heads, "key_depth": depth, "table_reach": rows // 2,
        "x_batch": strides[0], "x_other": strides[2 - axis], "x_position": strides[1 + axis], "content": int(content),
        "pairs": n * others * length**2,
    }  # fmt: skip


def _forward(attributes: Attributes, *inputs: Any):
    arrays, sizes = _arguments(attributes, *inputs)
    heads, depth = attributes[0], attributes[1].key_depth
    doubles = (2, sizes["length"], depth * (depth + 3) // 2, heads, 2)  # each double as two floats, because not every back end has doubles
    results = {"mean": (3, heads), "variance": (3, heads), "grams": doubles}
    mean, variance, grams = kernel_ops().run("statistics_forward", AxialStatistics, arrays, results, **sizes)
    return (inputs[0], mean, variance), (grams,)


def _backward(attributes: Attributes, inputs, outputs, saved, grads):
    arrays, sizes = _arguments(attributes, *inputs)
    (_, mean, variance), (grad, grad_mean, grad_variance) = outputs, grads
    arrays |= {"mean": mean, "variance": variance, "grad_mean": grad_mean, "grad_variance": grad_variance}
    arrays |= {"grams": saved[0], "grad_from": grad}
    tables = {f"grad_{name}": arrays[name].shape for name in TABLES[:2] if arrays[name] is not None}
    results = {"grad_x": shape_of(inputs[0]), **tables}
    sizes["values"] = math.prod(results["grad_x"])
    filled = dict(zip(results, kernel_ops().run("statistics_backward", AxialStatistics, arrays, results, **sizes)))
    return filled["grad_x"], *(filled.get(f"grad_{name}") for name in TABLES[:2])


def _reference(attributes: Attributes, qkv, *tables: Table):
    """Compute :func:`logit_moments` with `keras.ops` and L x L logits."""
    heads, attention = attributes
    axis, depth, content = attention.axis, attention.key_depth, attention.content_similarity
    q, k, _ = split_parts(qkv, heads, depth, axis)  # (N, O, G, L, D)
    length = qkv.shape[1 + axis]
    n = ops.cast(math.prod(ops.shape(q)[:2]) * length**2, qkv.dtype)
    rows = [None if table is None else gather_table(table, length) for table in tables]  # (T, S, D)
    q, k = (ops.reshape(x, (-1, heads, length, depth)) for x in (q, k))  # (B, G, L, D)
    has_term = (content, *(table is not None for table in rows))
    logits = iter(logit_terms(q, k, (*rows, None), tuple(1 if present else None for present in has_term)))
    terms = [next(logits) if present else None for present in has_term]  # (B, G, T, S) each
    zero = ops.zeros((heads,), qkv.dtype)
    means = [zero if x is None else ops.sum(x, (0, 2, 3)) / n for x in terms]  # (G,) each
    variances = [zero if x is None else ops.sum(ops.square(x - mean[:, None, None]), (0, 2, 3)) / n for x, mean in zip(terms, means)]
    return qkv, ops.stack(means), ops.stack(variances)


def gather_table(table, length: int):
    """Gather the row of each query and key of a whole axis: (2P - 1, D) to (T, S, D)."""
    position = ops.arange(length)
    return ops.take(table, position - position[:, None] + table.shape[0] // 2, axis=0)


MOMENTS = CustomOp(_reference, _forward, _backward)
