"""Position-sensitive axial attention: Axial-DeepLab (arXiv:2003.07853), section 3, equation 4.

    S[p, s] = q_p.k_s + q_p.rq[s - p] + k_s.rk[s - p]        each term batch-normalised per head
    out_p   = sum_s softmax(S)[p, s] (v_s), and the same of rv[s - p], each batch-normalised per channel

One letter for one thing: N batch, H W height and width, B = N times the other axis, G heads, L length of the
attended axis, T queries and S keys of a window, D depth of a head (Dk, Dv), P reach of the position tables.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras
from keras import ops

from axialzoo.keras.attention_inputs import AttentionInputs
from axialzoo.keras.fused_layer import can_train_fused, train_fused
from axialzoo.keras.norm import Activation, statistics_dtype
from axialzoo.keras.projection import PositionAttention
from axialzoo.keras.windows import attention_mask, by_window, seen, table_window, unwindow, window_keys, window_of, window_queries
from axialzoo.ops.keras.inference import attend_folded, serving_kernel
from axialzoo.ops.keras.tables import HIDDEN
from axialzoo.spec import Attention, Norm


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

    def call(self, x, activation: Activation | None = None, training=None):
        pristine = self.is_pristine()
        if pristine and not training and serving_kernel(self, x):
            return attend_folded(self, self.placed(x), self.axis, activation)
        if pristine and training and can_train_fused(self, x, self.axis):
            return train_fused(self, self.placed(x), self.axis, activation)
        x = self._plain(x, training)
        return x if activation is None else activation(x)

    def _plain(self, x, training):
        _, h, w, _ = ops.shape(x)
        inputs = self.inputs_of(x, training)
        if self.is_pristine("norm_similarity"):
            scale = ops.cast(self.similarity_scale(inputs, training), inputs.q.dtype)  # (terms, G)
            out = attend(inputs, scale)  # one (B, G, L, Dv) per value term
        else:
            out = attend(inputs, normalise=functools.partial(self.normalise_logits, training=training))
        return self.sum_terms([self.merge_heads(term, h, w) for term in out], training)  # (N, H, W, V)

    def inputs_of(self, x, training=None) -> AttentionInputs:
        """What the layer attends with, from its input: (N, H, W, C) to queries, keys, values (B, G, L, D) and tables."""
        spec, (_, h, w, _) = self.spec, ops.shape(x)
        x = self.project(self.placed(x), training)  # (N, H, W, 2K+V)
        q, k, v = self.parts_of(x)
        q, k, v = (self.split_heads(part, h, w) for part in (q, k, self.gate("value", v)))  # (B, G, L, D)
        window = window_of((h, w)[self.axis], spec)
        rq, rk, rv = (self.tables_of(name, window) for name in ("query_position", "key_position", "value_position"))
        return AttentionInputs(q, k, v, rq, rk, rv, spec, window)

    def placed(self, x):
        """The input with absolute positions or sines added, where the spec has them: (N, H, W, C) to the same."""
        if self.spec.encoding == "relative":
            return x
        _, h, w, c = ops.shape(x)
        return x + self.position_encoding(c, h, w)  # (H, 1, C) or (1, W, C)

    def position_encoding(self, channels: int, h, w):
        """What absolute positions add to the input: a vector for each row, (H, 1, C), or column, (1, W, C)."""
        return ops.expand_dims(self.axis_encoding("position", (h, w)[self.axis], channels), 1 - self.axis)

    def split_heads(self, x, h, w):
        """Puts heads and the attended axis where `attend` has them: (N, H, W, GD) to (B, G, L, D)."""
        depth = x.shape[-1] // self.spec.heads
        x = ops.reshape(x, (-1, h, w, self.spec.heads, depth))  # (N, H, W, G, D)
        x = ops.transpose(x, (0, 2, 3, 1, 4) if self.axis == 0 else (0, 1, 3, 2, 4))  # (N, W, G, H, D) or (N, H, G, W, D)
        return ops.reshape(x, (-1, self.spec.heads, (h, w)[self.axis], depth))  # (B, G, L, D)

    def merge_heads(self, x, h, w):
        """The way back, to a map: (B, G, L, Dv) to (N, H, W, V)."""
        groups, depth = self.spec.heads, self.spec.value_depth
        x = ops.reshape(x, (-1, w, groups, h, depth) if self.axis == 0 else (-1, h, groups, w, depth))  # (N, W, G, H, D) or (N, H, G, W, D)
        x = ops.transpose(x, (0, 3, 1, 2, 4) if self.axis == 0 else (0, 1, 3, 2, 4))  # (N, H, W, G, D)
        return ops.reshape(x, (-1, h, w, groups * depth))  # (N, H, W, V)

    def tables_of(self, name: str, window):
        """The rows of the table `name` that queries and keys of one window look up: (T, S, D); None where there is no such table."""
        return table_window(self.gate(name, self.table(name)), self.spec, window)

    def similarity_scale(self, inputs: AttentionInputs, training):
        """What each term of the logits is multiplied by, (terms, G); a norm's shift is the same along a softmax row and cancels."""
        if not (training and self.norm_similarity.trainable):
            return self.scale_in_evaluation()
        return self.scale_from_moments(*moments(inputs.similarity_in(statistics_dtype(inputs.q.dtype))))

    def get_config(self) -> dict:
        return {**super().get_config(), "axis": self.axis}


