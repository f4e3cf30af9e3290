"""Attention over both axes at once, with relative positions; axial attention approximates it.

The equation is that of :mod:`axialzoo.torch.attention`, with r[s - p] in two halves, one of the rows and one of the columns
between p and s (Stand-Alone Self-Attention, arXiv:1906.05909, section 3.1). Kinds: the whole map ("global"), the
surroundings of each position ("local", the same paper), the windows of a grid ("window", Swin, arXiv:2103.14030).

Letters are those of that module. The queries T and keys S of a window have rows (h) and columns (w): Th x Tw and Sh x Sw.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from axialzoo.ops.torch.attention import attention_weights
from axialzoo.spec.attention import POSITION_TABLES
from axialzoo.torch.attention import concat_chunks
from axialzoo.torch.attention_inputs import AttentionInputs
from axialzoo.torch.projection import PositionAttention, Table, batch_chunk_size, norm_logits
from axialzoo.torch.sublayers import leaf_of_graph
from axialzoo.torch.windows import (
    Windows,
    attention_mask,
    attention_mask_2d,
    partition_keys,
    partition_queries,
    table_window,
    window_of,
    window_partition_2d,
    window_reverse_2d,
)

AXES = ("_height", "_width")


class Attention2D(PositionAttention):
    """Multi-head attention along both axes of a feature map.

    Args:
        inputs: Channels ``C`` of the input.
        spec: Its architecture; of any kind but ``"axial"``.
        norm: Epsilon and momentum of its norms.

    Shapes:
        ``(N, C, H, W)`` of any height and width to ``(N, value_channels, H, W)``.
    """

    @leaf_of_graph
    def forward(self, x: Tensor) -> Tensor:
        size = (-1, x.shape[2], x.shape[3])  # (N, H, W)
        inputs = self.make_inputs(x)
        out = self.attend(inputs)  # one (N, G, H, W, Dv) per value term
        x = self.sum_terms([self.merge_heads(term, size) for term in out])  # (NHW, V)
        return x.unflatten(0, size).permute(0, 3, 1, 2)  # (N, V, H, W)

    def attend(self, inputs: AttentionInputs) -> list[Tensor]:
        """Retrieve contents and positions, (N, G, H, W, Dv) for each value term."""
        if self.calls_sublayers():
            return _attend_whole(inputs, self.norm_similarity)
        return attend(inputs, self.similarity_scale(inputs).to(inputs.q.dtype))

    def make_inputs(self, x: Tensor) -> AttentionInputs:
        """Return queries, keys and values (N, G, H, W, D) of an input (N, C, H, W), and a pair of position tables for each term."""
        spec, (_, c, h, w) = self.spec, x.shape
        if spec.encoding != "relative":
            x = x + self.position_encoding(c, h, w)  # (C, H, W)
        x = self.project(x.permute(0, 2, 3, 1).flatten(0, 2))  # (NHW, 2K+V)
        q, k, v = x.split((spec.key_channels, spec.key_channels, spec.value_channels), dim=1)
        q, k, v = (self.split_heads(part.unflatten(0, (-1, h, w))) for part in (q, k, self.apply_gate("value", v)))  # (N, G, H, W, D)
        windows = (window_of(h, spec), window_of(w, spec))
        rq, rk, rv = (self.tables_of(name, windows) for name in POSITION_TABLES)
        return AttentionInputs(q, k, v, rq, rk, rv, spec, windows)

    def position_encoding(self, channels: int, h: int, w: int) -> Tensor:
        """Return the vectors of absolute positions or sines, (C, H, W).

        A learned position is the sum of a row's and a column's vector. Sines take half of the channels for each axis (arXiv:2005.12872,
        appendix A.4).
        """
        if self.spec.encoding == "absolute":
            rows = self.position_encoding_1d("position_height", h, channels)  # (H, C)
            columns = self.position_encoding_1d("position_width", w, channels)  # (W, C)
            return rows.T[:, :, None] + columns.T[:, None]
        rows = self.position_encoding_1d("", h, channels - channels // 2).T[:, :, None].expand(-1, -1, w)  # (C / 2, H, W)
        columns = self.position_encoding_1d("", w, channels // 2).T[:, None].expand(-1, h, -1)  # (C / 2, H, W)
        return torch.cat([rows, columns])

    def split_heads(self, x: Tensor) -> Tensor:
        """Move the heads to where `attend` expects them: (N, H, W, GD) to (N, G, H, W, D)."""
        return x.unflatten(3, (self.spec.heads, -1)).permute(0, 3, 1, 2, 4)

    def merge_heads(self, x: Tensor, size: tuple[int, int, int]) -> Tensor:
        """Undo `split_heads`, with a row for each position: (N, G, H, W, D) to (NHW, G, D). Only an axial layer needs `size`."""
        return x.permute(0, 2, 3, 1, 4).flatten(0, 2)

    def tables_of(self, name: str, windows: Windows) -> Table:
        """Return the rows of a term's two tables for each query and key of a window, or None where there is no such term.

        The shapes are (Th, Sh, D / 2) of the rows and (Tw, Sw, D / 2) of the columns.
        """
        tables = [self.apply_gate(name, self.position_table(name + axis)) for axis in AXES]
        return None if tables[0] is None else tuple(table_window(table, self.spec, window) for table, window in zip(tables, windows))

    def similarity_scale(self, inputs: AttentionInputs) -> Tensor:
        """Return the factor of each term of the logits, (terms, G). A norm's shift is the same along a softmax row and cancels."""
        if not self.norm_similarity.training:
            return self.scale_in_evaluation()
        with torch.autocast(inputs.q.device.type, enabled=False):
            return self.scale_from_moments(*moments(inputs.similarity_in(self.norm_similarity.weight.dtype)))


