"""Position-sensitive axial attention: Axial-DeepLab (arXiv:2003.07853), section 3, equation 4.

    S[p, s] = q_p.k_s + q_p.rq[s - p] + k_s.rk[s - p]        each term batch-normalised per head
    out_p   = sum_s softmax(S)[p, s] (v_s), and the same of rv[s - p], each batch-normalised per channel

One letter for one thing: N batch, H W height and width, B = N times the other axis, G heads, L length of the
attended axis, T queries and S keys of a window, D depth of a head (Dk, Dv), P reach of the position tables.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from axialzoo.keras.linear import Linear
from axialzoo.keras.norm import BatchNorm, Layer, normalise_from_moments, statistics_dtype
from axialzoo.keras.window import DynamicWindow
from axialzoo.spec import Attention, Norm, from_dict, to_dict
from axialzoo.spec.window import Window

HIDDEN = 1e30  # what is taken from the logit of a key that is not to be seen


@keras.saving.register_keras_serializable(package="axialzoo")
class AxialAttention(Layer):
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
        super().__init__(**kwargs)
        self.inputs, self.spec, self.norm, self.axis = inputs, spec, norm, axis
        dtype = self.dtype_policy
        width = 2 * spec.key_channels + spec.value_channels
        initializer = keras.initializers.RandomNormal(stddev=inputs**-0.5)
        self.qkv = Linear(width, use_bias=False, kernel_initializer=initializer, name="qkv", dtype=dtype)
        self.norm_qkv = BatchNorm(width, norm, name="norm_qkv", dtype=dtype)
        self.norm_similarity = BatchNorm(len(spec.similarity) * spec.heads, norm, name="norm_similarity", dtype=dtype)
        self.norm_output = BatchNorm(len(spec.value) * spec.value_channels, norm, name="norm_output", dtype=dtype)

    def build(self, input_shape=None):
        spec = self.spec
        self.qkv.build((None, None, None, self.inputs))
        self.norm_qkv.build()
        self.query_position = self._table("query_position", "query" in spec.similarity, spec.key_depth)
        self.key_position = self._table("key_position", "key" in spec.similarity, spec.key_depth)
        self.norm_similarity.build()
        self.value_position = self._table("value_position", "position" in spec.value, spec.value_depth)
        self.norm_output.build()

    def _table(self, name: str, wanted: bool, depth: int):
        initializer = keras.initializers.RandomNormal(stddev=self.spec.value_depth**-0.5)
        return self.add_weight(name=name, shape=(self.spec.rows, depth), initializer=initializer) if wanted else None

    def call(self, x, training=None):
        spec = self.spec
        _, h, w, _ = ops.shape(x)
        x = self._project(x, training)  # (N, H, W, 2K+V)
        q, k, v = ops.split(x, (spec.key_channels, 2 * spec.key_channels), axis=-1)
        q, k, v = self._split_heads(q, h, w), self._split_heads(k, h, w), self._split_heads(v, h, w)  # (B, G, L, D)
        length = (h, w)[self.axis]
        window = Window.of(length, spec.reach(length)) if isinstance(length, int) else DynamicWindow.of(length, spec)
        rq, rk, rv = (self._windows(table, length, window) for table in (self.query_position, self.key_position, self.value_position))
        scale = ops.cast(self._similarity_scale(q, k, rq, rk, window, training), q.dtype)  # (terms, G)
        out = attend(q, k, v, rq, rk, rv, scale, spec, window)  # one (B, G, L, Dv) per value term
        return self._sum([self._merge_heads(term, h, w) for term in out], training)  # (N, H, W, V)

    def _project(self, x, training):
        """(N, H, W, C) to normalised queries, keys and values, (N, H, W, 2K+V)."""
        return self.norm_qkv(self.qkv(x), training=training)

    def _sum(self, terms: list, training):
        """Retrieved contents and positions, each (N, H, W, V), to the sum of their norms, (N, H, W, V)."""
        x = self.norm_output(ops.concatenate(terms, axis=-1), training=training)  # (N, H, W, terms V)
        return sum(ops.split(x, len(terms), axis=-1)) if len(terms) > 1 else x

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

    def _windows(self, table, length, window):
        """The rows of `table` that queries and keys of one window look up: (T, S, D).

        A window of the table is a few kilobytes, shared by every column and head: one batched product over
        queries then costs half of a product with the whole table, and no skewing of logits.
        """
        if table is None:
            return None
        positions = self.spec.positions
        table = ops.reshape(ops.convert_to_tensor(table), (2 * positions - 1, -1))  # (2P-1, D); makes TensorFlow's gradient a dense one
        if self.spec.long_axis == "interpolate" and not (isinstance(length, int) and length <= positions):
            positions = length if isinstance(length, int) else ops.maximum(length, positions)
            table = interpolate(table, 2 * positions - 1)  # (2L-1, D)
        query = arange(window.queries)[:, None]  # (T, 1)
        key = arange(window.keys) - window.flange  # (S,)
        distance = clip(key - query, 1 - positions, positions - 1)  # (T, S); what is clipped here is masked later
        return ops.take(table, distance + positions - 1, axis=0)  # (T, S, D)

    def _similarity_scale(self, q, k, rq, rk, window, training):
        """What each term of the logits is multiplied by; a norm's shift is the same along a softmax row and cancels."""
        norm = self.norm_similarity
        if training and norm.trainable:
            dtype = statistics_dtype(q.dtype)
            q, k, rq, rk = (None if x is None else ops.cast(x, dtype) for x in (q, k, rq, rk))
            mean, variance, n = moments(q, k, rq, rk, self.spec, window)
            scale = normalise_from_moments(norm, ops.reshape(mean, (-1,)), ops.reshape(variance, (-1,)), n)
        else:
            scale = norm.scale()
        return ops.reshape(scale, (-1, self.spec.heads))  # (terms, G)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.spec.value_channels)

    def get_config(self) -> dict:
        config = {"inputs": self.inputs, "spec": to_dict(self.spec), "norm": to_dict(self.norm), "axis": self.axis}
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict):
        return super().from_config({**config, "spec": from_dict(Attention, config["spec"]), "norm": from_dict(Norm, config["norm"])})


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
    groups, length, dtype = q.shape[1], window.length, v.dtype
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
        logits = _by_window(logits, groups, window) + (_seen(window, logits.dtype) - 1) * HIDDEN  # (B, windows, G, T, S)
        logits = ops.reshape(logits, (-1, window.queries, window.keys))
    p = ops.cast(ops.softmax(logits, axis=-1), dtype)  # (B'G, T, S)
    out = []
    if "content" in spec.value:
        out.append(p @ _flatten(v))  # (B'G, T, Dv)
    if "position" in spec.value:
        out.append(ops.swapaxes(ops.swapaxes(p, 0, 1) @ ops.cast(rv, dtype), 0, 1))  # (T, B'G, S) (T, S, Dv) -> (B'G, T, Dv)
    return [_unwindow(ops.reshape(x, (-1, groups, window.queries, x.shape[-1])), window, length) for x in out]


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
    q, k, seen = _queries(q, window), _keys(k, window), _seen(window, q.dtype)  # (B', G, T, Dk), (B', G, S, Dk)
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
    groups, depth = x.shape[1], x.shape[3]
    x = ops.pad(x, ((0, 0), (0, 0), (0, window.count * window.queries - window.length), (0, 0)))
    x = ops.reshape(x, (-1, groups, window.count, window.queries, depth))
    return ops.reshape(ops.swapaxes(x, 1, 2), (-1, groups, window.queries, depth))


