"""Attention along one axis, forward: a program takes B queries of some heads of one line and walks over the keys that they reach."""

from __future__ import annotations

import triton
import triton.language as tl

from axialzoo.ops.kernels.gpu.tile import logits, of_distances, product, rows, windows, write_rows


@triton.jit
def forward_kernel(
    x, query_table, key_table, value_table, scales, position_scale, shift, out, normaliser,
    others, length, reach, far, x_batch, x_other, x_position, out_batch, out_other, out_position,
    heads: tl.constexpr, key_depth: tl.constexpr, value_depth: tl.constexpr,
    x_depth: tl.constexpr, key_head: tl.constexpr, value_head: tl.constexpr,
    out_depth: tl.constexpr, out_head: tl.constexpr, positions_at: tl.constexpr,
    CONTENT: tl.constexpr, QUERY: tl.constexpr, KEY: tl.constexpr, CONTENT_VALUE: tl.constexpr, POSITION_VALUE: tl.constexpr,
    FOLDED: tl.constexpr, RELU: tl.constexpr,
    HEADS: tl.constexpr, B: tl.constexpr, DK: tl.constexpr, DV: tl.constexpr,
    TYPE: tl.constexpr, UNIT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute attention along one axis. Grid: lines times groups of HEADS heads, tiles of queries.

    Args:
        x: Projected rows: queries, then keys, then values; its strides are those of N, O, L and D, and of G in keys and in values.
        query_table, key_table: (2 far + 1, Dk), value_table: (2 far + 1, Dv), contiguous; any pointer where there is no such term.
        scales: (3, G): factors of q.k, q.rq and k.rk.
        position_scale, shift: (Dv G), head fastest; read only if FOLDED.
        out: Retrieved contents, and at an offset of `positions_at` retrieved positions.
        normaliser: (N, O, L, G), log2 of each row's sum of 2^logits; not written if FOLDED.
        FOLDED: Write contents plus `position_scale` times positions plus `shift` to `out`, with a ReLU if RELU.
    """
    groups = heads // HEADS
    line, group, first = tl.program_id(0) // groups, tl.program_id(0) % groups, tl.program_id(1) * B
    n, o = (line // others).to(tl.int64), (line % others).to(tl.int64)
    base, to = x + n * x_batch + o * x_other, out + n * out_batch + o * out_other
    for index in range(HEADS):
        g = group * HEADS + index
        a, b, c = tl.load(scales + g), tl.load(scales + heads + g), tl.load(scales + 2 * heads + g)
        q_line = base + g * key_head
        k_line, v_line = q_line + heads * key_depth, base + 2 * heads * key_depth + g * value_head
        q = rows(q_line, first, length, x_position, x_depth, key_depth, B, DK)
        largest, total = tl.full((B,), float("-inf"), tl.float32), tl.zeros((B,), tl.float32)
        contents, positions = tl.zeros((B, DV), tl.float32), tl.zeros((B, DV), tl.float32)
        for key in range(tl.maximum(first - reach, 0) // B * B, tl.minimum(first + B + reach, length), B):
            nearest = key - first - (B - 1)
            k = rows(k_line, key, length, x_position, x_depth, key_depth, B, DK)
            rq, rk, rv = windows(
                query_table, key_table, value_table, q, nearest, far, key_depth, value_depth, QUERY, KEY, POSITION_VALUE, B, DK, DV
            )
            x2 = logits(q, k, rq, rk, a, b, c, first, key, length, reach, CONTENT, QUERY, KEY, B, TYPE, UNIT, PRECISION)
            highest = tl.maximum(largest, tl.max(x2, 1))
            anchor = tl.where(highest == float("-inf"), 0.0, highest)  # a row may see no key of this tile
            probabilities, rescale = tl.exp2(x2 - anchor[:, None]), tl.exp2(largest - anchor)
            total = total * rescale + tl.sum(probabilities, 1)
            if CONTENT_VALUE:
                v = rows(v_line, key, length, x_position, x_depth, value_depth, B, DV)
                contents = contents * rescale[:, None] + product(probabilities, v, TYPE, UNIT, PRECISION)
            if POSITION_VALUE:
                positions = positions * rescale[:, None] + product(of_distances(probabilities, B), rv, TYPE, UNIT, PRECISION)
            largest = highest
        p, d = first + tl.arange(0, B), tl.arange(0, DV)
        total = tl.where(p < length, total, 1.0)  # a row beyond the end may have seen no key
        inverse = (1.0 / total)[:, None]
        contents, positions = contents * inverse, positions * inverse
        to_head = to + g * out_head
        if FOLDED:
            y = contents
            if POSITION_VALUE:
                y += positions * tl.load(position_scale + d * heads + g, mask=d < value_depth, other=0.0).to(tl.float32)[None, :]
            y += tl.load(shift + d * heads + g, mask=d < value_depth, other=0.0).to(tl.float32)[None, :]
            if RELU:
                y = tl.where(y < 0.0, 0.0, y)
            write_rows(to_head, y, first, length, out_position, out_depth, value_depth, B, DV)
        else:
            if CONTENT_VALUE:
                write_rows(to_head, contents, first, length, out_position, out_depth, value_depth, B, DV)
            if POSITION_VALUE:
                write_rows(to_head + positions_at, positions, first, length, out_position, out_depth, value_depth, B, DV)
            at = normaliser + (line.to(tl.int64) * length + p) * heads + g
            tl.store(at, largest + tl.log2(total), mask=p < length)