def attend(inputs: AttentionInputs, scale=None, normalise: Callable | None = None) -> list:
    """Softmax attention with relative positions along one axis: with `moments`, all that a fused kernel has to replace.

    Args:
        inputs: Queries, keys, values, tables and windows along one axis.
        scale: (terms, G): factor of each similarity term, in the order of ``spec.similarity``.
        normalise: In the place of `scale`, a function of a list of terms, (B', G, T, S) each, and of the pairs to be seen, to their sum.

    Returns:
        Retrieved contents and retrieved positions, as ``spec.value`` says: each (B, G, L, Dv).
    """
    spec, window, groups, dtype = inputs.spec, inputs.window, inputs.q.shape[1], inputs.v.dtype
    q, k, v = window_queries(inputs.q, window), window_keys(inputs.k, window), window_keys(inputs.v, window)  # (B', G, T or S, D)
    scales = {term: 1 if scale is None else scale[index][:, None, None] for index, term in enumerate(spec.similarity)}  # each (G, 1, 1)
    terms = []
    if "content" in scales:
        terms.append(content_similarity(q * scales["content"], k))  # (B'G, T, S)
    if "query" in scales:
        terms.append(query_similarity(q * scales["query"], inputs.rq))
    if "key" in scales:
        terms.append(key_similarity(k * scales["key"], inputs.rk))
    shape = (-1, groups, window.queries, window.keys)
    if normalise is None:
        logits = sum(terms[1:], terms[0])  # (B'G, T, S)
    else:
        logits = normalise([ops.reshape(term, shape) for term in terms], None if window.whole else attention_mask(window))  # (B', G, T, S)
    logits = ops.cast(logits, statistics_dtype(dtype))
    if not window.whole:
        logits = by_window(logits, groups, window) + (seen(window, logits.dtype)[:, None] - 1) * HIDDEN  # (B, windows, G, T, S)
    p = ops.softmax(ops.reshape(logits, (-1, window.queries, window.keys)), axis=-1)  # (B'G, T, S)
    p = ops.cast(p, dtype)
    out = []
    if "content" in spec.value:
        out.append(p @ _flatten(v))  # (B'G, T, Dv)
    if "position" in spec.value:
        out.append(ops.swapaxes(ops.swapaxes(p, 0, 1) @ ops.cast(inputs.rv, dtype), 0, 1))  # (T, B'G, S) (T, S, Dv) -> (B'G, T, Dv)
    return [unwindow(ops.reshape(x, (-1, groups, window.queries, x.shape[-1])), window) for x in out]


def content_similarity(q, k):
    """q_p.k_s: (B, G, T, Dk), (B, G, S, Dk) to (BG, T, S)."""
    return _flatten(q) @ ops.swapaxes(_flatten(k), 1, 2)


