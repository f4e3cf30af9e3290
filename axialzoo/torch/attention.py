"""Position-sensitive axial attention: Axial-DeepLab (arXiv:2003.07853), section 3, equation 4.

    S[p, s] = q_p.k_s + q_p.rq[s - p] + k_s.rk[s - p]        each term batch-normalised per head
    out_p   = sum_s softmax(S)[p, s] (v_s), and the same of rv[s - p], each batch-normalised per channel

One letter for one thing: N batch, H W height and width, B = N times the other axis, G heads, L length of the
attended axis, T queries and S keys of a window, D depth of a head (Dk, Dv), P reach of the position tables.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from axialzoo.spec import Attention, Norm
from axialzoo.spec.window import Window
from axialzoo.torch.projection import PositionAttention, Table, at_once, interpolate


class AxialAttention(PositionAttention):
    """Multi-head attention along one axis of a feature map.

    Args:
        inputs: Channels ``C`` of the input.
        spec: What it computes.
        norm: Epsilon and momentum of its norms.
        axis: 0 attends along the height, 1 along the width.

    Shapes:
        ``(N, C, H, W)`` of any height and width to ``(N, value_channels, H, W)``.
    """

    def __init__(self, inputs: int, spec: Attention, norm: Norm, axis: int):
        super().__init__(inputs, spec, norm)
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        spec = self.spec
        size = (-1, x.shape[2], x.shape[3])  # (N, H, W)
        if spec.encoding != "relative":
            x = x + self._encoding(x.shape[1], size[1], size[2])  # (C, H, 1) or (C, 1, W)
        x = self._project(x.permute(0, 2, 3, 1).flatten(0, 2))  # (NHW, 2K+V)
        q, k, v = x.split((spec.key_channels, spec.key_channels, spec.value_channels), dim=1)
        q, k, v = (self._split_heads(part.unflatten(0, size)) for part in (q, k, self._gate("value", v)))  # (B, G, L, D)
        window = Window.of(q.shape[2], spec)
        rq, rk, rv = (self._windows(name, window) for name in ("query_position", "key_position", "value_position"))
        scale = self._similarity_scale(q, k, rq, rk, window).to(q.dtype)  # (terms, G)
        out = attend(q, k, v, rq, rk, rv, scale, spec, window)  # one (B, G, L, Dv) per value term
        x = self._sum([self._merge_heads(term, size) for term in out])  # (NHW, V)
        return x.unflatten(0, size).permute(0, 3, 1, 2)  # (N, V, H, W)

    def _encoding(self, channels: int, h: int, w: int) -> Tensor:
        """What absolute positions add to the input: a vector for each row, (C, H, 1), or column, (C, 1, W)."""
        return self._positions("position", (h, w)[self.axis], channels).T.unsqueeze(2 - self.axis)

    def _split_heads(self, x: Tensor) -> Tensor:
        x = x.unflatten(3, (self.spec.heads, -1))  # (N, H, W, G, D)
        x = x.permute(0, 2, 3, 1, 4) if self.axis == 0 else x.permute(0, 1, 3, 2, 4)  # (N, W, G, H, D) or (N, H, G, W, D)
        return x.flatten(0, 1)  # (B, G, L, D)

    def _merge_heads(self, x: Tensor, size: tuple[int, int, int]) -> Tensor:
        x = x.unflatten(0, (-1, size[2 - self.axis]))  # (N, W, G, H, D) or (N, H, G, W, D)
        x = x.permute(0, 3, 1, 2, 4) if self.axis == 0 else x.permute(0, 1, 3, 2, 4)  # (N, H, W, G, D)
        return x.flatten(0, 2)  # (NHW, G, D)

    def _windows(self, name: str, window: Window) -> Table:
        """The rows of a table that queries and keys of one window look up: (T, S, D)."""
        return table_window(self._gate(name, self._table(name)), self.spec, window)

    def _similarity_scale(self, q: Tensor, k: Tensor, rq: Table, rk: Table, window: Window) -> Tensor:
        """What each term of the logits is multiplied by; a norm's shift is the same along a softmax row and cancels."""
        if not self.norm_similarity.training:
            return self._scale_in_evaluation()
        dtype = self.norm_similarity.weight.dtype
        q, k = q.to(dtype), k.to(dtype)
        rq, rk = (None if x is None else x.to(dtype) for x in (rq, rk))
        with torch.autocast(q.device.type, enabled=False):
            return self._scale_from_moments(*moments(q, k, rq, rk, self.spec, window))


