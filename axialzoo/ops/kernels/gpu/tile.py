"""Triton functions of one tile of attention, B queries by B keys. The kernels share them; none reads or writes more than a tile.

Position terms never need an L x L lookup. A tile covers the 2B - 1 distances from ``first key - last query`` on, a *window* of a table:
2B rows, of which the last is unused. A product with a window is indexed by distance, (B, 2B), and :func:`of_keys` indexes it by key.
:func:`of_distances` does the reverse, for retrieved positions and for gradients.

Letters are those of ``source/axial.h``. DK and DV are depths rounded up to a power of two that matrix units take, padded with zeros.
TYPE is the type of a product's inputs; its sums are float32. UNIT is the type that the machine multiplies: TYPE on a GPU, float32 in
Triton's interpreter, which cannot multiply bfloat16.
"""

from __future__ import annotations

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def product(a, b, TYPE: tl.constexpr, UNIT: tl.constexpr, PRECISION: tl.constexpr):
    """Multiply matrices: (M, K), (K, N) to (M, N) in float32."""
    return tl.dot(a.to(TYPE).to(UNIT), b.to(TYPE).to(UNIT), input_precision=PRECISION)


@triton.jit
def rows(line, first, length, step, depth_step: tl.constexpr, depth: tl.constexpr, B: tl.constexpr, D: tl.constexpr):
    """Load B positions of a line from `first` on, zeros beyond its end: (B, D)."""
    p, d = first + tl.arange(0, B), tl.arange(0, D)
    inside = (p < length)[:, None] & (d < depth)[None, :]
    return tl.load(line + p[:, None] * step + d[None, :] * depth_step, mask=inside, other=0.0)


@triton.jit
def write_rows(line, x, first, length, step, depth_step: tl.constexpr, depth: tl.constexpr, B: tl.constexpr, D: tl.constexpr):
    """Store B positions of a line from `first` on, (B, D): the reverse of :func:`rows`."""
    p, d = first + tl.arange(0, B), tl.arange(0, D)
    inside = (p < length)[:, None] & (d < depth)[None, :]
    tl.store(line + p[:, None] * step + d[None, :] * depth_step, x.to(line.dtype.element_ty), mask=inside)


@triton.jit
def window(table, nearest, far, depth: tl.constexpr, B: tl.constexpr, D: tl.constexpr):
    """Load the rows of a table for distances `nearest` to ``nearest + 2B - 1``, zeros where it has none: (2B, D).

    Args:
        table: (2 far + 1, depth), contiguous.
    """
    r, d = nearest + far + tl.arange(0, 2 * B), tl.arange(0, D)
    inside = ((r >= 0) & (r <= 2 * far))[:, None] & (d < depth)[None, :]
    return tl.load(table + r[:, None] * depth + d[None, :], mask=inside, other=0.0)


@triton.jit
def windows(
    query_table, key_table, value_table, q, nearest, far, key_depth: tl.constexpr, value_depth: tl.constexpr,
    QUERY: tl.constexpr, KEY: tl.constexpr, POSITION_VALUE: tl.constexpr, B: tl.constexpr, DK: tl.constexpr, DV: tl.constexpr,
):  # fmt: skip
    """Load the windows of the three tables, (2B, D) each; `q` stands in for a missing table."""
    rq, rk, rv = q, q, q
    if QUERY:
        rq = window(query_table, nearest, far, key_depth, B, DK)
    if KEY:
        rk = window(key_table, nearest, far, key_depth, B, DK)
    if POSITION_VALUE:
        rv = window(value_table, nearest, far, value_depth, B, DV)
    return rq, rk, rv


@triton.jit
def of_keys(x, B: tl.constexpr):
    """Reindex each row from distances to keys: (B, 2B) to (B, B)."""
    t, s = tl.arange(0, B)[:, None], tl.arange(0, B)[None, :]
    return tl.gather(x, s - t + (B - 1), 1)


@triton.jit
def of_queries(x, B: tl.constexpr):
    """Reindex each column from distances to queries: (2B, B keys) to (B queries, B keys)."""
    t, s = tl.arange(0, B)[:, None], tl.arange(0, B)[None, :]
    return tl.gather(x, s - t + (B - 1), 0)


@triton.jit
def of_distances(x, B: tl.constexpr):
    """Reindex each row from keys to distances: (B, B) to (B, 2B)."""
    t, r = tl.arange(0, B)[:, None], tl.arange(0, 2 * B)[None, :]
    s = r + t - (B - 1)
    inside = (s >= 0) & (s < B)
    return tl.where(inside, tl.gather(x, tl.where(inside, s, 0), 1), 0.0)


@triton.jit
def key_distances(x, B: tl.constexpr):
    """Reindex each column from queries to distances: (B queries, B keys) to (2B, B keys)."""
    r, s = tl.arange(0, 2 * B)[:, None], tl.arange(0, B)[None, :]
    t = s - r + (B - 1)
    inside = (t >= 0) & (t < B)
    return tl.where(inside, tl.gather(x, tl.where(inside, t, 0), 0), 0.0)


@triton.jit
def logits(
    q, k, rq, rk, a, b, c, first, key, length, reach,
    CONTENT: tl.constexpr, QUERY: tl.constexpr, KEY: tl.constexpr,
    B: tl.constexpr, TYPE: tl.constexpr, UNIT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute logits times log2(e), minus infinity for masked keys: (B, B).

    Args:
        q, k: (B, DK), from the positions `first` and `key` on.
        rq, rk: Windows of the tables, (2B, DK).
        a, b, c: Factors of q.k, q.rq and k.rk.
    """
    x = tl.zeros((B, B), tl.float32)
    if CONTENT:
        x += a * product(q, tl.trans(k), TYPE, UNIT, PRECISION)
    if QUERY:
        x += b * of_keys(product(q, tl.trans(rq), TYPE, UNIT, PRECISION), B)
    if KEY:
        x += c * of_queries(product(rk, tl.trans(k), TYPE, UNIT, PRECISION), B)
    p, s = first + tl.arange(0, B)[:, None], key + tl.arange(0, B)[None, :]
    visible = (s < length) & (s - p <= reach) & (p - s <= reach)
    return tl.where(visible, x * LOG2E, float("-inf"))


@triton.jit
def probability_gradients(
    v, rv, contents, positions, CONTENT_VALUE: tl.constexpr, POSITION_VALUE: tl.constexpr,
    B: tl.constexpr, TYPE: tl.constexpr, UNIT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute the gradients of the probabilities: (B, B).

    Args:
        v: (B, DV), rv: (2B, DV).
        contents, positions: Gradients of the retrieved contents and positions, (B, DV).
    """
    x = tl.zeros((B, B), tl.float32)
    if CONTENT_VALUE:
        x += product(contents, tl.trans(v), TYPE, UNIT, PRECISION)
    if POSITION_VALUE:
        x += of_keys(product(positions, tl.trans(rv), TYPE, UNIT, PRECISION), B)
    return x
