"""Attention over both axes at once, with relative positions: what axial attention stands in for.

The same equation as :mod:`axialzoo.keras.attention`, with r[s - p] in two halves, one of the rows and one of the columns
between p and s (Stand-Alone Self-Attention, arXiv:1906.05909, section 3.1). Kinds: the whole map ("global"), the
surroundings of each position ("local", the same paper), the windows of a grid ("window", Swin, arXiv:2103.14030).

Letters as there; T and S, queries and keys of a window, have rows (h) and columns (w): Th x Tw and Sh x Sw.
"""

from __future__ import annotations

import keras
from keras import ops

from axialzoo.keras import attention
from axialzoo.keras.attention import HIDDEN, table_window
from axialzoo.keras.norm import statistics_dtype
from axialzoo.keras.projection import PositionAttention
from axialzoo.keras.window import DynamicWindow
from axialzoo.spec import Attention
from axialzoo.spec.window import Window

AXES = ("_height", "_width")


@keras.saving.register_keras_serializable(package="axialzoo")
class Attention2D(PositionAttention):
    """Multi-head attention along both axes of a feature map.

    Args:
        inputs: Channels ``C`` of the input.
        spec: What it computes; of any kind but ``"axial"``.
        norm: Epsilon and momentum of its norms.

    Shapes:
        ``(N, H, W, C)`` of any height and width to ``(N, H, W, value_channels)``.
    """

    def call(self, x, training=None):
        spec = self.spec
        _, h, w, c = ops.shape(x)
        if spec.encoding != "relative":
            x = x + self._encoding(c, h, w)  # (H, W, C)
        x = self._project(x, training)  # (N, H, W, 2K+V)
        q, k, v = ops.split(x, (spec.key_channels, 2 * spec.key_channels), axis=-1)
        q, k, v = (self._split_heads(part, h, w) for part in (q, k, self._gate("value", v)))  # (N, G, H, W, D)
        windows = tuple(Window.of(side, spec) if isinstance(side, int) else DynamicWindow.of(side, spec) for side in (h, w))
        rq, rk, rv = (self._windows(name, windows) for name in ("query_position", "key_position", "value_position"))
        scale = ops.cast(self._similarity_scale(q, k, rq, rk, windows, training), q.dtype)  # (terms, G)
        out = attend(q, k, v, rq, rk, rv, scale, spec, windows)  # one (N, G, H, W, Dv) per value term
        return self._sum([self._merge_heads(term, h, w) for term in out], training)  # (N, H, W, V)

    def _encoding(self, channels: int, h, w):
        """Learned: a row's and a column's vector, summed. Sines: half of the channels for each (arXiv:2005.12872, appendix A.4)."""
        if self.spec.encoding == "absolute":
            return self._positions("position_height", h, channels)[:, None] + self._positions("position_width", w, channels)
        rows = self._positions("", h, channels - channels // 2)[:, None]  # (H, 1, C / 2)
        columns = self._positions("", w, channels // 2)[None]  # (1, W, C / 2)
        return ops.concatenate([rows + ops.zeros_like(columns[..., :1]), columns + ops.zeros_like(rows[..., :1])], axis=-1)

    def _split_heads(self, x, h, w):
        depth = x.shape[-1] // self.spec.heads
        return ops.transpose(ops.reshape(x, (-1, h, w, self.spec.heads, depth)), (0, 3, 1, 2, 4))  # (N, H, W, C) to (N, G, H, W, D)

    def _merge_heads(self, x, h, w):
        return ops.reshape(ops.transpose(x, (0, 2, 3, 1, 4)), (-1, h, w, self.spec.value_channels))  # (N, G, H, W, D) to (N, H, W, V)

    def _windows(self, name: str, windows):
        """The rows of a term's two tables that queries and keys of one window look up: (Th, Sh, D / 2) and (Tw, Sw, D / 2)."""
        tables = [self._gate(name, self._table(name + axis)) for axis in AXES]
        return None if tables[0] is None else [table_window(table, self.spec, window) for table, window in zip(tables, windows)]

    def _similarity_scale(self, q, k, rq, rk, windows, training):
        """What each term of the logits is multiplied by; a norm's shift is the same along a softmax row and cancels."""
        if not (training and self.norm_similarity.trainable):
            return self._scale_in_evaluation()
        dtype = statistics_dtype(q.dtype)
        q, k = ops.cast(q, dtype), ops.cast(k, dtype)
        rq, rk = (None if x is None else [ops.cast(table, dtype) for table in x] for x in (rq, rk))
        return self._scale_from_moments(*moments(q, k, rq, rk, self.spec, windows))


def attend(q, k, v, rq, rk, rv, scale, spec: Attention, windows) -> list:
    """Softmax attention with relative positions along both axes.

    Args:
        q, k: (N, G, H, W, Dk), v: (N, G, H, W, Dv).
        rq, rk: (Th, Sh, Dk / 2) and (Tw, Sw, Dk / 2), rv the same of Dv; None where not used.
        scale: (terms, G): factor of each similarity term.
        spec: Which terms there are.
        windows: What each query attends to.

    Returns:
        Retrieved contents and retrieved positions, as `spec.value` says: each (N, G, H, W, Dv).
    """
    dtype = v.dtype
    q, k, v = _tile(q, windows, attention._queries), _tile(k, windows, attention._keys), _tile(v, windows, attention._keys)
    scales = {term: scale[index][:, None, None, None] for index, term in enumerate(spec.similarity)}  # each (G, 1, 1, 1)
    logits = 0.0
    if "content" in scales:
        logits = logits + content_similarity(q * scales["content"], k)  # (B', G, Th, Tw, Sh, Sw)
    if "query" in scales:
        logits = logits + query_similarity(q * scales["query"], rq)
    if "key" in scales:
        logits = logits + key_similarity(k * scales["key"], rk)
    logits = ops.cast(logits, statistics_dtype(dtype))
    shape = (-1, *ops.shape(logits)[1:])
    seen = _seen(windows, logits.dtype)
    if seen is not None:
        logits = ops.reshape(_by_window(logits, windows) + (seen - 1) * HIDDEN, shape)
    p = ops.cast(ops.softmax(ops.reshape(logits, (*shape[:4], shape[4] * shape[5])), axis=-1), dtype)  # (B', G, Th, Tw, S)
    out = []
    if "content" in spec.value:
        x = ops.reshape(p, (-1, shape[1], shape[2] * shape[3], shape[4] * shape[5])) @ _flatten(v)  # (B', G, T, S) (B', G, S, Dv)
        out.append(ops.reshape(x, (*shape[:4], v.shape[-1])))  # (B', G, Th, Tw, Dv)
    if "position" in spec.value:
        p = ops.reshape(p, shape)
        of_rows = ops.einsum("bgtus,tsd->bgtud", ops.sum(p, 5), ops.cast(rv[0], dtype))
        of_columns = ops.einsum("bgtuv,uvd->bgtud", ops.sum(p, 4), ops.cast(rv[1], dtype))
        out.append(ops.concatenate([of_rows, of_columns], axis=-1))  # (B', G, Th, Tw, Dv)
    return [_untile(x, windows) for x in out]


def content_similarity(q, k):
    """q_p.k_s: (B, G, Th, Tw, D), (B, G, Sh, Sw, D) to (B, G, Th, Tw, Sh, Sw)."""
    x = _flatten(q) @ ops.swapaxes(_flatten(k), 2, 3)  # (B, G, T, S)
    return ops.reshape(x, (-1, *ops.shape(q)[1:4], *ops.shape(k)[2:4]))


def query_similarity(q, rq):
    """q_p.rq[s - p], the same shapes: one product per row and one per column, not one per position."""
    of_rows, of_columns = ops.split(q, 2, axis=-1)  # (B, G, Th, Tw, D / 2)
    rows = ops.einsum("bgtud,tsd->bgtus", of_rows, ops.cast(rq[0], q.dtype))  # (B, G, Th, Tw, Sh)
    columns = ops.einsum("bgtud,uvd->bgtuv", of_columns, ops.cast(rq[1], q.dtype))  # (B, G, Th, Tw, Sw)
    return rows[..., None] + columns[..., None, :]


def key_similarity(k, rk):
    """k_s.rk[s - p], the same shapes."""
    of_rows, of_columns = ops.split(k, 2, axis=-1)  # (B, G, Sh, Sw, D / 2)
    rows = ops.einsum("bgsvd,tsd->bgtsv", of_rows, ops.cast(rk[0], k.dtype))  # (B, G, Th, Sh, Sw)
    columns = ops.einsum("bgsvd,uvd->bgusv", of_columns, ops.cast(rk[1], k.dtype))  # (B, G, Tw, Sh, Sw)
    return rows[:, :, :, None] + columns[:, :, None]


def moments(q, k, rq, rk, spec: Attention, windows):
    """Mean and (biased) variance of each similarity term over batch, queries and keys: (terms, G), and their number n."""
    n = ops.cast(ops.shape(q)[0], q.dtype) * ops.cast(windows[0].pairs, q.dtype) * ops.cast(windows[1].pairs, q.dtype)
    q, k = _tile(q, windows, attention._queries), _tile(k, windows, attention._keys)
    similarity = {
        "content": lambda: content_similarity(q, k),
        "query": lambda: query_similarity(q, rq),
        "key": lambda: key_similarity(k, rk),
    }
    seen = _seen(windows, q.dtype)  # (windows h, windows w, 1, Th, Tw, Sh, Sw)
    seen = 1.0 if seen is None else seen
    means, variances = [], []
    for term in spec.similarity:
        x = _by_window(similarity[term](), windows)  # (N, windows h, windows w, G, Th, Tw, Sh, Sw)
        mean = ops.sum(x * seen, (0, 1, 2, 4, 5, 6, 7)) / n  # (G,)
        centred = (x - mean[:, None, None, None, None]) * seen
        variances.append(ops.sum(ops.square(centred), (0, 1, 2, 4, 5, 6, 7)) / n)
        means.append(mean)
    return ops.stack(means), ops.stack(variances), n  # (terms, G)


def _tile(x, windows, cut):
    """(N, G, H, W, D) to the queries or keys of each window, (B', G, Th, Tw, D) with B' = N times windows; `cut` cuts one axis."""
    _, g, h, w, d = ops.shape(x)
    x = cut(ops.reshape(x, (-1, g, h, w * d)), windows[0])  # (B, G, Th, W D)
    t = ops.shape(x)[2]
    x = ops.transpose(ops.reshape(x, (-1, g, t, w, d)), (0, 1, 3, 2, 4))  # (B, G, W, Th, D)
    x = cut(ops.reshape(x, (-1, g, w, t * d)), windows[1])  # (B', G, Tw, Th D)
    return ops.transpose(ops.reshape(x, (-1, g, ops.shape(x)[2], t, d)), (0, 1, 3, 2, 4))  # (B', G, Th, Tw, D)


def _untile(x, windows):
    """(B', G, Th, Tw, D) back to (N, G, H, W, D)."""
    _, g, t, u, d = ops.shape(x)
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4)), (-1, g, u, t * d))  # (B', G, Tw, Th D)
    x = attention._unwindow(x, windows[1])  # (B, G, W, Th D)
    w = windows[1].length
    x = ops.transpose(ops.reshape(x, (-1, g, w, t, d)), (0, 1, 3, 2, 4))  # (B, G, Th, W, D)
    x = attention._unwindow(ops.reshape(x, (-1, g, t, w * d)), windows[0])  # (N, G, H, W D)
    return ops.reshape(x, (-1, g, windows[0].length, w, d))


def _seen(windows, dtype):
    """1 where a key is to be seen by its query, else 0: (windows h, windows w, 1, Th, Tw, Sh, Sw), or None for everywhere."""
    if windows[0].whole and windows[1].whole:
        return None
    rows, columns = (attention._seen(window, dtype) for window in windows)  # (windows, T, S)
    return ops.einsum("ats,buv->abtusv", rows, columns)[:, :, None]  # TensorFlow has no broadcast of so many axes


def _by_window(x, windows):
    """(B', G, Th, Tw, Sh, Sw) to (N, windows h, windows w, G, Th, Tw, Sh, Sw)."""
    return ops.reshape(x, (-1, windows[0].count, windows[1].count, *ops.shape(x)[1:]))


def _flatten(x):
    """(B, G, h, w, D) to (B, G, hw, D)."""
    _, g, h, w, d = ops.shape(x)
    return ops.reshape(x, (-1, g, h * w, d))
