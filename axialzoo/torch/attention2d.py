"""Attention over both axes at once, with relative positions: what axial attention stands in for.

The same equation as :mod:`axialzoo.torch.attention`, with r[s - p] in two halves, one of the rows and one of the columns
between p and s (Stand-Alone Self-Attention, arXiv:1906.05909, section 3.1). Kinds: the whole map ("global"), the
surroundings of each position ("local", the same paper), the windows of a grid ("window", Swin, arXiv:2103.14030).

Letters as there; T and S, queries and keys of a window, have rows (h) and columns (w): Th x Tw and Sh x Sw.
"""

from __future__ import annotations

import torch
from torch import Tensor

from axialzoo.spec import Attention
from axialzoo.spec.window import Window
from axialzoo.torch import attention
from axialzoo.torch.attention import table_window
from axialzoo.torch.projection import PositionAttention, Table, at_once

AXES = ("_height", "_width")
Windows = tuple[Window, Window]  # of the height and of the width


class Attention2D(PositionAttention):
    """Multi-head attention along both axes of a feature map.

    Args:
        inputs: Channels ``C`` of the input.
        spec: What it computes; of any kind but ``"axial"``.
        norm: Epsilon and momentum of its norms.

    Shapes:
        ``(N, C, H, W)`` of any height and width to ``(N, value_channels, H, W)``.
    """

    def forward(self, x: Tensor) -> Tensor:
        spec = self.spec
        size = (-1, x.shape[2], x.shape[3])  # (N, H, W)
        if spec.encoding != "relative":
            x = x + self._encoding(x.shape[1], size[1], size[2])  # (C, H, W)
        x = self._project(x.permute(0, 2, 3, 1).flatten(0, 2))  # (NHW, 2K+V)
        q, k, v = x.split((spec.key_channels, spec.key_channels, spec.value_channels), dim=1)
        q, k, v = (self._split_heads(part.unflatten(0, size)) for part in (q, k, self._gate("value", v)))  # (N, G, H, W, D)
        windows = (Window.of(size[1], spec), Window.of(size[2], spec))
        rq, rk, rv = (self._windows(name, windows) for name in ("query_position", "key_position", "value_position"))
        scale = self._similarity_scale(q, k, rq, rk, windows).to(q.dtype)  # (terms, G)
        out = attend(q, k, v, rq, rk, rv, scale, spec, windows)  # one (N, G, H, W, Dv) per value term
        x = self._sum([self._merge_heads(term) for term in out])  # (NHW, V)
        return x.unflatten(0, size).permute(0, 3, 1, 2)  # (N, V, H, W)

    def _encoding(self, channels: int, h: int, w: int) -> Tensor:
        """Learned: a row's and a column's vector, summed. Sines: half of the channels for each (arXiv:2005.12872, appendix A.4)."""
        if self.spec.encoding == "absolute":
            return self._positions("position_height", h, channels).T[:, :, None] + self._positions("position_width", w, channels).T[:, None]
        rows = self._positions("", h, channels - channels // 2).T[:, :, None].expand(-1, -1, w)  # (C / 2, H, W)
        columns = self._positions("", w, channels // 2).T[:, None].expand(-1, h, -1)  # (C / 2, H, W)
        return torch.cat([rows, columns])

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.unflatten(3, (self.spec.heads, -1)).permute(0, 3, 1, 2, 4)  # (N, H, W, C) to (N, G, H, W, D)

    def _merge_heads(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1, 4).flatten(0, 2)  # (N, G, H, W, D) to (NHW, G, D)

    def _windows(self, name: str, windows: Windows) -> Table:
        """The rows of a term's two tables that queries and keys of one window look up: (Th, Sh, D / 2) and (Tw, Sw, D / 2)."""
        tables = [self._gate(name, self._table(name + axis)) for axis in AXES]
        return None if tables[0] is None else [table_window(table, self.spec, window) for table, window in zip(tables, windows)]

    def _similarity_scale(self, q: Tensor, k: Tensor, rq: Table, rk: Table, windows: Windows) -> Tensor:
        """What each term of the logits is multiplied by; a norm's shift is the same along a softmax row and cancels."""
        if not self.norm_similarity.training:
            return self._scale_in_evaluation()
        dtype = self.norm_similarity.weight.dtype
        q, k = q.to(dtype), k.to(dtype)
        rq, rk = (None if x is None else [table.to(dtype) for table in x] for x in (rq, rk))
        with torch.autocast(q.device.type, enabled=False):
            return self._scale_from_moments(*moments(q, k, rq, rk, self.spec, windows))


def attend(
    q: Tensor, k: Tensor, v: Tensor, rq: Table, rk: Table, rv: Table, scale: Tensor, spec: Attention, windows: Windows
) -> list[Tensor]:
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
    q, k, v = _tile(q, windows, attention._queries), _tile(k, windows, attention._keys), _tile(v, windows, attention._keys)
    pairs = q.shape[0] * q.shape[3] * k.shape[2] * k.shape[3]  # of a head and a row of queries
    heads, rows = at_once(q, pairs * q.shape[2]) or spec.heads, at_once(q, pairs) or q.shape[2]
    parts = []
    for g in range(0, spec.heads, heads):
        some = slice(g, g + heads)
        of_heads = (q[:, some], k[:, some], v[:, some], rq, rk, rv, scale[:, some], spec, windows)
        parts.append(attention._joined([_attend(*of_heads, slice(t, t + rows)) for t in range(0, q.shape[2], rows)], 2))
    return [_untile(x, windows) for x in attention._joined(parts, 1)]


def _attend(q, k, v, rq, rk, rv, scale: Tensor, spec: Attention, windows: Windows, some: slice) -> list[Tensor]:
    """Of the query rows `some`: each (B', G, rows, Tw, Dv)."""
    q = q[:, :, some]
    scales = dict(zip(spec.similarity, scale[:, :, None, None, None]))  # each (G, 1, 1, 1)
    logits = 0.0
    if "content" in scales:
        logits = content_similarity(q * scales["content"], k)  # (B', G, Th, Tw, Sh, Sw)
    if "query" in scales:
        logits = logits + query_similarity(q * scales["query"], _rows(rq, some))
    if "key" in scales:
        logits = logits + key_similarity(k * scales["key"], _rows(rk, some))
    assert isinstance(logits, Tensor)
    seen = _seen(windows, logits.device)
    if seen is not None:
        shape = logits.shape
        logits = logits.unflatten(0, (-1, windows[0].count, windows[1].count))
        logits = logits.masked_fill(~seen[:, :, None, some], torch.finfo(logits.dtype).min).reshape(shape)
    p = torch.softmax(logits.flatten(4), dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32)).to(v.dtype).view_as(logits)
    out = []
    if "content" in spec.value:
        x = p.flatten(4).flatten(2, 3) @ v.flatten(2, 3)  # (B', G, T, S) (B', G, S, Dv)
        out.append(x.unflatten(2, p.shape[2:4]))  # (B', G, Th, Tw, Dv)
    if "position" in spec.value:
        of_rows = torch.einsum("bgtus,tsd->bgtud", p.sum(5), _rows(rv, some)[0].to(p.dtype))
        of_columns = torch.einsum("bgtuv,uvd->bgtud", p.sum(4), rv[1].to(p.dtype))
        out.append(torch.cat([of_rows, of_columns], dim=-1))  # (B', G, Th, Tw, Dv)
    return out


def _rows(tables: list[Tensor], some: slice) -> list[Tensor]:
    return [tables[0][some], tables[1]]


def content_similarity(q: Tensor, k: Tensor) -> Tensor:
    """q_p.k_s: (B, G, Th, Tw, D), (B, G, Sh, Sw, D) to (B, G, Th, Tw, Sh, Sw)."""
    x = q.flatten(2, 3) @ k.flatten(2, 3).mT  # (B, G, T, S)
    return x.unflatten(3, k.shape[2:4]).unflatten(2, q.shape[2:4])


def query_similarity(q: Tensor, rq: list[Tensor]) -> Tensor:
    """q_p.rq[s - p], the same shapes: one product per row and one per column, not one per position."""
    of_rows, of_columns = q.chunk(2, dim=-1)  # (B, G, Th, Tw, D / 2)
    rows = torch.einsum("bgtud,tsd->bgtus", of_rows, rq[0].to(q.dtype))  # (B, G, Th, Tw, Sh)
    columns = torch.einsum("bgtud,uvd->bgtuv", of_columns, rq[1].to(q.dtype))  # (B, G, Th, Tw, Sw)
    return rows[..., None] + columns[..., None, :]


def key_similarity(k: Tensor, rk: list[Tensor]) -> Tensor:
    """k_s.rk[s - p], the same shapes."""
    of_rows, of_columns = k.chunk(2, dim=-1)  # (B, G, Sh, Sw, D / 2)
    rows = torch.einsum("bgsvd,tsd->bgtsv", of_rows, rk[0].to(k.dtype))  # (B, G, Th, Sh, Sw)
    columns = torch.einsum("bgsvd,uvd->bgusv", of_columns, rk[1].to(k.dtype))  # (B, G, Tw, Sh, Sw)
    return rows[:, :, :, None] + columns[:, :, None]


def moments(q: Tensor, k: Tensor, rq: Table, rk: Table, spec: Attention, windows: Windows) -> tuple[Tensor, Tensor, int]:
    """Mean and (biased) variance of each similarity term over batch, queries and keys: (terms, G), and their number n."""
    n = q.shape[0] * windows[0].pairs * windows[1].pairs
    q, k = _tile(q, windows, attention._queries), _tile(k, windows, attention._keys)
    similarity = {
        "content": lambda: content_similarity(q, k),
        "query": lambda: query_similarity(q, rq),
        "key": lambda: key_similarity(k, rk),
    }
    seen = _seen(windows, q.device)  # (windows h, windows w, Th, Tw, Sh, Sw)
    means, variances = [], []
    for term in spec.similarity:
        x = similarity[term]().unflatten(0, (-1, windows[0].count, windows[1].count))  # (N, windows h, windows w, G, Th, Tw, Sh, Sw)
        mean = (x if seen is None else x * seen[:, :, None]).sum((0, 1, 2, 4, 5, 6, 7)) / n  # (G,)
        centred = x - mean.view(-1, 1, 1, 1, 1)
        centred = centred if seen is None else centred * seen[:, :, None]
        variances.append(centred.square().sum((0, 1, 2, 4, 5, 6, 7)) / n)
        means.append(mean)
    return torch.stack(means), torch.stack(variances), n  # (terms, G)


def _tile(x: Tensor, windows: Windows, cut) -> Tensor:
    """(N, G, H, W, D) to the queries or keys of each window, (B', G, Th, Tw, D) with B' = N times windows; `cut` cuts one axis."""
    w, d = x.shape[3:]
    x = cut(x.flatten(3), windows[0]).unflatten(3, (w, d))  # (B, G, Th, W, D)
    x = x.transpose(2, 3)  # (B, G, W, Th, D)
    return cut(x.flatten(3), windows[1]).unflatten(3, (-1, d)).transpose(2, 3)  # (B', G, Th, Tw, D)


def _untile(x: Tensor, windows: Windows) -> Tensor:
    """(B', G, Th, Tw, D) back to (N, G, H, W, D)."""
    d = x.shape[4]
    x = attention._unwindow(x.transpose(2, 3).flatten(3), windows[1]).unflatten(3, (-1, d))  # (B, G, W, Th, D)
    x = x.transpose(2, 3)  # (B, G, Th, W, D)
    return attention._unwindow(x.flatten(3), windows[0]).unflatten(3, (-1, d))  # (N, G, H, W, D)


def _seen(windows: Windows, device) -> Tensor | None:
    """Where a key is to be seen by its query, (windows h, windows w, Th, Tw, Sh, Sw), or None for everywhere."""
    if windows[0].whole and windows[1].whole:
        return None
    rows, columns = (attention._seen(window, device) for window in windows)  # (windows, T, S)
    return rows[:, None, :, None, :, None] & columns[None, :, None, :, None, :]
