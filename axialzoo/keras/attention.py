"""Position-sensitive axial attention: Axial-DeepLab (arXiv:2003.07853), section 3, equation 4.

    S[p, s] = q_p.k_s + q_p.rq[s - p] + k_s.rk[s - p]        each term batch-normalised per head
    out_p   = sum_s softmax(S)[p, s] (v_s), and the same of rv[s - p], each batch-normalised per channel

One letter for one thing: N batch, H W height and width, B = N times the other axis, G heads, L length of the
attended axis, T queries and S keys of a window, D depth of a head (Dk, Dv), P reach of the position tables.
"""

from __future__ import annotations

import keras
from keras import ops

from axialzoo.keras.norm import statistics_dtype
from axialzoo.keras.projection import PositionAttention, interpolate
from axialzoo.keras.window import DynamicWindow, arange, clip
from axialzoo.spec import Attention, Norm
from axialzoo.spec.window import Window

HIDDEN = 1e30  # what is taken from the logit of a key that is not to be seen


@keras.saving.register_keras_serializable(package="axialzoo")
class AxialAttention(PositionAttention):
    """Multi-head attention along one axis of a feature map.

    Args:
        inputs: Channels ``C`` of the input.
        spec: What it computes.
        norm: Epsilon and momentum of its norms.
        axis: 0 attends along the height, 1 along the width.

    Shapes:
        ``(N, H, W, C)`` of any height and width to ``(N, H, W, value_channels)``.
    """

    def __init__(self, inputs: int, spec: Attention, norm: Norm, axis: int, **kwargs):
        super().__init__(inputs, spec, norm, **kwargs)
        self.axis = axis

    def call(self, x, training=None):
        spec = self.spec
        _, h, w, c = ops.shape(x)
        length = (h, w)[self.axis]
        if spec.encoding != "relative":
            x = x + self._encoding(c, h, w)  # (H, 1, C) or (1, W, C)
        x = self._project(x, training)  # (N, H, W, 2K+V)
        q, k, v = ops.split(x, (spec.key_channels, 2 * spec.key_channels), axis=-1)
        q, k, v = (self._split_heads(part, h, w) for part in (q, k, self._gate("value", v)))  # (B, G, L, D)
        window = Window.of(length, spec) if isinstance(length, int) else DynamicWindow.of(length, spec)
        rq, rk, rv = (self._windows(name, window) for name in ("query_position", "key_position", "value_position"))
        scale = ops.cast(self._similarity_scale(q, k, rq, rk, window, training), q.dtype)  # (terms, G)
        out = attend(q, k, v, rq, rk, rv, scale, spec, window)  # one (B, G, L, Dv) per value term
        return self._sum([self._merge_heads(term, h, w) for term in out], training)  # (N, H, W, V)

    def _encoding(self, channels: int, h, w):
        """What absolute positions add to the input: a vector for each row, (H, 1, C), or column, (1, W, C)."""
        return ops.expand_dims(self._positions("position", (h, w)[self.axis], channels), 1 - self.axis)

    def _split_heads(self, x, h, w):
        depth = x.shape[-1] // self.spec.heads
        x = ops.reshape(x, (-1, h, w, self.spec.heads, depth))  # (N, H, W, G, D)
        x = ops.transpose(x, (0, 2, 3, 1, 4) if self.axis == 0 else (0, 1, 3, 2, 4))  # (N, W, G, H, D) or (N, H, G, W, D)
        return ops.reshape(x, (-1, self.spec.heads, (h, w)[self.axis], depth))  # (B, G, L, D)

    def _merge_heads(self, x, h, w):
        groups, depth = self.spec.heads, self.spec.value_depth
        x = ops.reshape(x, (-1, w, groups, h, depth) if self.axis == 0 else (-1, h, groups, w, depth))  # (N, W, G, H, D) or (N, H, G, W, D)
        x = ops.transpose(x, (0, 3, 1, 2, 4) if self.axis == 0 else (0, 1, 3, 2, 4))  # (N, H, W, G, D)
        return ops.reshape(x, (-1, h, w, groups * depth))  # (N, H, W, V)

    def _windows(self, name: str, window):
        """The rows of a table that queries and keys of one window look up: (T, S, D)."""
        return table_window(self._gate(name, self._table(name)), self.spec, window)

    def _similarity_scale(self, q, k, rq, rk, window, training):
        """What each term of the logits is multiplied by; a norm's shift is the same along a softmax row and cancels."""
        if not (training and self.norm_similarity.trainable):
            return self._scale_in_evaluation()
        dtype = statistics_dtype(q.dtype)
        q, k, rq, rk = (None if x is None else ops.cast(x, dtype) for x in (q, k, rq, rk))
        return self._scale_from_moments(*moments(q, k, rq, rk, self.spec, window))

    def get_config(self) -> dict:
        return {**super().get_config(), "axis": self.axis}


