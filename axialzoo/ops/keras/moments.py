"""Batch statistics of the logits in training on the fused kernel, without L x L tensors."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from axialzoo.ops.attributes import AttentionAttributes
from axialzoo.ops.keras.attention import logit_terms
from axialzoo.ops.keras.dispatch import CustomOp, kernel_ops, shape_of
from axialzoo.ops.keras.inference import Table, split_parts
from axialzoo.ops.kernels.structures import AxialStatistics


def logit_moments(qkv, query_table: Table, key_table: Table, heads: int, form: AttentionAttributes) -> tuple[Any, Any, Any]:
    """Moments of the logits of a whole axis: ask :func:`axialzoo.ops.keras.dispatch.can_train_rows` before.

    Args:
        qkv: (N, H, W, 2K + V), the head index fastest.
        query_table, key_table: (2P - 1, Dk), P at least the axis's length; None where not used.
        heads: G.
        form: Axis, Dk, and whether there is q.k.

    Returns:
        qkv as it came, for what attends, so that its gradient is added up in one place; and mean and biased variance of q.k, q.rq and
        k.rk over batch, queries and keys, (3, G) each, zeros where there is no such term.
    """
    return kernel_ops().operate(MOMENTS, (heads, form), (qkv, query_table, key_table))


def _given(form: tuple[int, AttentionAttributes], qkv, query_table: Table, key_table: Table) -> tuple[dict[str, Any], dict[str, Any]]:
    (heads, attributes), (n, h, w, channels) = form, shape_of(qkv)
    axis, depth, content = attributes.axis, attributes.key_depth, attributes.content_similarity
    strides = (h * w * channels, w * channels, channels)
    rows = next((table.shape[0] for table in (query_table, key_table) if table is not None), 1)
    length, others = (h, w)[axis], (h, w)[1 - axis]
    return {"x": qkv, "query_table": query_table, "key_table": key_table}, {
        "batch": n, "others": others, "length": length, "heads": heads, "key_depth": depth, "table_reach": rows // 2,
        "x_batch": strides[0], "x_other": strides[2 - axis], "x_position": strides[1 + axis], "content": int(content),
        "pairs": n * others * length**2,
    }  # fmt: skip


def _forward(form: tuple[int, AttentionAttributes], *inputs: Any):
    given, sizes = _given(form, *inputs)
    heads, depth = form[0], form[1].key_depth
    doubles = (2, sizes["length"], depth * (depth + 3) // 2, heads, 2)  # each as two floats: not every back end has them
    results = {"mean": (3, heads), "variance": (3, heads), "grams": doubles}
    mean, variance, grams = kernel_ops().run("statistics_forward", AxialStatistics, given, results, **sizes)
    return (inputs[0], mean, variance), (grams,)


def _backward(form: tuple[int, AttentionAttributes], inputs, outputs, kept, grads):
    given, sizes = _given(form, *inputs)
    (_, mean, variance), (grad, grad_mean, grad_variance) = outputs, grads
    given |= {"mean": mean, "variance": variance, "grad_mean": grad_mean, "grad_variance": grad_variance}
    given |= {"grams": kept[0], "grad_from": grad}
    tables = {f"grad_{name}": given[name].shape for name in ("query_table", "key_table") if given[name] is not None}
    results = {"grad_x": shape_of(inputs[0]), **tables}
    sizes["values"] = math.prod(results["grad_x"])
    found = dict(zip(results, kernel_ops().run("statistics_backward", AxialStatistics, given, results, **sizes)))
    return found["grad_x"], found.get("grad_query_table"), found.get("grad_key_table")


def _reference(form: tuple[int, AttentionAttributes], qkv, query_table: Table, key_table: Table):
    """The same of plain operations; L x L logits and all."""
    heads, attributes = form
    axis, depth, content = attributes.axis, attributes.key_depth, attributes.content_similarity
    q, k, _ = split_parts(qkv, heads, depth, axis)  # (N, O, G, L, D)
    length = qkv.shape[1 + axis]
    n = ops.cast(math.prod(ops.shape(q)[:2]) * length**2, qkv.dtype)
    rq, rk = (None if table is None else windowed(table, length) for table in (query_table, key_table))  # (T, S, D)
    q, k = (ops.reshape(x, (-1, heads, length, depth)) for x in (q, k))  # (B, G, L, D)
    there = (content, rq is not None, rk is not None)
    found = iter(logit_terms(q, k, (rq, rk, None), tuple(1 if one else None for one in there)))
    terms = [next(found) if one else None for one in there]  # (B, G, T, S) each
    zero = ops.zeros((heads,), qkv.dtype)
    means = [zero if x is None else ops.sum(x, (0, 2, 3)) / n for x in terms]  # (G,) each
    variances = [zero if x is None else ops.sum(ops.square(x - mean[:, None, None]), (0, 2, 3)) / n for x, mean in zip(terms, means)]
    return qkv, ops.stack(means), ops.stack(variances)


def windowed(table, length: int):
    """The row of each query and key of a whole axis: (2P - 1, D) to (T, S, D)."""
    position = ops.arange(length)
    return ops.take(table, position - position[:, None] + table.shape[0] // 2, axis=0)


MOMENTS = CustomOp(_reference, _forward, _backward)
