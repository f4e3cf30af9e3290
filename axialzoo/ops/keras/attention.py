"""The one place, for Keras, where logits become weights and weights retrieve: shared by the layers and by the operators' plain forms.

B' is the batch times the number of windows, G heads, T queries and S keys of a window, D depth of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from axialzoo.ops.keras.tables import HIDDEN, statistics_dtype

Tables = tuple[Any, Any, Any]  # of queries, keys and values; None where there is none


def sum_of(terms: list, visible=None) -> Any:
    """Return the sum of the terms of the logits; which pairs are `visible` does not matter to it."""
    return sum(terms[1:], terms[0])


def attention_weights(logits, visible, dtype):
    """Return the softmax over the keys of each query: (B', G, T, S) to the same, in `dtype`.

    Args:
        logits: (B', G, T, S).
        visible: 1 where a key is to be seen by its query, else 0, (windows, T, S); bool, numbers or None for everywhere.
        dtype: Of the result; the softmax itself is computed in float32 or better.
    """
    logits = ops.cast(logits, statistics_dtype(dtype))
    if visible is not None:
        shape = ops.shape(logits)
        visible = ops.cast(visible, logits.dtype)[:, None]  # (windows, 1, T, S)
        logits = ops.reshape(logits, (-1, ops.shape(visible)[0], *shape[1:])) + (visible - 1) * HIDDEN  # (B, windows, G, T, S)
        logits = ops.reshape(logits, (-1, *shape[1:]))
    return ops.cast(ops.softmax(logits, axis=-1), dtype)


def retrieve_contents(p, v):
    """Return what queries retrieve of the values: (B', G, T, S), (B', G, S, Dv) to (B', G, T, Dv)."""
    x = flatten_heads(p) @ flatten_heads(v)  # (B'G, T, Dv)
    return ops.reshape(x, (-1, p.shape[1], *ops.shape(x)[1:]))


def retrieve_positions(p, rv):
    """Return what queries retrieve of the position table of one axis: (B', G, T, S), (T, S, Dv) to (B', G, T, Dv)."""
    x = ops.swapaxes(ops.swapaxes(flatten_heads(p), 0, 1) @ ops.cast(rv, p.dtype), 0, 1)  # (T, B'G, S) (T, S, Dv) -> (B'G, T, Dv)
    return ops.reshape(x, (-1, p.shape[1], *ops.shape(x)[1:]))


def content_similarity(q, k):
    """q_p.k_s: (B, G, T, Dk), (B, G, S, Dk) to (B, G, T, S)."""
    return _by_head(flatten_heads(q) @ ops.swapaxes(flatten_heads(k), 1, 2), q)


def query_similarity(q, rq):
    """q_p.rq[s - p]: (B, G, T, Dk), (T, S, Dk) to (B, G, T, S), as one product per query."""
    return _by_head(ops.swapaxes(ops.swapaxes(flatten_heads(q), 0, 1) @ ops.swapaxes(ops.cast(rq, q.dtype), 1, 2), 0, 1), q)


def key_similarity(k, rk):
    """k_s.rk[s - p]: (B, G, S, Dk), (T, S, Dk) to (B, G, T, S), as one product per key."""
    return _by_head(ops.transpose(ops.swapaxes(flatten_heads(k), 0, 1) @ ops.transpose(ops.cast(rk, k.dtype), (1, 2, 0)), (1, 2, 0)), k)


def attend_along(q, k, v, tables: Tables, scales: tuple, visible, contents: bool, normalise: Callable = sum_of) -> tuple[Any, Any]:
    """Return the contents and the positions retrieved along one axis, (B', G, T, Dv) each, None for what there is not.

    Args:
        q, k, v: (B', G, T, Dk), (B', G, S, Dk) and (B', G, S, Dv).
        tables: Of queries, keys and values, (T, S, D) each, or None.
        scales: Factors of q.k, q.rq and k.rk, (G, 1, 1) each; None for a term that there is not.
        visible: As :func:`attention_weights` takes it.
        contents: Whether values are retrieved.
        normalise: Makes the logits of their terms, (B', G, T, S) each, and of `visible`.
    """
    p = attention_weights(normalise(logit_terms(q, k, tables, scales), visible), visible, v.dtype)  # (B', G, T, S)
    return retrieve_contents(p, v) if contents else None, None if tables[2] is None else retrieve_positions(p, tables[2])


def logit_terms(q, k, tables: Tables, scales: tuple) -> list:
    """Return the terms of the logits that there are, (B', G, T, S) each: q.k, q.rq and k.rk, each times its factor."""
    (of_content, of_query, of_key), (rq, rk, _) = scales, tables
    terms = [] if of_content is None else [content_similarity(q * of_content, k)]
    if of_query is not None:
        terms.append(query_similarity(q * of_query, rq))
    if of_key is not None:
        terms.append(key_similarity(k * of_key, rk))
    return terms


def flatten_heads(x):
    """Batch and heads as one: (B, G, L, D) to (BG, L, D)."""
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))


def _by_head(x, like):
    """The way back: (BG, T, S) to (B, G, T, S), with as many heads as `like`."""
    return ops.reshape(x, (-1, like.shape[1], *ops.shape(x)[1:]))