def query_similarity(q, rq):
    """q_p.rq[s - p]: (B, G, T, Dk), (T, S, Dk) to (BG, T, S), as one product per query."""
    return ops.swapaxes(ops.swapaxes(_flatten(q), 0, 1) @ ops.swapaxes(ops.cast(rq, q.dtype), 1, 2), 0, 1)


def key_similarity(k, rk):
    """k_s.rk[s - p]: (B, G, S, Dk), (T, S, Dk) to (BG, T, S), as one product per key."""
    return ops.transpose(ops.swapaxes(_flatten(k), 0, 1) @ ops.transpose(ops.cast(rk, k.dtype), (1, 2, 0)), (1, 2, 0))


def moments(inputs: AttentionInputs):
    """Mean and (biased) variance of each similarity term over batch, queries and keys: (terms, G), and their number n.

    On a whole axis they follow from Gram matrices of the queries, keys and tables, without the L x L logits:
    ``E[(q.k)^2] = sum_b <Q_b^T Q_b, K_b^T K_b> / n``; in windows, from the logits.
    """
    if not inputs.window.whole:
        return _window_moments(inputs)
    q, k = inputs.q, inputs.k
    n = ops.cast(ops.shape(q)[0], q.dtype) * ops.cast(inputs.window.pairs, q.dtype)
    means, squares = [], []
    for term in inputs.spec.similarity:
        if term == "content":
            means.append(ops.sum(ops.sum(q, 2) * ops.sum(k, 2), (0, 2)))  # (B, G, D) -> (G,)
            squares.append(ops.sum(_gram(q) * _gram(k), (0, 2, 3)))  # (B, G, D, D) -> (G,)
            continue
        x, table = (q, inputs.rq) if term == "query" else (k, ops.swapaxes(inputs.rk, 0, 1))  # rows by x's own position: (L, L, D)
        x = ops.transpose(x, (1, 2, 0, 3))  # (G, L, B, D)
        means.append(ops.sum(ops.sum(x, 2) * ops.sum(table, 1), (1, 2)))  # (G, L, D) -> (G,)
        squares.append(ops.sum(_gram(x) * _gram(table), (1, 2, 3)))  # (G, L, D, D) -> (G,)
    mean = ops.stack(means) / n  # (terms, G)
    return mean, ops.relu(ops.stack(squares) / n - ops.square(mean)), n


def _gram(x):
    """The Gram matrix of the rows, x^T x: (..., L, D) to (..., D, D)."""
    return ops.swapaxes(x, -1, -2) @ x


def _window_moments(inputs: AttentionInputs):
    """`moments` from the logits of each window, pairs that are not to be seen left out."""
    spec, window, groups, dtype = inputs.spec, inputs.window, inputs.q.shape[1], inputs.q.dtype
    n = ops.cast(ops.shape(inputs.q)[0], dtype) * ops.cast(window.pairs, dtype)
    q, k = window_queries(inputs.q, window), window_keys(inputs.k, window)  # (B', G, T, Dk), (B', G, S, Dk)
    visible = seen(window, dtype)[:, None]  # (windows, 1, T, S)
    similarity = {
        "content": lambda: content_similarity(q, k),
        "query": lambda: query_similarity(q, inputs.rq),
        "key": lambda: key_similarity(k, inputs.rk),
    }
    means, variances = [], []
    for term in spec.similarity:
        x = by_window(similarity[term](), groups, window)  # (B, windows, G, T, S)
        mean = ops.sum(x * visible, (0, 1, 3, 4)) / n  # (G,)
        centred = (x - mean[:, None, None]) * visible  # (B, windows, G, T, S)
        variances.append(ops.sum(ops.square(centred), (0, 1, 3, 4)) / n)
        means.append(mean)
    return ops.stack(means), ops.stack(variances), n  # (terms, G)


def _flatten(x):
    """Batch and heads as one: (B, G, L, D) to (BG, L, D)."""
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))