def attend(inputs: AttentionInputs, scale: Tensor) -> list[Tensor]:
    """Attend along both axes with relative positions. A fused kernel would replace this function and `moments`.

    Args:
        inputs: Queries, keys, values, tables and windows over both axes.
        scale: (terms, G): factor of each similarity term, in the order of ``spec.similarity``.

    Returns:
        Retrieved contents and positions, those of them that ``spec.value`` names: each (N, G, H, W, Dv).
    """
    windows, groups = inputs.window, inputs.spec.heads
    q = window_partition_2d(inputs.q, windows, partition_queries)  # (B', G, Th, Tw, Dk)
    k, v = (window_partition_2d(x, windows, partition_keys) for x in (inputs.k, inputs.v))  # (B', G, Sh, Sw, D)
    pairs = q.shape[0] * q.shape[3] * k.shape[2] * k.shape[3]  # of a head and a row of queries
    cut, batch = replace(inputs, q=q, k=k, v=v), inputs.q.shape[0]
    rows = batch_chunk_size(q, pairs)
    if rows == 0:
        return [window_reverse_2d(x, batch, windows) for x in _attend(cut, scale, slice(None))]
    parts, heads, height = [], batch_chunk_size(q, pairs * q.shape[2]), q.shape[2]
    for g in range(0, groups, heads):
        some = slice(g, g + heads)
        of_heads = replace(cut, q=q[:, some], k=k[:, some], v=v[:, some])
        parts.append(concat_chunks([_attend(of_heads, scale[:, some], slice(t, t + rows)) for t in range(0, height, rows)], 2))
    return [window_reverse_2d(x, batch, windows) for x in concat_chunks(parts, 1)]


def _attend_whole(inputs: AttentionInputs, norm: nn.Module) -> list[Tensor]:
    """Attend for all queries at once, and call the norm of the logits."""
    windows, batch = inputs.window, inputs.q.shape[0]
    q = window_partition_2d(inputs.q, windows, partition_queries)  # (B', G, Th, Tw, Dk)
    k, v = (window_partition_2d(x, windows, partition_keys) for x in (inputs.k, inputs.v))  # (B', G, Sh, Sw, D)
    return [window_reverse_2d(x, batch, windows) for x in _attend(replace(inputs, q=q, k=k, v=v), norm, slice(None))]


def _attend(inputs: AttentionInputs, scale: Tensor | nn.Module, some: slice) -> list[Tensor]:
    """Attend for the query rows `some` of every window: each (B', G, rows, Tw, Dv).

    Args:
        inputs: With q, k and v cut into windows already: (B', G, Th, Tw, Dk), (B', G, Sh, Sw, D).
        scale: (terms, G); or the norm of the logits, which is called.
        some: Slice of the Th rows.
    """
    q, k, v, spec, windows = inputs.q[:, :, some], inputs.k, inputs.v, inputs.spec, inputs.window
    visible = attention_mask_2d(windows, q.device)  # (windows h, windows w, Th, Tw, Sh, Sw)
    if isinstance(scale, nn.Module):
        terms = list(_terms(inputs, q, k, some))
        shown = None if visible is None else visible.flatten(0, 1).flatten(3, 4).flatten(1, 2)  # (windows, T, S)
        logits = norm_logits(scale, [term.flatten(4).flatten(2, 3) for term in terms], shown).to(q.dtype).view_as(terms[0])
    else:
        logits = functools.reduce(Tensor.add, _terms(inputs, q, k, some, scale))  # (B', G, Th, Tw, Sh, Sw)
    shape, logits = logits.shape, logits.flatten(4)  # (B', G, Th, Tw, S)
    if visible is not None:
        logits = logits.unflatten(0, (-1, windows[0].count, windows[1].count))
        visible = visible[:, :, None, some].flatten(5)  # (windows h, windows w, 1, rows, Tw, S)
    p = attention_weights(logits, visible, v.dtype).reshape(shape)
    out = []
    if "content" in spec.value:
        x = p.flatten(4).flatten(2, 3) @ v.flatten(2, 3)  # (B', G, T, S) (B', G, S, Dv)
        out.append(x.unflatten(2, p.shape[2:4]))  # (B', G, Th, Tw, Dv)
    if "position" in spec.value:
        rows, columns = _rows(inputs.rv, some)
        of_rows = torch.einsum("bgtus,tsd->bgtud", p.sum(5), rows.to(p.dtype))
        of_columns = torch.einsum("bgtuv,uvd->bgtud", p.sum(4), columns.to(p.dtype))
        out.append(torch.cat([of_rows, of_columns], dim=-1))  # (B', G, Th, Tw, Dv)
    return out


