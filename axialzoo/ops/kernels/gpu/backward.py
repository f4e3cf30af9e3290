"""Gradients of attention along one axis. The kernels recompute probabilities from the rows' normalisers.

No two programs write to one place, and sums over lines have a fixed order: each program of `tables_kernel` sums its own lines, and the
caller adds these sums. If a line fits one tile, `tables_kernel` alone computes all gradients (WHOLE). Otherwise `queries_kernel` computes
the gradients of queries, and `keys_kernel` those of keys and values.

All kernels take scales as (3, G) and write partial sums of their gradients as (3, lines, tiles, G). The common arguments are those of
:func:`axialzoo.ops.kernels.gpu.forward.forward_kernel`; `grad` has the strides of `out`, `grad_x` those of `x`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from axialzoo.ops.kernels.gpu.tile import (
    key_distances,
    logits,
    of_distances,
    probability_gradients,
    product,
    rows,
    windows,
    write_rows,
)


@triton.jit
def query_side(
    q_line, grad_line, normaliser, first, length, x_position, out_position, heads: tl.constexpr, key_depth: tl.constexpr,
    value_depth: tl.constexpr, x_depth: tl.constexpr, out_depth: tl.constexpr, positions_at: tl.constexpr,
    CONTENT_VALUE: tl.constexpr, POSITION_VALUE: tl.constexpr, B: tl.constexpr, DK: tl.constexpr, DV: tl.constexpr,
):  # fmt: skip
    """Load B queries, the gradients of their contents and positions, and their normalisers, infinite beyond the end (probability 0)."""
    q = rows(q_line, first, length, x_position, x_depth, key_depth, B, DK)
    contents, positions = q, q
    if CONTENT_VALUE:
        contents = rows(grad_line, first, length, out_position, out_depth, value_depth, B, DV)
    if POSITION_VALUE:
        positions = rows(grad_line + positions_at, first, length, out_position, out_depth, value_depth, B, DV)
    p = first + tl.arange(0, B)
    return q, contents, positions, tl.load(normaliser + p * heads, mask=p < length, other=float("inf"))


@triton.jit
def key_side(
    k_line, v_line, key, length, x_position, x_depth: tl.constexpr, key_depth: tl.constexpr, value_depth: tl.constexpr,
    CONTENT_VALUE: tl.constexpr, B: tl.constexpr, DK: tl.constexpr, DV: tl.constexpr,
):  # fmt: skip
    """Load B keys and their values, (B, DK) and (B, DV); the keys stand in for values that are not retrieved."""
    k = rows(k_line, key, length, x_position, x_depth, key_depth, B, DK)
    v = k
    if CONTENT_VALUE:
        v = rows(v_line, key, length, x_position, x_depth, value_depth, B, DV)
    return k, v


@triton.jit
def tile_gradients(
    q, k, v, contents, positions, norm, query_table, key_table, value_table, a, b, c, first, key, length, reach, far,
    key_depth: tl.constexpr, value_depth: tl.constexpr,
    CONTENT: tl.constexpr, QUERY: tl.constexpr, KEY: tl.constexpr, CONTENT_VALUE: tl.constexpr, POSITION_VALUE: tl.constexpr,
    B: tl.constexpr, DK: tl.constexpr, DV: tl.constexpr, TYPE: tl.constexpr, UNIT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute the probabilities of a tile and their gradients, (B, B); also return the windows of the query and key table, (2B, DK)."""
    rq, rk, rv = windows(
        query_table, key_table, value_table, q, key - first - (B - 1), far, key_depth, value_depth, QUERY, KEY, POSITION_VALUE, B, DK, DV
    )  # fmt: skip
    x2 = logits(q, k, rq, rk, a, b, c, first, key, length, reach, CONTENT, QUERY, KEY, B, TYPE, UNIT, PRECISION)
    of_probabilities = probability_gradients(v, rv, contents, positions, CONTENT_VALUE, POSITION_VALUE, B, TYPE, UNIT, PRECISION)
    return tl.exp2(x2 - norm[:, None]), of_probabilities, rq, rk


@triton.jit
def weighted_mean(sums, totals):
    """Divide `sums` by the rows' sums of probabilities: (B,). These are 1 up to rounding of the normaliser, which would leave a bias."""
    return sums / tl.where(totals == 0.0, 1.0, totals)  # rows beyond the end have no probabilities