def table_window(table, spec: Attention, window):
    """The rows of `table`, (2P-1, D), that queries and keys of one window look up: (T, S, D).

    A window of the table is a few kilobytes, shared by every column and head: one batched product over
    queries then costs half of a product with the whole table, and no skewing of logits.
    """
    if table is None:
        return None
    positions, length = spec.positions, window.length
    table = ops.reshape(table, (2 * positions - 1, -1))  # (2P-1, D); makes TensorFlow's gradient a dense one
    if spec.long_axis == "interpolate" and not (isinstance(length, int) and length <= positions):
        positions = length if isinstance(length, int) else ops.maximum(length, positions)
        table = interpolate(table, 2 * positions - 1)  # (2L-1, D)
    query = arange(window.queries)[:, None]  # (T, 1)
    key = arange(window.keys) - window.flange  # (S,)
    distance = clip(key - query, 1 - positions, positions - 1)  # (T, S); what is clipped here is masked later
    return ops.take(table, distance + positions - 1, axis=0)  # (T, S, D)


def attend(q, k, v, rq, rk, rv, scale, spec: Attention, window) -> list:
    """Softmax attention with relative positions along one axis: all that a fused kernel has to replace.

    Args:
        q, k: (B, G, L, Dk), v: (B, G, L, Dv).
        rq, rk: (T, S, Dk), rv: (T, S, Dv): position tables by query and key of a window; None where not used.
        scale: (terms, G): factor of each similarity term.
        spec: Which terms there are.
        window: What each query attends to.

    Returns:
        Retrieved contents and retrieved positions, as `spec.value` says: each (B, G, L, Dv).
    """
    groups, dtype = q.shape[1], v.dtype
    q, k, v = _queries(q, window), _keys(k, window), _keys(v, window)  # (B', G, T, Dk), (B', G, S, D)
    scales = {term: scale[index][:, None, None] for index, term in enumerate(spec.similarity)}  # each (G, 1, 1)
    logits = 0.0
    if "content" in scales:
        logits = logits + content_similarity(q * scales["content"], k)  # (B'G, T, S)
    if "query" in scales:
        logits = logits + query_similarity(q * scales["query"], rq)
    if "key" in scales:
        logits = logits + key_similarity(k * scales["key"], rk)
    logits = ops.cast(logits, statistics_dtype(dtype))
    if not window.whole:
        logits = _by_window(logits, groups, window) + (_seen(window, logits.dtype)[:, None] - 1) * HIDDEN  # (B, windows, G, T, S)
        logits = ops.reshape(logits, (-1, window.queries, window.keys))
    p = ops.cast(ops.softmax(logits, axis=-1), dtype)  # (B'G, T, S)
    out = []
    if "content" in spec.value:
        out.append(p @ _flatten(v))  # (B'G, T, Dv)
    if "position" in spec.value:
        out.append(ops.swapaxes(ops.swapaxes(p, 0, 1) @ ops.cast(rv, dtype), 0, 1))  # (T, B'G, S) (T, S, Dv) -> (B'G, T, Dv)
    return [_unwindow(ops.reshape(x, (-1, groups, window.queries, x.shape[-1])), window) for x in out]


def content_similarity(q, k):
    """q_p.k_s: (B, G, T, Dk), (B, G, S, Dk) to (BG, T, S)."""
    return _flatten(q) @ ops.swapaxes(_flatten(k), 1, 2)


def query_similarity(q, rq):
    """q_p.rq[s - p]: (B, G, T, Dk), (T, S, Dk) to (BG, T, S), as one product per query."""
    return ops.swapaxes(ops.swapaxes(_flatten(q), 0, 1) @ ops.swapaxes(ops.cast(rq, q.dtype), 1, 2), 0, 1)


def key_similarity(k, rk):
    """k_s.rk[s - p]: (B, G, S, Dk), (T, S, Dk) to (BG, T, S), as one product per key."""
    return ops.transpose(ops.swapaxes(_flatten(k), 0, 1) @ ops.transpose(ops.cast(rk, k.dtype), (1, 2, 0)), (1, 2, 0))