def table_window(table: Table, spec: Attention, window: Window) -> Table:
    """The rows of `table`, (2P-1, D), that queries and keys of one window look up: (T, S, D).

    A window of the table is a few kilobytes, shared by every column and head: one batched product over
    queries then costs half of a product with the whole table, and no skewing of logits.
    """
    if table is None:
        return None
    positions = spec.positions
    if spec.long_axis == "interpolate" and window.length > positions:
        table, positions = interpolate(table, 2 * window.length - 1), window.length  # (2L-1, D)
    far = window.queries - 1 + window.flange  # the largest distance
    pad = far - (positions - 1)
    table = nn.functional.pad(table, (0, 0, pad, pad + 1))  # (2 far + 2, D): cropped, or zeros that are masked later
    return _skew(table, window.queries)[:, : window.keys]  # (T, S, D)


def _skew(rows: Tensor, count: int) -> Tensor:
    """(R, D) to (count, R - 1, D), each shifted by one row against the one before: ``[t, s]`` is row ``s - t + count - 1``.

    Of views alone: the gradient is a sum, not a scatter, which is faster and which torch.compile gets right.
    """
    length, rows = len(rows), rows.expand(count, -1, -1).flatten(0, 1)  # (count R, D)
    return rows[count - 1 : count * length - 1].unflatten(0, (count, -1))


def attend(
    q: Tensor, k: Tensor, v: Tensor, rq: Table, rk: Table, rv: Table, scale: Tensor, spec: Attention, window: Window
) -> list[Tensor]:
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
    step = at_once(q, q.shape[1] * window.count * window.queries * window.keys)
    if step == 0 or step >= len(q):
        return _attend(q, k, v, rq, rk, rv, scale, spec, window)
    parts = zip(q.split(step), k.split(step), v.split(step))
    return _joined([_attend(*part, rq, rk, rv, scale, spec, window) for part in parts], 0)  # pyright: ignore[reportCallIssue]


def _joined(parts: list[list[Tensor]], dim: int) -> list[Tensor]:
    """Of each term, its parts as one."""
    return [torch.cat([part[term] for part in parts], dim) for term in range(len(parts[0]))]


def _attend(
    q: Tensor, k: Tensor, v: Tensor, rq: Table, rk: Table, rv: Table, scale: Tensor, spec: Attention, window: Window
) -> list[Tensor]:
    groups = q.shape[1]
    q, k, v = _queries(q, window), _keys(k, window), _keys(v, window)  # (B', G, T, Dk), (B', G, S, D)
    scales = dict(zip(spec.similarity, scale[:, :, None, None]))  # each (G, 1, 1)
    logits: Any = None
    if "content" in scales:
        logits = _add(logits, content_similarity(q * scales["content"], k))  # (B'G, T, S)
    if "query" in scales:
        logits = _add(logits, query_similarity(q * scales["query"], rq))
    if "key" in scales:
        logits = _add(logits, key_similarity(k * scales["key"], rk))
    logits = _mask(logits, groups, window, torch.finfo(logits.dtype).min)
    p = torch.softmax(logits, dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32)).to(v.dtype)  # (B'G, T, S)
    out = []
    if "content" in spec.value:
        out.append(torch.bmm(p, v.flatten(0, 1)))  # (B'G, T, Dv)
    if "position" in spec.value:
        out.append(torch.bmm(p.transpose(0, 1), rv.to(p.dtype)).transpose(0, 1))  # (T, B'G, S) (T, S, Dv) -> (B'G, T, Dv)
    return [_unwindow(x.unflatten(0, (-1, groups)), window) for x in out]


def _add(total: Tensor | None, term: Tensor) -> Tensor:
    """The sum, in the memory of `total`: logits are what attention spends its time and memory on."""
    return term if total is None else total.add_(term)


def content_similarity(q: Tensor, k: Tensor) -> Tensor:
    """q_p.k_s: (B, G, T, Dk), (B, G, S, Dk) to (BG, T, S)."""
    return torch.bmm(q.flatten(0, 1), k.flatten(0, 1).transpose(1, 2))


def query_similarity(q: Tensor, rq: Tensor) -> Tensor:
    """q_p.rq[s - p]: (B, G, T, Dk), (T, S, Dk) to (BG, T, S), as one product per query."""
    return torch.bmm(q.flatten(0, 1).transpose(0, 1), rq.to(q.dtype).transpose(1, 2)).transpose(0, 1)


def key_similarity(k: Tensor, rk: Tensor) -> Tensor:
    """k_s.rk[s - p]: (B, G, S, Dk), (T, S, Dk) to (BG, T, S), as one product per key."""
    return torch.bmm(k.flatten(0, 1).transpose(0, 1), rk.to(k.dtype).permute(1, 2, 0)).permute(1, 2, 0)