def _keys(x, window):
    """(B, G, L, D) to the keys of each window, (B', G, S, D): its queries' positions and `flange` more on each side."""
    if _single(window):
        return x
    flange, groups, depth = window.flange, x.shape[1], x.shape[3]
    x = ops.pad(x, ((0, 0), (0, 0), (flange, window.count * window.queries - window.length + flange), (0, 0)))
    positions = window.queries * arange(window.count)[:, None] + arange(window.keys)  # (windows, S)
    x = ops.take(x, positions, axis=2)  # (B, G, windows, S, D)
    return ops.reshape(ops.swapaxes(x, 1, 2), (-1, groups, window.keys, depth))


def _unwindow(x, window, length):
    """(B', G, T, D) back to (B, G, L, D)."""
    if _single(window):
        return x
    groups, depth = x.shape[1], x.shape[3]
    x = ops.swapaxes(ops.reshape(x, (-1, window.count, groups, window.queries, depth)), 1, 2)  # (B, G, windows, T, D)
    x = ops.reshape(x, (-1, groups, window.count * window.queries, depth))  # (B, G, windows T, D)
    return x[:, :, :length]


def _seen(window, dtype):
    """1 where a key is within reach of its query and neither is past the ends of the axis, else 0: (windows, 1, T, S)."""
    start = window.queries * arange(window.count)[:, None, None]  # (windows, 1, 1)
    query = start + arange(window.queries)[:, None]  # (windows, T, 1)
    key = start + arange(window.keys) - window.flange  # (windows, 1, S)
    seen = (abs(key - query) <= window.reach) & (key >= 0) & (key < window.length) & (query < window.length)  # (windows, T, S)
    return ops.cast(seen[:, None], dtype)


def _by_window(x, groups: int, window):
    """(B'G, T, S) to (B, windows, G, T, S)."""
    return ops.reshape(x, (-1, window.count, groups, window.queries, window.keys))


def _flatten(x):
    """(B, G, L, D) to (BG, L, D)."""
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))


def interpolate(table, rows):
    """(2P-1, D) to (rows, D): linear, the end rows kept."""
    last = table.shape[0] - 1
    if isinstance(rows, int):
        place = np.arange(rows) * (last / max(rows - 1, 1))  # (rows,)
        low = np.minimum(place.astype("int32"), max(last - 1, 0))
        share = ops.cast((place - low)[:, None], table.dtype)  # (rows, 1)
    else:
        place = ops.cast(ops.arange(rows), statistics_dtype(table.dtype)) * (
            last / ops.cast(ops.maximum(rows - 1, 1), statistics_dtype(table.dtype))
        )
        low = ops.minimum(ops.cast(place, "int32"), max(last - 1, 0))
        share = ops.cast((place - ops.cast(low, place.dtype))[:, None], table.dtype)
    high = low + 1 if last else low
    return ops.take(table, low, axis=0) * (1 - share) + ops.take(table, high, axis=0) * share


def _single(window) -> bool:
    return isinstance(window.count, int) and window.count == 1


def arange(count):
    """Whole numbers below `count`: in numpy, hence constants, where it is known before the model runs."""
    return np.arange(count, dtype="int32") if isinstance(count, int) else ops.arange(count, dtype="int32")


def clip(x, low, high):
    return np.clip(x, low, high) if isinstance(x, np.ndarray) and isinstance(high, int) else ops.clip(x, low, high)
