"""Random calls of the compiled kernel, compared with the equation written down slowly in numpy; no framework.

    python tests/kernels/exercise.py LIBRARY [CASES] [short]

With "short", the first result is a float shorter than the kernel is told: a sanitizer has to stop that.

Arrays are as large as they have to be and not a float larger, so that a sanitizer sees a step beyond.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from axialzoo.kernels.folding import pack
from axialzoo.kernels.library import Kernel
from axialzoo.kernels.structures import AxialBackward, AxialForward, AxialLinear


def floats(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def address(x: np.ndarray | None) -> int:
    return 0 if x is None else x.ctypes.data


def slow_attention(q, k, v, tables, scales, position_scale, shift, reach):
    """(M, G, L, D) of lines M in float64: contents and positions retrieved, (M, G, L, Dv)."""
    length = q.shape[2]
    rq, rk, rv = tables
    out = np.zeros_like(v)
    for p in range(length):
        near = slice(max(0, p - reach), min(length, p + reach + 1))
        distance = np.arange(length)[near] - p
        logits = np.zeros((*q.shape[:2], len(distance)))
        terms = (
            np.einsum("mgd,mgsd->mgs", q[:, :, p], k[:, :, near]),
            0.0 if rq is None else np.einsum("mgd,sd->mgs", q[:, :, p], rq[distance + len(rq) // 2]),
            0.0 if rk is None else np.einsum("mgsd,sd->mgs", k[:, :, near], rk[distance + len(rk) // 2]),
        )
        for scale, term in zip(scales, terms):
            if scale is not None:
                logits += scale[:, None] * term
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        if v is not None:
            out[:, :, p] = np.einsum("mgs,mgsd->mgd", weights, v[:, :, near])
        if rv is not None:
            out[:, :, p] += position_scale * np.einsum("mgs,sd->mgd", weights, rv[distance + len(rv) // 2])
    return out + shift[:, None]


def attention_case(kernel: Kernel, rng: np.random.Generator, threads: int) -> float:
    """One random call; the largest difference, relative to the largest value."""
    n, others, length, heads = (int(rng.choice(x)) for x in ((1, 2), (1, 3, 5), (1, 2, 3, 4, 5, 7, 9, 16, 33), (1, 2, 3, 4, 5, 8, 16)))
    dk, dv = int(rng.choice((1, 2, 4, 7))), int(rng.choice((1, 2, 3, 4, 5, 8, 11)))
    reach = int(rng.integers(0, length))
    table_reach = reach + int(rng.integers(0, 4))
    projected, fastest, axis = bool(rng.integers(2)), bool(rng.integers(2)), int(rng.integers(2))
    similarity = [bool(x) for x in rng.integers(0, 2, 3)]
    similarity[0] |= not any(similarity)
    value = [bool(x) for x in rng.integers(0, 2, 2)]
    value[0] |= not any(value)
    width, inputs = heads * (2 * dk + dv), int(rng.integers(1, 9))
    extra = int(rng.integers(0, 3))  # channels of a wider map that the rows are part of
    shape = (n, others, length) if axis else (n, length, others)
    x = floats(rng, *shape, (inputs if projected else width) + extra)
    weight, bias = floats(rng, width, inputs), floats(rng, width)
    packed, packed_bias = pack(weight, bias)
    scales = [floats(rng, heads) * np.float32(rng.integers(0, 2)) if there else None for there in similarity]  # zeros now and then
    rows = 2 * table_reach + 1
    tables = [floats(rng, rows, depth) if there else None for there, depth in zip((*similarity[1:], value[1]), (dk, dk, dv))]
    position_scale, shift = floats(rng, dv, heads), floats(rng, dv, heads)
    out = np.full((*shape, heads * dv), np.nan, np.float32)
    at = (0, 1, 2) if axis else (0, 2, 1)
    x_strides, out_strides = ([array.strides[i] // 4 for i in at] for array in (x, out))
    kernel.run(
        "forward", AxialForward(
            n, others, length, heads, dk, dv, reach, table_reach, address(x), *x_strides, inputs,
            address(packed) if projected else 0, address(packed_bias) if projected else 0, *map(address, tables), *map(address, scales),
            value[0], address(position_scale) if value[1] else 0, address(shift), address(out), 0, *out_strides,
            1 if fastest else dv, heads if fastest else 1, 0, 0,
        ),
        threads,
    )  # fmt: skip
    rows64 = x[..., : inputs if projected else width].astype(np.float64)
    if projected:
        rows64 = rows64 @ weight.T.astype(np.float64) + bias
    lines = rows64 if axis else rows64.swapaxes(1, 2)  # (N, O, L, 2K+V)
    parts = np.split(lines.reshape(n * others, length, width), [heads * dk, 2 * heads * dk], axis=2)
    q, k, v = (part.reshape(n * others, length, -1, heads).transpose(0, 3, 1, 2) for part in parts)  # (M, G, L, D)
    expected = slow_attention(q, k, v if value[0] else np.zeros_like(v), tables, scales, position_scale.T, shift.T, reach)
    order = (0, 2, 3, 1) if fastest else (0, 2, 1, 3)
    expected = expected.transpose(order).reshape(n, others, length, heads * dv)
    found = out if axis else out.swapaxes(1, 2)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def slow_gradients(q, k, v, tables, scales, reach, contents, positions):
    """Of sum(content * contents + position * positions): d qkv as three (M, G, L, D), tables', scales'; float64."""
    length, grads = q.shape[2], [np.zeros_like(x) for x in (q, k, v)]
    table_grads, scale_grads = [np.zeros(table.shape) for table in tables], np.zeros((3, q.shape[1]))
    for m, g, p in np.ndindex(*q.shape[:3]):
        near = slice(max(0, p - reach), min(length, p + reach + 1))
        rows = np.arange(length)[near] - p + len(tables[0]) // 2
        (rq, rk, rv), (a, b, c) = (table[rows].astype(np.float64) for table in tables), (float(scale[g]) for scale in scales)
        query, keys, values = q[m, g, p], k[m, g, near], v[m, g, near]
        terms = keys @ query, rq @ query, (keys * rk).sum(1)
        logits = a * terms[0] + b * terms[1] + c * terms[2]
        weights = np.exp(logits - logits.max())
        weights /= weights.sum()
        d_weights = values @ contents[m, g, p] + rv @ positions[m, g, p]
        d = weights * (d_weights - weights @ d_weights)
        grads[0][m, g, p] += a * d @ keys + b * d @ rq
        grads[1][m, g, near] += a * d[:, None] * query + c * d[:, None] * rk
        grads[2][m, g, near] += weights[:, None] * contents[m, g, p]
        for table, gradient in zip(table_grads, (b * d[:, None] * query, c * d[:, None] * keys, weights[:, None] * positions[m, g, p])):
            table[rows] += gradient
        scale_grads[:, g] += [d @ term for term in terms]
    return grads, table_grads, scale_grads


def gradient_case(kernel: Kernel, rng: np.random.Generator, threads: int) -> float:
    """One random call forward and backward, of all terms; the largest difference, relative to the largest gradient of its kind."""
    n, others, length, heads = (int(rng.choice(x)) for x in ((1, 2), (1, 3), (2, 3, 4, 5, 7, 9, 13), (1, 2, 3, 8)))
    dk, dv, reach = int(rng.choice((1, 2, 4, 5))), int(rng.choice((1, 3, 4, 8))), int(rng.integers(0, length))
    x = floats(rng, n, others, length, heads * (2 * dk + dv))
    rows = 2 * (reach + int(rng.integers(0, 3))) + 1
    tables, scales = [floats(rng, rows, depth) for depth in (dk, dk, dv)], floats(rng, 3, heads)
    out, grad = np.empty((2, n, others, length, dv * heads), np.float32), floats(rng, 2, n, others, length, dv * heads)
    normaliser, grad_x, grad_scales = np.empty((n, others, length, heads), np.float32), np.empty_like(x), np.empty_like(scales)
    table_grads = [np.empty_like(table) for table in tables]
    arguments = AxialForward(
        n, others, length, heads, dk, dv, reach, rows // 2, address(x), *(size // 4 for size in x.strides[:3]), 0, 0, 0,
        *map(address, tables), *map(address, scales), 1, 0, 0, address(out[0]), address(out[1]),
        *(size // 4 for size in out.strides[1:4]), 1, heads, 0, address(normaliser),
    )  # fmt: skip
    kernel.run("forward", arguments, threads)
    kernel.run("backward", AxialBackward(arguments, *map(address, (*grad, grad_x, *table_grads, grad_scales))), threads)
    lines = n * others

    def by_head(array: np.ndarray) -> np.ndarray:
        return array.reshape(lines, length, -1, heads).transpose(0, 3, 1, 2).astype(np.float64)  # (M, G, L, D)

    cuts = [heads * dk, 2 * heads * dk]
    parts = [by_head(part) for part in np.split(x, cuts, axis=3)]
    exact, exact_tables, exact_scales = slow_gradients(*parts, tables, scales, reach, *(by_head(part) for part in grad))
    found = [by_head(part) for part in np.split(grad_x, cuts, axis=3)]
    pairs = [*zip(found, exact), *zip(table_grads, exact_tables), (grad_scales, exact_scales)]
    return max(float(np.abs(a - b).max() / max(1.0, np.abs(b).max())) for a, b in pairs)


def linear_case(kernel: Kernel, rng: np.random.Generator, threads: int) -> float:
    n, h, w, inputs, outputs = (int(rng.integers(1, most)) for most in (3, 9, 20, 40, 150))
    stride = int(rng.integers(1, 3))
    x, weight, bias = floats(rng, n, h * stride, w * stride, inputs), floats(rng, outputs, inputs), floats(rng, outputs)
    residual = floats(rng, n, h, w, outputs) if rng.integers(2) else None
    packed, packed_bias = pack(weight, bias)
    y, relu = np.full((n, h, w, outputs), np.nan, np.float32), int(rng.integers(2))
    strided = x[:, ::stride, ::stride]
    strides = [size // 4 for size in strided.strides[:3]]
    kernel.run(
        "linear",
        AxialLinear(
            n, h, w, *strides, inputs, outputs, address(x), address(packed), address(packed_bias), address(residual), address(y), relu
        ),
        threads,
    )
    expected = strided.astype(np.float64) @ weight.T.astype(np.float64) + bias + (0 if residual is None else residual)
    expected = np.maximum(expected, 0) if relu else expected
    return float(np.abs(y - expected).max() / max(1.0, np.abs(expected).max()))


def short_case(kernel: Kernel) -> None:
    x, y = np.ones((1, 64), np.float32), np.zeros(63, np.float32)
    packed, bias = pack(np.ones((64, 64), np.float32), np.ones(64, np.float32))
    kernel.run("linear", AxialLinear(1, 1, 1, 64, 64, 64, 64, 64, address(x), address(packed), address(bias), 0, address(y), 0))


def main(library: str, cases: int = 60, short: bool = False) -> None:
    kernel = Kernel(library)
    if short:
        short_case(kernel)
    for isa in kernel.isas:
        kernel.isa = isa
        for threads in (1, 3):
            rng = np.random.default_rng(threads)
            for _ in range(cases):
                for case in (attention_case, linear_case, gradient_case):
                    difference = case(kernel, rng, threads)
                    if not difference <= 1e-5:
                        raise SystemExit(f"{isa}, {threads} threads, {case.__name__}: differs by {difference}")
    print("same", *kernel.isas)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60, "short" in sys.argv)
