"""Position-sensitive axial attention: Axial-DeepLab (arXiv:2003.07853), section 3, equation 4.

    S[p, s] = q_p.k_s + q_p.rq[s - p] + k_s.rk[s - p]        each term batch-normalised per head
    out_p   = sum_s softmax(S)[p, s] (v_s), and the same of rv[s - p], each batch-normalised per channel

One letter for one thing: N batch, H W height and width, B = N times the other axis, G heads, L length of the
attended axis, T queries and S keys of a window, D depth of a head (Dk, Dv), P reach of the position tables.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from axialzoo.ops.torch.attention import attention_weights
from axialzoo.spec import Attention, Norm
from axialzoo.spec.attention import POSITION_TABLES
from axialzoo.torch.attention_inputs import AttentionInputs
from axialzoo.torch.fused_layer import can_train_fused, train_fused
from axialzoo.torch.norm import Activation
from axialzoo.torch.projection import PositionAttention, Table, batch_chunk_size, norm_logits
from axialzoo.torch.sublayers import graph_step
from axialzoo.torch.windows import (
    AnyWindow,
    apply_mask,
    attention_mask,
    partition_keys,
    partition_queries,
    table_window,
    window_of,
    window_reverse,
)


class AxialAttention(PositionAttention):
    """Multi-head attention along one axis of a feature map.

    Args:
        inputs: Channels ``C`` of the input.
        spec: Its architecture.
        norm: Epsilon and momentum of its norms.
        axis: 0 attends along the height, 1 along the width.

    Shapes:
        ``(N, C, H, W)`` of any height and width to ``(N, value_channels, H, W)``, activated where an activation is given.
    """

    def __init__(self, inputs: int, spec: Attention, norm: Norm, axis: int):
        super().__init__(inputs, spec, norm)
        self.axis = axis

    def forward(self, x: Tensor, activation: Activation | None = None) -> Tensor:
        if isinstance(x, torch.fx.Proxy):
            x = graph_step(self, x)
            return x if activation is None else activation(x)
        if not self.calls_sublayers() and can_train_fused(self, x, self.axis):
            return train_fused(self, self.add_position_encoding(x), self.axis, activation)
        size = (-1, x.shape[2], x.shape[3])  # (N, H, W)
        inputs = self.make_inputs(x)
        out = self.attend(inputs)  # one (B, G, L, Dv) per value term
        x = self.sum_terms([self.merge_heads(term, size) for term in out])  # (NHW, V)
        x = x.unflatten(0, size).permute(0, 3, 1, 2)  # (N, V, H, W)
        return x if activation is None else activation(x)

    def attend(self, inputs: AttentionInputs) -> list[Tensor]:
        """Retrieve contents and positions, (B, G, L, Dv) for each value term."""
        if self.calls_sublayers():
            return _attend(inputs, self.norm_similarity)
        return attend(inputs, self.similarity_scale(inputs).to(inputs.q.dtype))

    def make_inputs(self, x: Tensor) -> AttentionInputs:
        """Return queries, keys and values (B, G, L, D) of an input (N, C, H, W), and the position tables."""
        spec, (_, _, h, w) = self.spec, x.shape
        x = self.project(self.add_position_encoding(x).permute(0, 2, 3, 1).flatten(0, 2))  # (NHW, 2K+V)
        q, k, v = x.split((spec.key_channels, spec.key_channels, spec.value_channels), dim=1)
        q, k, v = (self.split_heads(part.unflatten(0, (-1, h, w))) for part in (q, k, self.apply_gate("value", v)))  # (B, G, L, D)
        window = window_of((h, w)[self.axis], spec)
        rq, rk, rv = (self.tables_of(name, window) for name in POSITION_TABLES)
        return AttentionInputs(q, k, v, rq, rk, rv, spec, window)

    def add_position_encoding(self, x: Tensor) -> Tensor:
        """Add absolute positions or sines where the spec has them: (N, C, H, W) to the same."""
        if self.spec.encoding == "relative":
            return x
        _, c, h, w = x.shape
        return x + self.position_encoding(c, h, w)  # (C, H, 1) or (C, 1, W)

    def position_encoding(self, channels: int, h: int, w: int) -> Tensor:
        """Return the vectors of absolute positions or sines: of each row, (C, H, 1), or of each column, (C, 1, W)."""
        return self.position_encoding_1d("position", (h, w)[self.axis], channels).T.unsqueeze(2 - self.axis)

    def split_heads(self, x: Tensor) -> Tensor:
        """Move heads and the attended axis to where `attend` expects them: (N, H, W, GD) to (B, G, L, D)."""
        x = x.unflatten(3, (self.spec.heads, -1))  # (N, H, W, G, D)
        x = x.permute(0, 2, 3, 1, 4) if self.axis == 0 else x.permute(0, 1, 3, 2, 4)  # (N, W, G, H, D) or (N, H, G, W, D)
        return x.flatten(0, 1)  # (B, G, L, D)

    def merge_heads(self, x: Tensor, size: tuple[int, int, int]) -> Tensor:
        """Undo `split_heads`, with a row for each position: (B, G, L, D) to (NHW, G, D), where `size` is (N or -1, H, W)."""
        if torch.compiler.is_exporting():
            x = x.clone(memory_format=torch.contiguous_format)  # a view of another layout would fix the batch size
        x = x.unflatten(0, (-1, size[2 - self.axis]))  # (N, W, G, H, D) or (N, H, G, W, D)
        x = x.permute(0, 3, 1, 2, 4) if self.axis == 0 else x.permute(0, 1, 3, 2, 4)  # (N, H, W, G, D)
        return x.flatten(0, 2)  # (NHW, G, D)

    def tables_of(self, name: str, window: AnyWindow) -> Table:
        """Return the rows of the table `name` for each query and key of a window, (T, S, D), or None where there is no such table."""
        return table_window(self.apply_gate(name, self.position_table(name)), self.spec, window)

    def similarity_scale(self, inputs: AttentionInputs) -> Tensor:
        """Return the factor of each term of the logits, (terms, G). A norm's shift is the same along a softmax row and cancels."""
        if not self.norm_similarity.training:
            return self.scale_in_evaluation()
        with torch.autocast(inputs.q.device.type, enabled=False):
            return self.scale_from_moments(*moments(inputs.similarity_in(self.norm_similarity.weight.dtype)))