def moments(q: Tensor, k: Tensor, rq: Table, rk: Table, spec: Attention, window: Window) -> tuple[Tensor, Tensor, int]:
    """Mean and (biased) variance of each similarity term over batch, queries and keys: (terms, G), and their number n.

    On a whole axis they follow from Gram matrices of the queries, keys and tables, without the L x L logits:
    ``E[(q.k)^2] = sum_b <Q_b^T Q_b, K_b^T K_b> / n``; in windows, from the logits.
    """
    if not window.whole:
        return _window_moments(q, k, rq, rk, spec, window)
    n = q.shape[0] * q.shape[2] ** 2
    means, squares = [], []
    for term in spec.similarity:
        if term == "content":
            means.append((q.sum(2) * k.sum(2)).sum((0, 2)))  # (B, G, D) -> (G,)
            squares.append(((q.mT @ q) * (k.mT @ k)).sum((0, 2, 3)))  # (B, G, D, D) -> (G,)
            continue
        x, table = (q, rq) if term == "query" else (k, rk.transpose(0, 1))  # rows of the table by x's own position: (L, L, D)
        x = x.permute(1, 2, 0, 3)  # (G, L, B, D)
        means.append((x.sum(2) * table.sum(1)).sum((1, 2)))  # (G, L, D) -> (G,)
        squares.append(((x.mT @ x) * (table.mT @ table)).sum((1, 2, 3)))  # (G, L, D, D) -> (G,)
    mean = torch.stack(means) / n  # (terms, G)
    return mean, (torch.stack(squares) / n - mean.square()).clamp(min=0), n


def _window_moments(q: Tensor, k: Tensor, rq: Table, rk: Table, spec: Attention, window: Window) -> tuple[Tensor, Tensor, int]:
    groups, n = q.shape[1], q.shape[0] * window.pairs
    q, k = _queries(q, window), _keys(k, window)  # (B', G, T, Dk), (B', G, S, Dk)
    similarity = {
        "content": lambda: content_similarity(q, k),
        "query": lambda: query_similarity(q, rq),
        "key": lambda: key_similarity(k, rk),
    }
    means, variances = [], []
    for term in spec.similarity:
        x = similarity[term]()  # (B'G, T, S)
        mean = _mask(x, groups, window, 0.0).unflatten(0, (-1, groups)).sum((0, 2, 3)) / n  # (G,)
        centred = x.unflatten(0, (-1, groups)) - mean[:, None, None]  # (B', G, T, S)
        variances.append(_mask(centred.flatten(0, 1), groups, window, 0.0).square().unflatten(0, (-1, groups)).sum((0, 2, 3)) / n)
        means.append(mean)
    return torch.stack(means), torch.stack(variances), n  # (terms, G)


def _queries(x: Tensor, window: Window) -> Tensor:
    """(B, G, L, D) to the queries of each window, (B', G, T, D) with B' = B times windows."""
    if window.count == 1:
        return x
    x = nn.functional.pad(x, (0, 0, *window.padding))
    return x.unflatten(2, (window.count, window.queries)).transpose(1, 2).flatten(0, 1)


def _keys(x: Tensor, window: Window) -> Tensor:
    """(B, G, L, D) to the keys of each window, (B', G, S, D): its queries' positions and `flange` more on each side."""
    if window.count == 1:
        return x
    before, after = window.padding
    x = nn.functional.pad(x, (0, 0, before + window.flange, after + window.flange))
    return x.unfold(2, window.keys, window.queries).permute(0, 2, 1, 4, 3).flatten(0, 1)


def _unwindow(x: Tensor, window: Window) -> Tensor:
    """(B', G, T, D) back to (B, G, L, D)."""
    if window.count == 1:
        return x
    x = x.unflatten(0, (-1, window.count)).transpose(1, 2).flatten(2, 3)  # (B, G, windows T, D)
    return x[:, :, window.offset : window.offset + window.length]


def _seen(window: Window, device) -> Tensor:
    """Where a key is within reach of its query and neither is past the ends of the axis: (windows, T, S)."""
    start = window.queries * torch.arange(window.count, device=device)[:, None, None] - window.offset  # (windows, 1, 1)
    query = start + torch.arange(window.queries, device=device)[:, None]  # (windows, T, 1)
    key = start + torch.arange(window.keys, device=device) - window.flange  # (windows, 1, S)
    inside = (query >= 0) & (query < window.length) & (key >= 0) & (key < window.length)
    return inside & ((key - query).abs() <= window.reach)


def _mask(x: Tensor, groups: int, window: Window, fill: float) -> Tensor:
    """(B'G, T, S) with `fill` where a key is not to be seen by its query."""
    if window.whole:
        return x
    seen = _seen(window, x.device)[:, None]  # (windows, 1, T, S)
    return x.unflatten(0, (-1, window.count, groups)).masked_fill(~seen, fill).flatten(0, 2)