def _terms(inputs: AttentionInputs, q: Tensor, k: Tensor, some: slice, scale: Tensor | None = None) -> Iterator[Tensor]:
    """Yield the terms of the logits in the order of the spec, (B', G, Th, Tw, Sh, Sw) each, times `scale`, (terms, G), if there is one."""
    for index, term in enumerate(inputs.spec.similarity):
        factor = None if scale is None else scale[index][:, None, None, None]  # (G, 1, 1, 1)
        x, tables = (k, inputs.rk) if term == "key" else (q, inputs.rq)
        x = x if factor is None else x * factor
        yield content_similarity(x, k) if term == "content" else SIMILARITY[term](x, _rows(tables, some))


def _rows(tables: tuple[Tensor, Tensor], some: slice) -> tuple[Tensor, Tensor]:
    """Return a pair of tables for the query rows `some` alone: (Th, Sh, D / 2), (Tw, Sw, D / 2) to (rows, Sh, D / 2), (Tw, Sw, D / 2)."""
    return tables[0][some], tables[1]


def content_similarity(q: Tensor, k: Tensor) -> Tensor:
    """Compute q_p.k_s: (B, G, Th, Tw, D), (B, G, Sh, Sw, D) to (B, G, Th, Tw, Sh, Sw)."""
    x = q.flatten(2, 3) @ k.flatten(2, 3).mT  # (B, G, T, S)
    return x.unflatten(3, k.shape[2:4]).unflatten(2, q.shape[2:4])


def query_similarity(q: Tensor, rq: tuple[Tensor, Tensor]) -> Tensor:
    """Compute q_p.rq[s - p] to (B, G, Th, Tw, Sh, Sw): one product per row and one per column, not one per position."""
    rows, columns = query_parts(q, rq)
    return rows[..., None] + columns[..., None, :]


