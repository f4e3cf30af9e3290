"""Attention weights and retrieval in Keras, shared by the layers and by the reference implementations of the operators.

B' is the batch times the number of windows, G heads, T queries and S keys of a window, D depth of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from axialzoo.ops.keras.tables import HIDDEN, statistics_dtype

Tables = tuple[Any, ...]  # tables of queries, keys and values; None for a missing table


def sum_of(terms: list, visible=None) -> Any:
    """Return the sum of the terms of the logits; it ignores `visible`."""
    return sum(terms[1:], terms[0])


def attention_weights(logits, visible, dtype):
    """Return the softmax over the keys of each query: (B', G, T, S) to (B', G, T, S), in `dtype`.

    Args:
        logits: (B', G, T, S).
        visible: Attention mask, 1 where a query sees the key, else 0, (windows, T, S), bool or numbers; None for no mask.
        dtype: Type of the result; the softmax itself is computed in float32 or better.
    """
    logits = ops.cast(logits, statistics_dtype(dtype))
    if visible is not None:
        shape = ops.shape(logits)
        visible = ops.cast(visible, logits.dtype)[:, None]  # (windows, 1, T, S)
        logits = ops.reshape(logits, (-1, ops.shape(visible)[0], *shape[1:])) + (visible - 1) * HIDDEN  # (B, windows, G, T, S)
        logits = ops.reshape(logits, (-1, *shape[1:]))
    return ops.cast(ops.softmax(logits, axis=-1), dtype)


def retrieve_contents(p, v):
    """Retrieve values: (B', G, T, S), (B', G, S, Dv) to (B', G, T, Dv)."""
    x = flatten_heads(p) @ flatten_heads(v)  # (B'G, T, Dv)
    return ops.reshape(x, (-1, p.shape[1], *ops.shape(x)[1:]))


def retrieve_positions(p, rv):
    """Retrieve rows of the position table of one axis: (B', G, T, S), (T, S, Dv) to (B', G, T, Dv)."""
    x = ops.swapaxes(ops.swapaxes(flatten_heads(p), 0, 1) @ ops.cast(rv, p.dtype), 0, 1)  # (T, B'G, S) (T, S, Dv) -> (B'G, T, Dv)
    return ops.reshape(x, (-1, p.shape[1], *ops.shape(x)[1:]))


def content_similarity(q, k):
    """Compute q_p.k_s: (B, G, T, Dk), (B, G, S, Dk) to (B, G, T, S)."""
    return _by_head(flatten_heads(q) @ ops.swapaxes(flatten_heads(k), 1, 2), q)


def query_similarity(q, rq):
    """Compute q_p.rq[s - p]: (B, G, T, Dk), (T, S, Dk) to (B, G, T, S), as one product per query."""
    return _by_head(ops.swapaxes(ops.swapaxes(flatten_heads(q), 0, 1) @ ops.swapaxes(ops.cast(rq, q.dtype), 1, 2), 0, 1), q)


def key_similarity(k, rk):
    """Compute k_s.rk[s - p]: (B, G, S, Dk), (T, S, Dk) to (B, G, T, S), as one product per key."""
    return _by_head(ops.transpose(ops.swapaxes(flatten_heads(k), 0, 1) @ ops.transpose(ops.cast(rk, k.dtype), (1, 2, 0)), (1, 2, 0)), k)


def attend_along(q, k, v, tables: Tables, scales: tuple, visible, contents: bool, normalise: Callable = sum_of) -> tuple[Any, Any]:
    """Retrieve contents and positions along one axis, (B', G, T, Dv) each, None for a missing term.

    Args:
        q, k, v: (B', G, T, Dk), (B', G, S, Dk) and (B', G, S, Dv).
        tables: Gathered tables of queries, keys and values, (T, S, D) each, or None.
        scales: Factors of q.k, q.rq and k.rk, (G, 1, 1) each; None for a missing term.
        visible: Attention mask of :func:`attention_weights`.
        contents: Whether values are retrieved.
        normalise: Function of the terms, (B', G, T, S) each, and of `visible`; returns the logits.
    """
    p = attention_weights(normalise(logit_terms(q, k, tables, scales), visible), visible, v.dtype)  # (B', G, T, S)
    return retrieve_contents(p, v) if contents else None, None if tables[2] is None else retrieve_positions(p, tables[2])


def logit_terms(q, k, tables: Tables, scales: tuple) -> list:
    """Return the terms of the logits, (B', G, T, S) each: q.k, q.rq and k.rk times their factors; leaves out missing terms."""
    (content_scale, query_scale, key_scale), (rq, rk, _) = scales, tables
    terms = [] if content_scale is None else [content_similarity(q * content_scale, k)]
    if query_scale is not None:
        terms.append(query_similarity(q * query_scale, rq))
    if key_scale is not None:
        terms.append(key_similarity(k * key_scale, rk))
    return terms


def flatten_heads(x):
    """Merge batch and heads: (B, G, L, D) to (BG, L, D)."""
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))


def _by_head(x, like):
    """Split batch and heads again: (BG, T, S) to (B, G, T, S), with the heads of `like`."""
    return ops.reshape(x, (-1, like.shape[1], *ops.shape(x)[1:]))
