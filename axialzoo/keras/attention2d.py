"""Attention over both axes at once, with relative positions; axial attention approximates it.

The equation is that of :mod:`axialzoo.keras.attention`, with r[s - p] in two halves, one of the rows and one of the columns
between p and s (Stand-Alone Self-Attention, arXiv:1906.05909, section 3.1). Kinds: the whole map ("global"), the
surroundings of each position ("local", the same paper), the windows of a grid ("window", Swin, arXiv:2103.14030).

Letters are those of that module. The queries T and keys S of a window have rows (h) and columns (w): Th x Tw and Sh x Sw.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from axialzoo.keras.attention_inputs import AttentionInputs
from axialzoo.keras.projection import PositionAttention, norm_logits
from axialzoo.keras.windows import (
    attention_mask,
    attention_mask_2d,
    partition_keys,
    partition_queries,
    table_window,
    window_of,
    window_partition_2d,
    window_reverse_2d,
)
from axialzoo.ops.keras.attention import attention_weights, sum_of
from axialzoo.ops.keras.tables import statistics_dtype
from axialzoo.spec.attention import POSITION_TABLES

AXES = ("_height", "_width")


@keras.saving.register_keras_serializable(package="axialzoo")
class Attention2D(PositionAttention):
    """Multi-head attention along both axes of a feature map.

    Args:
        inputs: Channels ``C`` of the input.
        spec: Its architecture; of any kind but ``"axial"``.
        norm: Epsilon and momentum of its norms.

    Shapes:
        ``(N, H, W, C)`` of any height and width to ``(N, H, W, value_channels)``.
    """

    def call(self, x, training=None):
        _, h, w, _ = ops.shape(x)
        inputs = self.make_inputs(x, training)
        out = self.attend(inputs, training)  # one (N, G, H, W, Dv) per value term
        return self.sum_terms([self.merge_heads(term, h, w) for term in out], training)  # (N, H, W, V)

    def attend(self, inputs: AttentionInputs, training) -> list:
        """Retrieve contents and positions, (N, G, H, W, Dv) for each value term."""
        if self.calls_sublayers():
            return attend(inputs, normalise=functools.partial(norm_logits, self.norm_similarity, training=training))
        return attend(inputs, ops.cast(self.similarity_scale(inputs, training), inputs.q.dtype))

    def make_inputs(self, x, training=None) -> AttentionInputs:
        """Return queries, keys and values (N, G, H, W, D) of an input (N, H, W, C), and a pair of position tables for each term."""
        spec, (_, h, w, c) = self.spec, ops.shape(x)
        if spec.encoding != "relative":
            x = x + self.position_encoding(c, h, w)  # (H, W, C)
        x = self.project(x, training)  # (N, H, W, 2K+V)
        q, k, v = self.parts_of(x)
        q, k, v = (self.split_heads(part, h, w) for part in (q, k, self.apply_gate("value", v)))  # (N, G, H, W, D)
        windows = (window_of(h, spec), window_of(w, spec))
        rq, rk, rv = (self.tables_of(name, windows) for name in POSITION_TABLES)
        return AttentionInputs(q, k, v, rq, rk, rv, spec, windows)

    def position_encoding(self, channels: int, h, w):
        """Return the vectors of absolute positions or sines, (H, W, C).

        A learned position is the sum of a row's and a column's vector. Sines take half of the channels for each axis (arXiv:2005.12872,
        appendix A.4).
        """
        if self.spec.encoding == "absolute":
            rows, columns = (
                self.position_encoding_1d("position_height", h, channels),
                self.position_encoding_1d("position_width", w, channels),
            )
            return rows[:, None] + columns
        rows = self.position_encoding_1d("", h, channels - channels // 2)[:, None]  # (H, 1, C / 2)
        columns = self.position_encoding_1d("", w, channels // 2)[None]  # (1, W, C / 2)
        return ops.concatenate([rows + ops.zeros_like(columns[..., :1]), columns + ops.zeros_like(rows[..., :1])], axis=-1)

    def split_heads(self, x, h, w):
        """Move the heads to where `attend` expects them: (N, H, W, GD) to (N, G, H, W, D)."""
        depth = x.shape[-1] // self.spec.heads
        return ops.transpose(ops.reshape(x, (-1, h, w, self.spec.heads, depth)), (0, 3, 1, 2, 4))

    def merge_heads(self, x, h, w):
        """Undo `split_heads`: (N, G, H, W, Dv) to (N, H, W, V)."""
        return ops.reshape(ops.transpose(x, (0, 2, 3, 1, 4)), (-1, h, w, self.spec.value_channels))

    def tables_of(self, name: str, windows):
        """Return the rows of a term's two tables for each query and key of a window, or None where there is no such term.

        The shapes are (Th, Sh, D / 2) of the rows and (Tw, Sw, D / 2) of the columns.
        """
        tables = [self.apply_gate(name, self.position_table(name + axis)) for axis in AXES]
        return None if tables[0] is None else tuple(table_window(table, self.spec, window) for table, window in zip(tables, windows))

    def similarity_scale(self, inputs: AttentionInputs, training):
        """Return the factor of each term of the logits, (terms, G). A norm's shift is the same along a softmax row and cancels."""
        if not (training and self.norm_similarity.trainable):
            return self.scale_in_evaluation()
        return self.scale_from_moments(*moments(inputs.similarity_in(statistics_dtype(inputs.q.dtype))))


