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
from axialzoo.keras.projection import PositionAttention, norm_logits
from axialzoo.keras.windows import attention_mask, partition_keys, partition_queries, table_window, window_of, window_reverse
from axialzoo.ops.keras.attention import attend_along, logit_terms, sum_of
from axialzoo.ops.keras.inference import fused_inference, kernel_for
from axialzoo.ops.keras.tables import Activation, statistics_dtype
from axialzoo.spec import Attention, Norm
from axialzoo.spec.attention import POSITION_TABLES


@keras.saving.register_keras_serializable(package="axialzoo")
class AxialAttention(PositionAttention):
    """Multi-head attention along one axis of a feature map.

    Args:
        inputs: Channels ``C`` of the input.
        spec: Its architecture.
        norm: Epsilon and momentum of its norms.
        axis: 0 attends along the height, 1 along the width.

    Shapes:
        ``(N, H, W, C)`` of any height and width to ``(N, H, W, value_channels)``.
    """

    def __init__(self, inputs: int, spec: Attention, norm: Norm, axis: int, **kwargs):
        super().__init__(inputs, spec, norm, **kwargs)
        self.axis = axis

    def call(self, x, activation: Activation | None = None, training=None):
        if not self.calls_sublayers():
            if not training and kernel_for(self, x):
                return fused_inference(self, self.add_position_encoding(x), self.axis, activation)
            if training and can_train_fused(self, x, self.axis):
                return train_fused(self, self.add_position_encoding(x), self.axis, activation)
        x = self._forward_plain(x, training)
        return x if activation is None else activation(x)

    def _forward_plain(self, x, training):
        _, h, w, _ = ops.shape(x)
        inputs = self.make_inputs(x, training)
        out = self.attend(inputs, training)  # one (B, G, L, Dv) per value term
        return self.sum_terms([self.merge_heads(term, h, w) for term in out], training)  # (N, H, W, V)

    def attend(self, inputs: AttentionInputs, training) -> list:
        """Retrieve contents and positions, (B, G, L, Dv) for each value term."""
        if self.calls_sublayers():
            return attend(inputs, normalise=functools.partial(norm_logits, self.norm_similarity, training=training))
        return attend(inputs, ops.cast(self.similarity_scale(inputs, training), inputs.q.dtype))

    def make_inputs(self, x, training=None) -> AttentionInputs:
        """Return queries, keys and values (B, G, L, D) of an input (N, H, W, C), and the position tables."""
        spec, (_, h, w, _) = self.spec, ops.shape(x)
        x = self.project(self.add_position_encoding(x), training)  # (N, H, W, 2K+V)
        q, k, v = self.parts_of(x)
        q, k, v = (self.split_heads(part, h, w) for part in (q, k, self.apply_gate("value", v)))  # (B, G, L, D)
        window = window_of((h, w)[self.axis], spec)
        rq, rk, rv = (self.tables_of(name, window) for name in POSITION_TABLES)
        return AttentionInputs(q, k, v, rq, rk, rv, spec, window)

    def add_position_encoding(self, x):
        """Add absolute positions or sines where the spec has them: (N, H, W, C) to the same."""
        if self.spec.encoding == "relative":
            return x
        _, h, w, c = ops.shape(x)
        return x + self.position_encoding(c, h, w)  # (H, 1, C) or (1, W, C)

    def position_encoding(self, channels: int, h, w):
        """Return the vectors of absolute positions or sines: of each row, (H, 1, C), or of each column, (1, W, C)."""
        return ops.expand_dims(self.position_encoding_1d("position", (h, w)[self.axis], channels), 1 - self.axis)

    def split_heads(self, x, h, w):
        """Move heads and the attended axis to where `attend` expects them: (N, H, W, GD) to (B, G, L, D)."""
        depth = x.shape[-1] // self.spec.heads
        x = ops.reshape(x, (-1, h, w, self.spec.heads, depth))  # (N, H, W, G, D)
        x = ops.transpose(x, (0, 2, 3, 1, 4) if self.axis == 0 else (0, 1, 3, 2, 4))  # (N, W, G, H, D) or (N, H, G, W, D)
        return ops.reshape(x, (-1, self.spec.heads, (h, w)[self.axis], depth))  # (B, G, L, D)

    def merge_heads(self, x, h, w):
        """Undo `split_heads`: (B, G, L, Dv) to (N, H, W, V)."""
        groups, depth = self.spec.heads, self.spec.value_depth
        x = ops.reshape(x, (-1, w, groups, h, depth) if self.axis == 0 else (-1, h, groups, w, depth))  # (N, W, G, H, D) or (N, H, G, W, D)
        x = ops.transpose(x, (0, 3, 1, 2, 4) if self.axis == 0 else (0, 1, 3, 2, 4))  # (N, H, W, G, D)
        return ops.reshape(x, (-1, h, w, groups * depth))  # (N, H, W, V)

    def tables_of(self, name: str, window):
        """Return the rows of the table `name` for each query and key of a window, (T, S, D), or None where there is no such table."""
        return table_window(self.apply_gate(name, self.position_table(name)), self.spec, window)

    def similarity_scale(self, inputs: AttentionInputs, training):
        """Return the factor of each term of the logits, (terms, G). A norm's shift is the same along a softmax row and cancels."""
        if not (training and self.norm_similarity.trainable):
            return self.scale_in_evaluation()
        return self.scale_from_moments(*moments(inputs.similarity_in(statistics_dtype(inputs.q.dtype))))

    def get_config(self) -> dict:
        return {**super().get_config(), "axis": self.axis}