def query_parts(q: Tensor, rq: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the summands of q_p.rq[s - p] for rows and for columns: (B, G, Th, Tw, Sh), (B, G, Th, Tw, Sw)."""
    of_rows, of_columns = q.chunk(2, dim=-1)  # (B, G, Th, Tw, D / 2)
    rows = torch.einsum("bgtud,tsd->bgtus", of_rows, rq[0].to(q.dtype))  # (B, G, Th, Tw, Sh)
    return rows, torch.einsum("bgtud,uvd->bgtuv", of_columns, rq[1].to(q.dtype))  # (B, G, Th, Tw, Sw)


def key_similarity(k: Tensor, rk: tuple[Tensor, Tensor]) -> Tensor:
    """Compute k_s.rk[s - p] to (B, G, Th, Tw, Sh, Sw)."""
    rows, columns = key_parts(k, rk)
    return rows[:, :, :, None] + columns[:, :, None]


def key_parts(k: Tensor, rk: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the summands of k_s.rk[s - p] for rows and for columns: (B, G, Th, Sh, Sw), (B, G, Tw, Sh, Sw)."""
    of_rows, of_columns = k.chunk(2, dim=-1)  # (B, G, Sh, Sw, D / 2)
    rows = torch.einsum("bgsvd,tsd->bgtsv", of_rows, rk[0].to(k.dtype))  # (B, G, Th, Sh, Sw)
    return rows, torch.einsum("bgsvd,uvd->bgusv", of_columns, rk[1].to(k.dtype))  # (B, G, Tw, Sh, Sw)


SIMILARITY = {"query": query_similarity, "key": key_similarity}


def moments(inputs: AttentionInputs) -> tuple[Tensor, Tensor, int]:
    """Return mean and (biased) variance of each similarity term over batch, queries and keys, (terms, G), and their number n.

    A position term is the sum of a row's and a column's part, whose moments give its own. The content term needs all its logits, unless
    a window is the whole map: then Gram matrices give its moments, as in :func:`axialzoo.torch.attention.moments`.
    """
    windows = inputs.window
    n = inputs.q.shape[0] * windows[0].pairs * windows[1].pairs
    q, k = (
        window_partition_2d(inputs.q, windows, partition_queries),
        window_partition_2d(inputs.k, windows, partition_keys),
    )  # (B', G, Th, Tw, Dk), (B', G, Sh, Sw, Dk)
    row_mask, column_mask = (attention_mask(window, q.device).to(q.dtype) for window in windows)  # (windows, T, S)
    term_moments = []
    for term in inputs.spec.similarity:
        if term == "content":
            term_moments.append(_content_moments(q, k, windows, n))
        elif term == "query":
            term_moments.append(_position_moments(*query_parts(q, inputs.rq), row_mask, column_mask, windows, n))
        else:
            rows, columns = (part.movedim(2, 4) for part in key_parts(k, inputs.rk))  # by the keys' own positions
            term_moments.append(_position_moments(rows, columns, row_mask.mT, column_mask.mT, windows, n))
    means, variances = zip(*term_moments)
    return torch.stack(means), torch.stack(variances), n  # (terms, G)


def _content_moments(q: Tensor, k: Tensor, windows: Windows, n: int) -> tuple[Tensor, Tensor]:
    """Return mean and variance of q_p.k_s, each (G,), from (B', G, Th, Tw, D) and (B', G, Sh, Sw, D)."""
    visible = attention_mask_2d(windows, q.device)  # (windows h, windows w, Th, Tw, Sh, Sw)
    if visible is None:
        q, k = q.flatten(2, 3), k.flatten(2, 3)  # (B, G, T, D), (B, G, S, D)
        mean = (q.sum(2) * k.sum(2)).sum((0, 2)) / n  # (G,)
        square = ((q.mT @ q) * (k.mT @ k)).sum((0, 2, 3)) / n  # (B, G, D, D) -> (G,)
        return mean, (square - mean.square()).clamp(min=0)
    x = content_similarity(q, k).unflatten(0, (-1, windows[0].count, windows[1].count))  # (N, windows h, windows w, G, Th, Tw, Sh, Sw)
    mean = (x * visible[:, :, None]).sum((0, 1, 2, 4, 5, 6, 7)) / n  # (G,)
    centred = (x - mean.view(-1, 1, 1, 1, 1)) * visible[:, :, None]
    return mean, centred.square().sum((0, 1, 2, 4, 5, 6, 7)) / n


def _position_moments(
    rows: Tensor, columns: Tensor, row_mask: Tensor, column_mask: Tensor, windows: Windows, n: int
) -> tuple[Tensor, Tensor]:
    """Return mean and variance, each (G,), of the sum of a row's and a column's part over all visible pairs.

    Args:
        rows: Part of each position (x, y) with each row of the other side, (B', G, X, Y, R).
        columns: Part of each position (x, y) with each column of the other side, (B', G, X, Y, C).
        row_mask: 1 for the rows that are visible from a row, (windows h, X, R).
        column_mask: 1 for the columns that are visible from a column, (windows w, Y, C).
        windows: Of the height and of the width.
        n: Number of visible pairs.
    """
    shape = (-1, windows[0].count, windows[1].count)
    rows, columns = rows.unflatten(0, shape), columns.unflatten(0, shape)  # (N, windows h, windows w, G, X, Y, R or C)
    row_counts, column_counts = row_mask.sum(2), column_mask.sum(2)  # number of visible ones: (windows h, X), (windows w, Y)

    def total_of_rows(x: Tensor) -> Tensor:  # each row counts once for each visible column: (G,)
        return torch.einsum("nabgxyr,axr,by->g", x, row_mask, column_counts)

    def total_of_columns(x: Tensor) -> Tensor:
        return torch.einsum("nabgxyc,byc,ax->g", x, column_mask, row_counts)

    mean_of_rows, mean_of_columns = total_of_rows(rows) / n, total_of_columns(columns) / n
    rows, columns = rows - mean_of_rows[:, None, None, None], columns - mean_of_columns[:, None, None, None]
    mixed = torch.einsum("nabgxyr,axr->nabgxy", rows, row_mask) * torch.einsum("nabgxyc,byc->nabgxy", columns, column_mask)
    squares = total_of_rows(rows.square()) + total_of_columns(columns.square()) + 2 * mixed.sum((0, 1, 2, 4, 5))
    return mean_of_rows + mean_of_columns, squares / n