def attend(inputs: AttentionInputs, scale=None, normalise: Callable = sum_of) -> list:
    """Attend along both axes with relative positions. A fused kernel would replace this function and `moments`.

    Args:
        inputs: Queries, keys, values, tables and windows over both axes.
        scale: (terms, G): factor of each similarity term, in the order of ``spec.similarity``; None for none.
        normalise: Computes the logits from a list of terms, (B', G, T, S) each, and the mask of visible pairs.

    Returns:
        Retrieved contents and positions, those of them that ``spec.value`` names: each (N, G, H, W, Dv).
    """
    spec, windows, dtype = inputs.spec, inputs.window, inputs.v.dtype
    q = window_partition_2d(inputs.q, windows, partition_queries)  # (B', G, Th, Tw, Dk)
    k, v = (
        window_partition_2d(inputs.k, windows, partition_keys),
        window_partition_2d(inputs.v, windows, partition_keys),
    )  # (B', G, Sh, Sw, D)
    terms = _terms(inputs, q, k, scale)  # (B', G, Th, Tw, Sh, Sw) each
    shape, visible = (-1, *ops.shape(terms[0])[1:]), _mask(windows)
    flat = (*shape[:2], shape[2] * shape[3], shape[4] * shape[5])  # (B', G, T, S)
    p = attention_weights(normalise([ops.reshape(term, flat) for term in terms], visible), visible, dtype)  # (B', G, T, S)
    out = []
    if "content" in spec.value:
        x = p @ _flatten(v)  # (B', G, T, S) (B', G, S, Dv)
        out.append(ops.reshape(x, (*shape[:4], v.shape[-1])))  # (B', G, Th, Tw, Dv)
    if "position" in spec.value:
        p = ops.reshape(p, shape)
        of_rows = ops.einsum("bgtus,tsd->bgtud", ops.sum(p, 5), ops.cast(inputs.rv[0], dtype))
        of_columns = ops.einsum("bgtuv,uvd->bgtud", ops.sum(p, 4), ops.cast(inputs.rv[1], dtype))
        out.append(ops.concatenate([of_rows, of_columns], axis=-1))  # (B', G, Th, Tw, Dv)
    return [window_reverse_2d(x, windows) for x in out]


def _terms(inputs: AttentionInputs, q, k, scale=None) -> list:
    """Return the terms of the logits, (B', G, Th, Tw, Sh, Sw) each, times `scale`, (terms, G), if there is one."""
    of_content, of_query, of_key = inputs.factors(scale, 3)  # (G, 1, 1, 1) each
    terms = [] if of_content is None else [content_similarity(q * of_content, k)]
    if of_query is not None:
        terms.append(query_similarity(q * of_query, inputs.rq))
    if of_key is not None:
        terms.append(key_similarity(k * of_key, inputs.rk))
    return terms