def attend(inputs: AttentionInputs, scale=None, normalise: Callable = sum_of) -> list:
    """Attend along one axis with relative positions. A fused kernel replaces this function and `moments`.

    Args:
        inputs: Queries, keys, values, tables and windows along one axis.
        scale: (terms, G): factor of each similarity term, in the order of ``spec.similarity``; None for none.
        normalise: Computes the logits from a list of terms, (B', G, T, S) each, and the mask of visible pairs.

    Returns:
        Retrieved contents and positions, those of them that ``spec.value`` names: each (B, G, L, Dv).
    """
    spec, window = inputs.spec, inputs.window
    q, k, v = partition_queries(inputs.q, window), partition_keys(inputs.k, window), partition_keys(inputs.v, window)  # (B', G, T or S, D)
    terms = attend_along(
        q, k, v, (inputs.rq, inputs.rk, inputs.rv), inputs.factors(scale, 2), None if window.whole else attention_mask(window),
        "content" in spec.value, normalise,
    )  # fmt: skip
    return [window_reverse(x, window) for x in terms if x is not None]


def moments(inputs: AttentionInputs):
    """Return mean and (biased) variance of each similarity term over batch, queries and keys, (terms, G), and their number n.

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
    """Return the Gram matrix of the rows, x^T x: (..., L, D) to (..., D, D)."""
    return ops.swapaxes(x, -1, -2) @ x


def _window_moments(inputs: AttentionInputs):
    """Compute `moments` from the logits of each window, without the masked pairs."""
    window, groups, dtype = inputs.window, inputs.q.shape[1], inputs.q.dtype
    n = ops.cast(ops.shape(inputs.q)[0], dtype) * ops.cast(window.pairs, dtype)
    q, k = partition_queries(inputs.q, window), partition_keys(inputs.k, window)  # (B', G, T, Dk), (B', G, S, Dk)
    visible = ops.cast(attention_mask(window), dtype)[:, None]  # (windows, 1, T, S)
    means, variances = [], []
    for x in logit_terms(q, k, (inputs.rq, inputs.rk, inputs.rv), inputs.factors(None, 2)):
        x = ops.reshape(x, (-1, window.count, groups, window.queries, window.keys))  # (B, windows, G, T, S)
        mean = ops.sum(x * visible, (0, 1, 3, 4)) / n  # (G,)
        centred = (x - mean[:, None, None]) * visible  # (B, windows, G, T, S)
        variances.append(ops.sum(ops.square(centred), (0, 1, 3, 4)) / n)
        means.append(mean)
    return ops.stack(means), ops.stack(variances), n  # (terms, G)
