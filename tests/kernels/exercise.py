"""Random calls of the compiled kernel, compared with the equation written down slowly in numpy; no framework.

    python tests/kernels/exercise.py LIBRARY [CASES] [short]

With "short", the first result is a float shorter than the kernel is told: a sanitizer has to stop that.

Arrays are as large as they have to be and not a float larger, so that a sanitizer sees a step beyond.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from axialzoo.ops.folding import pack
from axialzoo.ops.kernels.library import Kernel
from axialzoo.ops.kernels.structures import AxialBackward, AxialForward, AxialLinear, AxialMoments, AxialNorm, AxialWeightGradient


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
    actual = out if axis else out.swapaxes(1, 2)
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def slow_gradients(q, k, v, tables, scales, reach, contents, positions):
    """Gradients of sum(content * contents + position * positions): d qkv as three (M, G, L, D), tables', scales'; float64."""
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
    actual = [by_head(part) for part in np.split(grad_x, cuts, axis=3)]
    pairs = [*zip(actual, exact), *zip(table_grads, exact_tables), (grad_scales, exact_scales)]
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


def weight_gradient_case(kernel: Kernel, rng: np.random.Generator, threads: int) -> float:
    n, h, w, inputs, outputs = (int(rng.integers(1, most)) for most in (3, 9, 20, 150, 40))
    stride = int(rng.integers(1, 3))
    x, grad = floats(rng, n, h * stride, w * stride, inputs), floats(rng, n, h, w, outputs)
    strided, actual = x[:, ::stride, ::stride], np.full((outputs, inputs), np.nan, np.float32)
    strides = [size // 4 for size in strided.strides[:3]]
    kernel.run("weight_gradient", AxialWeightGradient(n, h, w, *strides, inputs, outputs, *map(address, (x, grad, actual))), threads)
    expected = grad.reshape(-1, outputs).T.astype(np.float64) @ strided.reshape(-1, inputs).astype(np.float64)
    return float(np.abs(actual - expected).max() / max(1.0, np.abs(expected).max()))


def as_bfloat(x: np.ndarray) -> np.ndarray:
    """Its bits, (...) of uint16, cut off."""
    return (x.view(np.uint32) >> 16).astype(np.uint16)


def as_floats(x: np.ndarray) -> np.ndarray:
    return (x.astype(np.uint32) << 16).view(np.float32) if x.dtype == np.uint16 else x


def norm_case(kernel: Kernel, rng: np.random.Generator, threads: int) -> float:
    """One random norm, forward and backward; the largest difference, divided by 1000 where results are rounded to bfloat16."""
    rows, terms, heads, depth = int(rng.integers(2, 700)), int(rng.integers(1, 3)), int(rng.integers(0, 9)), int(rng.integers(1, 20))
    outputs, halves, relu, adds = max(heads, 1) * depth, rng.integers(0, 2, 2), int(rng.integers(2)), int(rng.integers(2))
    channels = terms * outputs
    types = [as_bfloat if half else np.asarray for half in halves]
    x, residual, grad = types[0](floats(rng, rows, channels) * 3 + 2), *(types[1](floats(rng, rows, outputs)) for _ in range(2))
    weight, bias, (mean, variance, grad_weight, grad_bias) = *floats(rng, 2, channels), np.empty((4, channels), np.float32)
    y, grad_x, grad_residual = np.zeros_like(residual), np.zeros_like(x), np.zeros_like(residual)
    arguments = AxialNorm(
        rows, terms, outputs, heads, *map(int, halves), relu, *map(address, (x, mean, variance)), bias=address(bias), y=address(y),
        residual=address(residual) if adds else 0, grad_y=address(grad), grad_x=address(grad_x), grad_weight=address(grad_weight),
        grad_residual=address(grad_residual) if adds else 0, grad_bias=address(grad_bias),
    )  # fmt: skip
    kernel.run("norm_moments", arguments, threads)
    inverse = 1 / np.sqrt(variance + np.float32(1e-5))
    scale = weight * inverse
    arguments.scale, arguments.inverse = address(scale), address(inverse)
    kernel.run("norm_forward", arguments, threads)
    kernel.run("norm_backward", arguments, threads)

    exact = as_floats(x).astype(np.float64)
    centred = exact - exact.mean(0)
    deviation = np.sqrt((centred**2).mean(0) + 1e-5)
    sums = (centred / deviation * weight + bias).reshape(rows, terms, outputs).sum(1)
    back = np.arange(outputs).reshape(depth, heads).T.ravel() if heads else np.arange(outputs)  # y's channel j is x's channel back[j]
    result = sums[:, back] + (as_floats(residual) if adds else 0)
    result = np.maximum(result, 0) if relu else result
    masked = as_floats(grad) * (as_floats(y) > 0 if relu else 1)
    by_x = np.tile(masked[:, np.argsort(back)], terms).astype(np.float64)
    normal = centred / deviation
    slope = by_x - by_x.mean(0) - normal * (by_x * normal).mean(0)
    pairs = [(as_floats(y), result, halves[1]), (as_floats(grad_x), slope * weight / deviation, halves[0])]
    pairs += [(grad_weight, (by_x * normal).sum(0), 0), (grad_bias, by_x.sum(0), 0), (mean, exact.mean(0), 0)]
    pairs += [(as_floats(grad_residual), masked, halves[1])] if adds else []
    return max(float(np.abs(a - b).max() / max(1.0, np.abs(b).max())) / (1000 if half else 1) for a, b, half in pairs)


def moments_case(kernel: Kernel, rng: np.random.Generator, threads: int) -> float:
    """Random sums of the logits and their gradients; the largest difference, relative to the largest value of its kind."""
    n, others, length, heads = (int(rng.choice(x)) for x in ((1, 2), (1, 3, 40), (1, 2, 3, 5, 9), (1, 2, 3, 8, 12, 16)))
    return moments_of(kernel, rng, threads, n, others, length, heads, int(rng.choice((1, 2, 4, 5, 7, 19))))


def many_lines_case(kernel: Kernel, rng: np.random.Generator, threads: int) -> float:
    """So many lines that products are flushed to doubles, on every path."""
    return moments_of(kernel, rng, threads, 2, 1024, 3, 12, 2)


def moments_of(kernel: Kernel, rng: np.random.Generator, threads: int, n: int, others: int, length: int, heads: int, depth: int) -> float:
    extra, content = int(rng.integers(0, 3)), int(rng.integers(2))
    x = floats(rng, n, others, length, heads * (2 * depth + 1))
    reach = length - 1 + extra
    tables = [floats(rng, 2 * reach + 1, depth) if rng.integers(4) else None for _ in range(2)]
    sums, grams = np.zeros((3, 2, heads)), np.zeros((2, length, depth * (depth + 3) // 2, heads))
    grad_sums, grad_x = rng.standard_normal((3, 2, heads)), floats(rng, *x.shape)
    before, grad_tables = grad_x.copy(), [None if table is None else np.empty_like(table) for table in tables]
    arguments = AxialMoments(
        n, others, length, heads, depth, reach, address(x), *(size // 4 for size in x.strides[:3]), *map(address, tables), content,
        *map(address, (sums, grams, grad_sums, grad_x, *grad_tables)),
    )  # fmt: skip
    kernel.run("moments_forward", arguments, threads)
    kernel.run("moments_backward", arguments, threads)

    q, k = (x[..., i * heads * depth :][..., : heads * depth].reshape(-1, length, depth, heads).astype(np.float64) for i in range(2))
    rows = np.arange(length) - np.arange(length)[:, None] + reach  # of query p and key s
    rq, rk = (np.zeros((length, length, depth)) if table is None else table[rows].astype(np.float64) for table in tables)
    logits = (
        np.einsum("mpdg,msdg->mpsg", q, k) * content, np.einsum("mpdg,psd->mpsg", q, rq), np.einsum("msdg,psd->mpsg", k, rk)
    )  # fmt: skip
    exact = np.stack([[x.sum((0, 1, 2)), (x**2).sum((0, 1, 2))] for x in logits])
    a, b, c = (grad_sums[i, 0] + 2 * grad_sums[i, 1] * x for i, x in enumerate(logits))
    a *= content
    dq = np.einsum("mpsg,msdg->mpdg", a, k) + np.einsum("mpsg,psd->mpdg", b, rq)
    dk = np.einsum("mpsg,mpdg->msdg", a, q) + np.einsum("mpsg,psd->msdg", c, rk)
    added = np.concatenate([dq.reshape(n, others, length, -1), dk.reshape(n, others, length, -1), np.zeros((n, others, length, heads))], 3)
    pairs = [(sums, exact), (grad_x, before + added)]
    for actual, by_pair in zip(grad_tables, (np.einsum("mpsg,mpdg->psd", b, q), np.einsum("mpsg,msdg->psd", c, k))):
        if actual is not None:
            expected = np.zeros(actual.shape)
            np.add.at(expected, rows, by_pair)
            pairs.append((actual, expected))
    return max(float(np.abs(actual - expected).max() / max(1.0, np.abs(expected).max())) for actual, expected in pairs)


CASES = (attention_case, linear_case, gradient_case, weight_gradient_case, norm_case, moments_case)


def short_case(kernel: Kernel) -> None:
    x, y = np.ones((1, 64), np.float32), np.zeros(63, np.float32)
    packed, bias = pack(np.ones((64, 64), np.float32), np.ones(64, np.float32))
    kernel.run("linear", AxialLinear(1, 1, 1, 64, 64, 64, 64, 64, address(x), address(packed), address(bias), 0, address(y), 0))


def check(difference: float, isa: str, threads: int, case: Callable) -> None:
    if not difference <= 1e-5:
        raise SystemExit(f"{isa}, {threads} threads, {case.__name__}: differs by {difference}")


def main(library: str, cases: int = 60, short: bool = False) -> None:
    kernel = Kernel(library)
    if short:
        short_case(kernel)
    for isa in kernel.isas:
        kernel.isa = isa
        for threads in (1, 3):
            rng = np.random.default_rng(threads)
            for _ in range(cases):
                for case in CASES:
                    difference = case(kernel, rng, threads)
                    check(difference, isa, threads, case)
            check(many_lines_case(kernel, rng, threads), isa, threads, many_lines_case)
    print("same", *kernel.isas)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60, "short" in sys.argv)