def content_similarity(q, k):
    """Compute q_p.k_s: (B, G, Th, Tw, D), (B, G, Sh, Sw, D) to (B, G, Th, Tw, Sh, Sw)."""
    x = _flatten(q) @ ops.swapaxes(_flatten(k), 2, 3)  # (B, G, T, S)
    return ops.reshape(x, (-1, *ops.shape(q)[1:4], *ops.shape(k)[2:4]))


def query_similarity(q, rq):
    """Compute q_p.rq[s - p] to (B, G, Th, Tw, Sh, Sw): one product per row and one per column, not one per position."""
    rows, columns = query_parts(q, rq)
    return rows[..., None] + columns[..., None, :]


def query_parts(q, rq):
    """Return the summands of q_p.rq[s - p] for rows and for columns: (B, G, Th, Tw, Sh), (B, G, Th, Tw, Sw)."""
    of_rows, of_columns = ops.split(q, 2, axis=-1)  # (B, G, Th, Tw, D / 2)
    rows = ops.einsum("bgtud,tsd->bgtus", of_rows, ops.cast(rq[0], q.dtype))  # (B, G, Th, Tw, Sh)
    return rows, ops.einsum("bgtud,uvd->bgtuv", of_columns, ops.cast(rq[1], q.dtype))  # (B, G, Th, Tw, Sw)


def key_similarity(k, rk):
    """Compute k_s.rk[s - p] to (B, G, Th, Tw, Sh, Sw)."""
    rows, columns = key_parts(k, rk)
    return rows[:, :, :, None] + columns[:, :, None]


def key_parts(k, rk):
    """Return the summands of k_s.rk[s - p] for rows and for columns: (B, G, Th, Sh, Sw), (B, G, Tw, Sh, Sw)."""
    of_rows, of_columns = ops.split(k, 2, axis=-1)  # (B, G, Sh, Sw, D / 2)
    rows = ops.einsum("bgsvd,tsd->bgtsv", of_rows, ops.cast(rk[0], k.dtype))  # (B, G, Th, Sh, Sw)
    return rows, ops.einsum("bgsvd,uvd->bgusv", of_columns, ops.cast(rk[1], k.dtype))  # (B, G, Tw, Sh, Sw)


def moments(inputs: AttentionInputs):
    """Return mean and (biased) variance of each similarity term over batch, queries and keys, (terms, G), and their number n.

    A position term is the sum of a row's and a column's part, whose moments give its own. The content term needs all its logits, unless
    a window is the whole map: then Gram matrices give its moments, as in :func:`axialzoo.keras.attention.moments`.
    """
    windows, dtype = inputs.window, inputs.q.dtype
    n = ops.cast(ops.shape(inputs.q)[0], dtype) * ops.cast(windows[0].pairs, dtype) * ops.cast(windows[1].pairs, dtype)
    q, k = (
        window_partition_2d(inputs.q, windows, partition_queries),
        window_partition_2d(inputs.k, windows, partition_keys),
    )  # (B', G, Th, Tw, Dk), (B', G, Sh, Sw, Dk)
    row_mask, column_mask = (ops.cast(attention_mask(window), dtype) for window in windows)  # (windows, T, S)
    term_moments = []
    for term in inputs.spec.similarity:
        if term == "content":
            term_moments.append(_content_moments(q, k, windows, n))
        elif term == "query":
            term_moments.append(_position_moments(*query_parts(q, inputs.rq), row_mask, column_mask, windows, n))
        else:
            rows, columns = (ops.moveaxis(part, 2, 4) for part in key_parts(k, inputs.rk))  # by the keys' own positions
            term_moments.append(_position_moments(rows, columns, ops.swapaxes(row_mask, 1, 2), ops.swapaxes(column_mask, 1, 2), windows, n))
    means, variances = zip(*term_moments)
    return ops.stack(means), ops.stack(variances), n  # (terms, G)