def attend(inputs: AttentionInputs, scale: Tensor) -> list[Tensor]:
    """Attend along one axis with relative positions. A fused kernel replaces this function and `moments`.

    Args:
        inputs: Queries, keys, values, tables and windows along one axis.
        scale: (terms, G): factor of each similarity term, in the order of ``spec.similarity``.

    Returns:
        Retrieved contents and positions, those of them that ``spec.value`` names: each (B, G, L, Dv).
    """
    q, k, v, window = inputs.q, inputs.k, inputs.v, inputs.window
    size = batch_chunk_size(q, q.shape[1] * window.count * window.queries * window.keys)
    if size == 0 or size >= len(q):
        return _attend(inputs, scale)
    chunks = zip(q.split(size), k.split(size), v.split(size))
    return concat_chunks([_attend(replace(inputs, q=q, k=k, v=v), scale) for q, k, v in chunks], 0)


def concat_chunks(chunks: list[list[Tensor]], dim: int) -> list[Tensor]:
    """Concatenate the chunks of each value term along `dim`."""
    return [torch.cat([chunk[term] for chunk in chunks], dim) for term in range(len(chunks[0]))]


def _attend(inputs: AttentionInputs, scale: Tensor | nn.Module) -> list[Tensor]:
    """Attend for the whole batch at once. `scale` may be the norm of the logits, which is then called."""
    spec, window, (batch, groups) = inputs.spec, inputs.window, inputs.q.shape[:2]
    q, k, v = partition_queries(inputs.q, window), partition_keys(inputs.k, window), partition_keys(inputs.v, window)  # (B', G, T or S, D)
    if isinstance(scale, nn.Module):
        visible = None if window.whole else attention_mask(window, q.device)  # (windows, T, S)
        terms = [term.unflatten(0, (-1, groups)) for term in _terms(inputs, q, k)]  # each (B', G, T, S)
        logits = norm_logits(scale, terms, visible).flatten(0, 1).to(q.dtype)  # (B'G, T, S)
    else:
        logits = functools.reduce(Tensor.add_, _terms(inputs, q, k, scale))  # in place: the logits take most of the time and memory
    visible = None if window.whole else attention_mask(window, q.device)  # (windows, T, S)
    if visible is not None:
        logits = logits.unflatten(0, (batch, window.count, groups))  # (B, windows, G, T, S)
        visible = visible[:, None]  # (windows, 1, T, S)
    p = attention_weights(logits, visible, v.dtype)
    p = p if visible is None else p.flatten(0, 2)  # (B'G, T, S)
    out = []
    if "content" in spec.value:
        out.append(torch.bmm(p, v.flatten(0, 1)))  # (B'G, T, Dv)
    if "position" in spec.value:
        out.append(torch.bmm(p.transpose(0, 1), inputs.rv.to(p.dtype)).transpose(0, 1))  # (T, B'G, S) (T, S, Dv) -> (B'G, T, Dv)
    return [window_reverse(x.unflatten(0, (-1, groups)), batch, window) for x in out]