@triton.jit
def queries_kernel(
    x, query_table, key_table, value_table, scales, normaliser, grad, delta, grad_x, grad_scales,
    others, length, reach, far, x_batch, x_other, x_position, out_batch, out_other, out_position,
    heads: tl.constexpr, key_depth: tl.constexpr, value_depth: tl.constexpr,
    x_depth: tl.constexpr, key_head: tl.constexpr, value_head: tl.constexpr,
    out_depth: tl.constexpr, out_head: tl.constexpr, positions_at: tl.constexpr,
    CONTENT: tl.constexpr, QUERY: tl.constexpr, KEY: tl.constexpr, CONTENT_VALUE: tl.constexpr, POSITION_VALUE: tl.constexpr,
    HEADS: tl.constexpr, B: tl.constexpr, DK: tl.constexpr, DV: tl.constexpr,
    TYPE: tl.constexpr, UNIT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute the gradients of queries and of the first two scales, and `delta`, (N, O, L, G): the mean gradient of a row's probabilities.

    Grid: lines times groups of HEADS heads, tiles of queries.
    """
    groups, tiles = heads // HEADS, tl.num_programs(1)
    line, group, first = tl.program_id(0) // groups, tl.program_id(0) % groups, tl.program_id(1) * B
    lines = tl.num_programs(0) // groups
    n, o = (line // others).to(tl.int64), (line % others).to(tl.int64)
    base, grad_base = n * x_batch + o * x_other, grad + n * out_batch + o * out_other
    low, high = tl.maximum(first - reach, 0) // B * B, tl.minimum(first + B + reach, length)
    p = first + tl.arange(0, B)
    for index in range(HEADS):
        g = group * HEADS + index
        a, b, c = tl.load(scales + g), tl.load(scales + heads + g), tl.load(scales + 2 * heads + g)
        q_line = x + base + g * key_head
        k_line, v_line = q_line + heads * key_depth, x + base + 2 * heads * key_depth + g * value_head
        row = line.to(tl.int64) * length * heads + g
        q, contents, positions, norm = query_side(
            q_line, grad_base + g * out_head, normaliser + row, first, length, x_position, out_position,
            heads, key_depth, value_depth, x_depth, out_depth, positions_at, CONTENT_VALUE, POSITION_VALUE, B, DK, DV,
        )  # fmt: skip
        mean = tl.zeros((B,), tl.float32)
        for sweep in tl.static_range(2):  # the first sweep computes the rows' deltas, the second the gradients
            of_content, of_position = tl.zeros((B, DK), tl.float32), tl.zeros((B, DK), tl.float32)
            sums, totals = tl.zeros((B,), tl.float32), tl.zeros((B,), tl.float32)
            for key in range(low, high, B):
                k, v = key_side(k_line, v_line, key, length, x_position, x_depth, key_depth, value_depth, CONTENT_VALUE, B, DK, DV)
                probabilities, of_probabilities, rq, _ = tile_gradients(
                    q, k, v, contents, positions, norm, query_table, key_table, value_table, a, b, c, first, key, length, reach, far,
                    key_depth, value_depth, CONTENT, QUERY, KEY, CONTENT_VALUE, POSITION_VALUE, B, DK, DV, TYPE, UNIT, PRECISION,
                )  # fmt: skip
                if sweep == 0:
                    sums += tl.sum(probabilities * of_probabilities, 1)
                    totals += tl.sum(probabilities, 1)
                else:
                    of_logits = probabilities * (of_probabilities - mean[:, None])
                    if CONTENT:
                        of_content += product(of_logits, k, TYPE, UNIT, PRECISION)
                    if QUERY:
                        of_position += product(of_distances(of_logits, B), rq, TYPE, UNIT, PRECISION)
            if sweep == 0:
                mean = weighted_mean(sums, totals)
                tl.store(delta + row + p * heads, mean, mask=p < length)
            else:
                to = grad_x + base + g * key_head
                write_rows(to, a * of_content + b * of_position, first, length, x_position, x_depth, key_depth, B, DK)
                at = grad_scales + (line * tiles + tl.program_id(1)) * heads + g
                tl.store(at, tl.sum(q.to(tl.float32) * of_content))
                tl.store(at + lines * tiles * heads, tl.sum(q.to(tl.float32) * of_position))


@triton.jit
def keys_kernel(
    x, query_table, key_table, value_table, scales, normaliser, grad, delta, grad_x, grad_scales,
    others, length, reach, far, x_batch, x_other, x_position, out_batch, out_other, out_position,
    heads: tl.constexpr, key_depth: tl.constexpr, value_depth: tl.constexpr,
    x_depth: tl.constexpr, key_head: tl.constexpr, value_head: tl.constexpr,
    out_depth: tl.constexpr, out_head: tl.constexpr, positions_at: tl.constexpr,
    CONTENT: tl.constexpr, QUERY: tl.constexpr, KEY: tl.constexpr, CONTENT_VALUE: tl.constexpr, POSITION_VALUE: tl.constexpr,
    HEADS: tl.constexpr, B: tl.constexpr, DK: tl.constexpr, DV: tl.constexpr,
    TYPE: tl.constexpr, UNIT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute the gradients of keys, of values and of the third scale. Grid: lines times groups of HEADS heads, tiles of keys."""
    groups, tiles = heads // HEADS, tl.num_programs(1)
    line, group, key = tl.program_id(0) // groups, tl.program_id(0) % groups, tl.program_id(1) * B
    lines = tl.num_programs(0) // groups
    n, o = (line // others).to(tl.int64), (line % others).to(tl.int64)
    base, grad_base = n * x_batch + o * x_other, grad + n * out_batch + o * out_other
    low, high = tl.maximum(key - reach, 0) // B * B, tl.minimum(key + B + reach, length)
    for index in range(HEADS):
        g = group * HEADS + index
        a, b, c = tl.load(scales + g), tl.load(scales + heads + g), tl.load(scales + 2 * heads + g)
        q_line = x + base + g * key_head
        k_line, v_line = q_line + heads * key_depth, x + base + 2 * heads * key_depth + g * value_head
        row = line.to(tl.int64) * length * heads + g
        k, v = key_side(k_line, v_line, key, length, x_position, x_depth, key_depth, value_depth, CONTENT_VALUE, B, DK, DV)
        of_content, of_position = tl.zeros((B, DK), tl.float32), tl.zeros((B, DK), tl.float32)
        of_values = tl.zeros((B, DV), tl.float32)
        for first in range(low, high, B):
            q, contents, positions, norm = query_side(
                q_line, grad_base + g * out_head, normaliser + row, first, length, x_position, out_position,
                heads, key_depth, value_depth, x_depth, out_depth, positions_at, CONTENT_VALUE, POSITION_VALUE, B, DK, DV,
            )  # fmt: skip
            p = first + tl.arange(0, B)
            mean = tl.load(delta + row + p * heads, mask=p < length, other=0.0)
            probabilities, of_probabilities, _, rk = tile_gradients(
                q, k, v, contents, positions, norm, query_table, key_table, value_table, a, b, c, first, key, length, reach, far,
                key_depth, value_depth, CONTENT, QUERY, KEY, CONTENT_VALUE, POSITION_VALUE, B, DK, DV, TYPE, UNIT, PRECISION,
            )  # fmt: skip
            of_logits = probabilities * (of_probabilities - mean[:, None])
            if CONTENT:
                of_content += product(tl.trans(of_logits), q, TYPE, UNIT, PRECISION)
            if KEY:
                of_position += product(tl.trans(key_distances(of_logits, B)), rk, TYPE, UNIT, PRECISION)
            if CONTENT_VALUE:
                of_values += product(tl.trans(probabilities), contents, TYPE, UNIT, PRECISION)
        to = grad_x + base + heads * key_depth
        write_rows(to + g * key_head, a * of_content + c * of_position, key, length, x_position, x_depth, key_depth, B, DK)
        to += heads * key_depth
        write_rows(to + g * value_head, of_values, key, length, x_position, x_depth, value_depth, B, DV)
        at = grad_scales + ((2 * lines + line) * tiles + tl.program_id(1)) * heads + g
        tl.store(at, tl.sum(k.to(tl.float32) * of_position))


@triton.jit
def tables_kernel(
    x, query_table, key_table, value_table, scales, normaliser, grad, delta, grad_x, grad_scales,
    query_sums, key_sums, value_sums, lines,
    others, length, reach, far, x_batch, x_other, x_position, out_batch, out_other, out_position,
    heads: tl.constexpr, key_depth: tl.constexpr, value_depth: tl.constexpr,
    x_depth: tl.constexpr, key_head: tl.constexpr, value_head: tl.constexpr,
    out_depth: tl.constexpr, out_head: tl.constexpr, positions_at: tl.constexpr,
    CONTENT: tl.constexpr, QUERY: tl.constexpr, KEY: tl.constexpr, CONTENT_VALUE: tl.constexpr, POSITION_VALUE: tl.constexpr,
    WHOLE: tl.constexpr,
    HEADS: tl.constexpr, B: tl.constexpr, DK: tl.constexpr, DV: tl.constexpr,
    TYPE: tl.constexpr, UNIT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute the gradients of the tables by window. Tiles at one distance between first key and first query share a window.

    Grid: chunks of `lines` times groups of HEADS heads, windows. Each program sums over its lines and heads.

    Args:
        query_sums, key_sums: (programs, windows, 2B, DK), value_sums: (programs, windows, 2B, DV); not written without the term.
        WHOLE: A line is one tile: the kernel writes `grad_x` and `grad_scales` too, and does not read `delta`.
    """
    groups, tiles = heads // HEADS, tl.cdiv(length, B)
    chunk, group, chunks = tl.program_id(0) // groups, tl.program_id(0) % groups, tl.num_programs(0) // groups
    away = tl.program_id(1) - tl.num_programs(1) // 2  # distance in tiles from query to key
    of_rq, of_rk = tl.zeros((2 * B, DK), tl.float32), tl.zeros((2 * B, DK), tl.float32)
    of_rv = tl.zeros((2 * B, DV), tl.float32)
    for turn in range(tl.cdiv(lines - chunk, chunks)):
        line = chunk + turn * chunks
        n, o = (line // others).to(tl.int64), (line % others).to(tl.int64)
        base, grad_base = n * x_batch + o * x_other, grad + n * out_batch + o * out_other
        for index in range(HEADS):
            g = group * HEADS + index
            a, b, c = tl.load(scales + g), tl.load(scales + heads + g), tl.load(scales + 2 * heads + g)
            q_line = x + base + g * key_head
            k_line, v_line = q_line + heads * key_depth, x + base + 2 * heads * key_depth + g * value_head
            row = line.to(tl.int64) * length * heads + g
            for tile in range(tl.maximum(0, -away), tl.minimum(tiles, tiles - away)):
                first, key = tile * B, (tile + away) * B
                q, contents, positions, norm = query_side(
                    q_line, grad_base + g * out_head, normaliser + row, first, length, x_position, out_position,
                    heads, key_depth, value_depth, x_depth, out_depth, positions_at, CONTENT_VALUE, POSITION_VALUE, B, DK, DV,
                )  # fmt: skip
                k, v = key_side(k_line, v_line, key, length, x_position, x_depth, key_depth, value_depth, CONTENT_VALUE, B, DK, DV)
                probabilities, of_probabilities, rq, rk = tile_gradients(
                    q, k, v, contents, positions, norm, query_table, key_table, value_table, a, b, c, first, key, length, reach, far,
                    key_depth, value_depth, CONTENT, QUERY, KEY, CONTENT_VALUE, POSITION_VALUE, B, DK, DV, TYPE, UNIT, PRECISION,
                )  # fmt: skip
                if WHOLE:
                    mean = weighted_mean(tl.sum(probabilities * of_probabilities, 1), tl.sum(probabilities, 1))
                else:
                    p = first + tl.arange(0, B)
                    mean = tl.load(delta + row + p * heads, mask=p < length, other=0.0)
                of_logits = probabilities * (of_probabilities - mean[:, None])
                by_query, by_key = of_distances(of_logits, B), key_distances(of_logits, B)
                if QUERY:
                    of_rq += b * product(tl.trans(by_query), q, TYPE, UNIT, PRECISION)
                if KEY:
                    of_rk += c * product(by_key, k, TYPE, UNIT, PRECISION)
                if POSITION_VALUE:
                    of_rv += product(tl.trans(of_distances(probabilities, B)), positions, TYPE, UNIT, PRECISION)
                if WHOLE:
                    content, position = tl.zeros((B, DK), tl.float32), tl.zeros((B, DK), tl.float32)
                    if CONTENT:
                        content = product(of_logits, k, TYPE, UNIT, PRECISION)
                    if QUERY:
                        position = product(by_query, rq, TYPE, UNIT, PRECISION)
                    to, at = grad_x + base, grad_scales + line * heads + g
                    write_rows(to + g * key_head, a * content + b * position, 0, length, x_position, x_depth, key_depth, B, DK)
                    tl.store(at, tl.sum(q.to(tl.float32) * content))
                    tl.store(at + lines * heads, tl.sum(q.to(tl.float32) * position))
                    content, position = tl.zeros((B, DK), tl.float32), tl.zeros((B, DK), tl.float32)
                    if CONTENT:
                        content = product(tl.trans(of_logits), q, TYPE, UNIT, PRECISION)
                    if KEY:
                        position = product(tl.trans(by_key), rk, TYPE, UNIT, PRECISION)
                    to += heads * key_depth
                    write_rows(to + g * key_head, a * content + c * position, 0, length, x_position, x_depth, key_depth, B, DK)
                    tl.store(at + 2 * lines * heads, tl.sum(k.to(tl.float32) * position))
                    of_values = tl.zeros((B, DV), tl.float32)
                    if CONTENT_VALUE:
                        of_values = product(tl.trans(probabilities), contents, TYPE, UNIT, PRECISION)
                    to += heads * key_depth
                    write_rows(to + g * value_head, of_values, 0, length, x_position, x_depth, value_depth, B, DV)
    r, dk, dv = tl.arange(0, 2 * B)[:, None], tl.arange(0, DK)[None, :], tl.arange(0, DV)[None, :]
    at = (tl.program_id(0).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)) * 2 * B + r  # (2B, 1)
    if QUERY:
        tl.store(query_sums + at * DK + dk, of_rq)
    if KEY:
        tl.store(key_sums + at * DK + dk, of_rk)
    if POSITION_VALUE:
        tl.store(value_sums + at * DV + dv, of_rv)