def _content_moments(q, k, windows, n):
    """Return mean and variance of q_p.k_s, each (G,), from (B', G, Th, Tw, D) and (B', G, Sh, Sw, D)."""
    visible = attention_mask_2d(windows)  # (windows h, windows w, Th, Tw, Sh, Sw)
    if visible is None:
        q, k = _flatten(q), _flatten(k)  # (B, G, T, D), (B, G, S, D)
        mean = ops.sum(ops.sum(q, 2) * ops.sum(k, 2), (0, 2)) / n  # (G,)
        square = ops.sum((ops.swapaxes(q, 2, 3) @ q) * (ops.swapaxes(k, 2, 3) @ k), (0, 2, 3)) / n  # (B, G, D, D) -> (G,)
        return mean, ops.relu(square - ops.square(mean))
    visible = ops.cast(visible, q.dtype)[:, :, None]  # (windows h, windows w, 1, Th, Tw, Sh, Sw)
    x = _by_window(content_similarity(q, k), windows)  # (N, windows h, windows w, G, Th, Tw, Sh, Sw)
    mean = ops.sum(x * visible, (0, 1, 2, 4, 5, 6, 7)) / n  # (G,)
    centred = (x - mean[:, None, None, None, None]) * visible
    return mean, ops.sum(ops.square(centred), (0, 1, 2, 4, 5, 6, 7)) / n


def _position_moments(rows, columns, row_mask, column_mask, windows, n):
    """Return mean and variance, each (G,), of the sum of a row's and a column's part over all visible pairs.

    Args:
        rows: Part of each position (x, y) with each row of the other side, (B', G, X, Y, R).
        columns: Part of each position (x, y) with each column of the other side, (B', G, X, Y, C).
        row_mask: 1 for the rows that are visible from a row, (windows h, X, R).
        column_mask: 1 for the columns that are visible from a column, (windows w, Y, C).
        windows: Of the height and of the width.
        n: Number of visible pairs.
    """
    rows, columns = _by_window(rows, windows), _by_window(columns, windows)  # (N, windows h, windows w, G, X, Y, R or C)
    row_counts, column_counts = ops.sum(row_mask, 2), ops.sum(column_mask, 2)  # number of visible ones: (windows h, X), (windows w, Y)

    def total_of_rows(x):  # each row counts once for each visible column: (G,)
        return ops.einsum("nabgxyr,axr,by->g", x, row_mask, column_counts)

    def total_of_columns(x):
        return ops.einsum("nabgxyc,byc,ax->g", x, column_mask, row_counts)

    mean_of_rows, mean_of_columns = total_of_rows(rows) / n, total_of_columns(columns) / n
    rows, columns = rows - mean_of_rows[:, None, None, None], columns - mean_of_columns[:, None, None, None]
    mixed = ops.einsum("nabgxyr,axr->nabgxy", rows, row_mask) * ops.einsum("nabgxyc,byc->nabgxy", columns, column_mask)
    squares = total_of_rows(ops.square(rows)) + total_of_columns(ops.square(columns)) + 2 * ops.sum(mixed, (0, 1, 2, 4, 5))
    return mean_of_rows + mean_of_columns, squares / n


def _flatten(x):
    """Flatten rows and columns: (B, G, h, w, D) to (B, G, hw, D)."""
    _, g, h, w, d = ops.shape(x)
    return ops.reshape(x, (-1, g, h * w, d))


def _mask(windows):
    """Return the mask of the keys that each query sees, positions of a window in one row: bool, (windows, T, S); None if it sees all."""
    visible = attention_mask_2d(windows)  # (windows h, windows w, Th, Tw, Sh, Sw)
    if visible is None:
        return None
    _, _, *sides = ops.shape(visible)
    shape = (-1, sides[0] * sides[1], sides[2] * sides[3])
    return visible.reshape(shape) if isinstance(visible, np.ndarray) else ops.reshape(visible, shape)


def _by_window(x, windows):
    """Separate batch and windows of the logits: (B', G, Th, Tw, Sh, Sw) to (N, windows h, windows w, G, Th, Tw, Sh, Sw)."""
    return ops.reshape(x, (-1, windows[0].count, windows[1].count, *ops.shape(x)[1:]))