def _terms(inputs: AttentionInputs, q: Tensor, k: Tensor, scale: Tensor | None = None) -> Iterator[Tensor]:
    """Yield the terms of the logits in the order of the spec, (B'G, T, S) each, times `scale`, (terms, G), if there is one."""
    for index, term in enumerate(inputs.spec.similarity):
        factor = None if scale is None else scale[index][:, None, None]  # (G, 1, 1)
        x, table = (k, inputs.rk) if term == "key" else (q, inputs.rq)
        x = x if factor is None else x * factor
        yield content_similarity(x, k) if term == "content" else SIMILARITY[term](x, table)


def content_similarity(q: Tensor, k: Tensor) -> Tensor:
    """Compute q_p.k_s: (B, G, T, Dk), (B, G, S, Dk) to (BG, T, S)."""
    return torch.bmm(q.flatten(0, 1), k.flatten(0, 1).transpose(1, 2))


def query_similarity(q: Tensor, rq: Tensor) -> Tensor:
    """Compute q_p.rq[s - p]: (B, G, T, Dk), (T, S, Dk) to (BG, T, S), as one product per query."""
    return torch.bmm(q.flatten(0, 1).transpose(0, 1), rq.to(q.dtype).transpose(1, 2)).transpose(0, 1)


def key_similarity(k: Tensor, rk: Tensor) -> Tensor:
    """Compute k_s.rk[s - p]: (B, G, S, Dk), (T, S, Dk) to (BG, T, S), as one product per key."""
    return torch.bmm(k.flatten(0, 1).transpose(0, 1), rk.to(k.dtype).permute(1, 2, 0)).permute(1, 2, 0)


SIMILARITY = {"query": query_similarity, "key": key_similarity}


def moments(inputs: AttentionInputs) -> tuple[Tensor, Tensor, int]:
    """Return mean and (biased) variance of each similarity term over batch, queries and keys, (terms, G), and their number n.

    On a whole axis they follow from Gram matrices of the queries, keys and tables, without the L x L logits:
    ``E[(q.k)^2] = sum_b <Q_b^T Q_b, K_b^T K_b> / n``; in windows, from the logits.
    """
    if not inputs.window.whole:
        return _window_moments(inputs)
    q, k = inputs.q, inputs.k
    n = q.shape[0] * q.shape[2] ** 2
    means, squares = [], []
    for term in inputs.spec.similarity:
        if term == "content":
            means.append((q.sum(2) * k.sum(2)).sum((0, 2)))  # (B, G, D) -> (G,)
            squares.append(((q.mT @ q) * (k.mT @ k)).sum((0, 2, 3)))  # (B, G, D, D) -> (G,)
            continue
        x, table = (q, inputs.rq) if term == "query" else (k, inputs.rk.transpose(0, 1))  # rows by x's own position: (L, L, D)
        x = x.permute(1, 2, 0, 3)  # (G, L, B, D)
        means.append((x.sum(2) * table.sum(1)).sum((1, 2)))  # (G, L, D) -> (G,)
        squares.append(((x.mT @ x) * (table.mT @ table)).sum((1, 2, 3)))  # (G, L, D, D) -> (G,)
    mean = torch.stack(means) / n  # (terms, G)
    return mean, (torch.stack(squares) / n - mean.square()).clamp(min=0), n


def _window_moments(inputs: AttentionInputs) -> tuple[Tensor, Tensor, int]:
    """Compute `moments` from the logits of each window, without the masked pairs."""
    window, (batch, groups) = inputs.window, inputs.q.shape[:2]
    n = batch * window.pairs
    q, k = partition_queries(inputs.q, window), partition_keys(inputs.k, window)  # (B', G, T, Dk), (B', G, S, Dk)
    means, variances = [], []
    for x in _terms(inputs, q, k):  # (B'G, T, S)
        mean = apply_mask(x, batch, groups, window, 0.0).unflatten(0, (-1, groups)).sum((0, 2, 3)) / n  # (G,)
        centred = x.unflatten(0, (-1, groups)) - mean[:, None, None]  # (B', G, T, S)
        variances.append(
            apply_mask(centred.flatten(0, 1), batch, groups, window, 0.0).square().unflatten(0, (-1, groups)).sum((0, 2, 3)) / n
        )
        means.append(mean)
    return torch.stack(means), torch.stack(variances), n  # (terms, G)