def moments(q, k, rq, rk, spec: Attention, window):
    """Mean and (biased) variance of each similarity term over batch, queries and keys: (terms, G), and their number n.

    On a whole axis they follow from Gram matrices of the queries, keys and tables, without the L x L logits:
    ``E[(q.k)^2] = sum_b <Q_b^T Q_b, K_b^T K_b> / n``; in windows, from the logits.
    """
    if not window.whole:
        return _window_moments(q, k, rq, rk, spec, window)
    n = ops.cast(ops.shape(q)[0], q.dtype) * ops.cast(window.pairs, q.dtype)
    means, squares = [], []
    for term in spec.similarity:
        if term == "content":
            means.append(ops.sum(ops.sum(q, 2) * ops.sum(k, 2), (0, 2)))  # (B, G, D) -> (G,)
            squares.append(ops.sum(_gram(q) * _gram(k), (0, 2, 3)))  # (B, G, D, D) -> (G,)
            continue
        x, table = (q, rq) if term == "query" else (k, ops.swapaxes(rk, 0, 1))  # rows of the table by x's own position: (L, L, D)
        x = ops.transpose(x, (1, 2, 0, 3))  # (G, L, B, D)
        means.append(ops.sum(ops.sum(x, 2) * ops.sum(table, 1), (1, 2)))  # (G, L, D) -> (G,)
        squares.append(ops.sum(_gram(x) * _gram(table), (1, 2, 3)))  # (G, L, D, D) -> (G,)
    mean = ops.stack(means) / n  # (terms, G)
    return mean, ops.relu(ops.stack(squares) / n - ops.square(mean)), n


def _gram(x):
    """(..., L, D) to (..., D, D)."""
    return ops.swapaxes(x, -1, -2) @ x


def _window_moments(q, k, rq, rk, spec: Attention, window):
    groups, n = q.shape[1], ops.cast(ops.shape(q)[0], q.dtype) * ops.cast(window.pairs, q.dtype)
    q, k, seen = _queries(q, window), _keys(k, window), _seen(window, q.dtype)[:, None]  # (B', G, T, Dk), (B', G, S, Dk)
    similarity = {
        "content": lambda: content_similarity(q, k),
        "query": lambda: query_similarity(q, rq),
        "key": lambda: key_similarity(k, rk),
    }
    means, variances = [], []
    for term in spec.similarity:
        x = _by_window(similarity[term](), groups, window)  # (B, windows, G, T, S)
        mean = ops.sum(x * seen, (0, 1, 3, 4)) / n  # (G,)
        centred = (x - mean[:, None, None]) * seen  # (B, windows, G, T, S)
        variances.append(ops.sum(ops.square(centred), (0, 1, 3, 4)) / n)
        means.append(mean)
    return ops.stack(means), ops.stack(variances), n  # (terms, G)


def _queries(x, window):
    """(B, G, L, D) to the queries of each window, (B', G, T, D) with B' = B times windows."""
    if _single(window):
        return x
    groups, depth = x.shape[1], ops.shape(x)[3]
    x = ops.pad(x, ((0, 0), (0, 0), window.padding, (0, 0)))
    x = ops.reshape(x, (-1, groups, window.count, window.queries, depth))
    return ops.reshape(ops.swapaxes(x, 1, 2), (-1, groups, window.queries, depth))


def _keys(x, window):
    """(B, G, L, D) to the keys of each window, (B', G, S, D): its queries' positions and `flange` more on each side."""
    if _single(window):
        return x
    groups, depth = x.shape[1], ops.shape(x)[3]
    before, after = window.padding
    x = ops.pad(x, ((0, 0), (0, 0), (before + window.flange, after + window.flange), (0, 0)))
    positions = window.queries * arange(window.count)[:, None] + arange(window.keys)  # (windows, S)
    x = ops.take(x, positions, axis=2)  # (B, G, windows, S, D)
    return ops.reshape(ops.swapaxes(x, 1, 2), (-1, groups, window.keys, depth))


def _unwindow(x, window):
    """(B', G, T, D) back to (B, G, L, D)."""
    if _single(window):
        return x
    groups, depth = x.shape[1], ops.shape(x)[3]
    x = ops.swapaxes(ops.reshape(x, (-1, window.count, groups, window.queries, depth)), 1, 2)  # (B, G, windows, T, D)
    x = ops.reshape(x, (-1, groups, window.count * window.queries, depth))  # (B, G, windows T, D)
    return x[:, :, window.offset : window.offset + window.length]


def _seen(window, dtype):
    """1 where a key is within reach of its query and neither is past the ends of the axis, else 0: (windows, T, S)."""
    start = window.queries * arange(window.count)[:, None, None] - window.offset  # (windows, 1, 1)
    query = start + arange(window.queries)[:, None]  # (windows, T, 1)
    key = start + arange(window.keys) - window.flange  # (windows, 1, S)
    inside = (query >= 0) & (query < window.length) & (key >= 0) & (key < window.length)
    return ops.cast(inside & (abs(key - query) <= window.reach), dtype)


def _by_window(x, groups: int, window):
    """(B'G, T, S) to (B, windows, G, T, S)."""
    return ops.reshape(x, (-1, window.count, groups, window.queries, window.keys))


def _flatten(x):
    """(B, G, L, D) to (BG, L, D)."""
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))


def _single(window) -> bool:
    return isinstance(window.count, int) and window.count == 1
