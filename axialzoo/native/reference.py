"""Executor of programs in numpy: slow, for machines without the compiled kernel, and what the compiled executor is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from axialzoo.native.program import Buffer, Program, Step, View
from axialzoo.native.reference_tokens import TOKEN_OPERATIONS


def run_program(program: Program, arena: np.ndarray, x: np.ndarray) -> None:
    """Run the operations of a program on its arena, (floats,); the outputs lie there afterwards.

    Args:
        x: The images, (N, H, W, C).
    """

    def memory(buffer: Buffer) -> np.ndarray:
        if buffer.constant is not None:
            return buffer.constant.reshape(-1)
        return np.empty(buffer.floats, np.float32) if buffer.offset < 0 else arena[buffer.offset : buffer.offset + buffer.floats]

    memories = [memory(buffer) for buffer in program.buffers]

    def array(view: View) -> np.ndarray:
        return view_array(memories[view.buffer], view)

    array(program.input)[:] = x
    for step in program.steps:
        y = OPERATIONS[step.kind](step, *(array(view) for view in (step.x, step.factor) if view is not None))
        residual = 0 if step.residual is None else array(step.residual)
        y = y if step.late else y + residual
        y = ACTIVATE[step.activation](y)
        array(step.y)[:] = y + residual if step.late else y


def view_array(memory: np.ndarray, view: View) -> np.ndarray:
    """Return the array, (N, H, W, C), of a view of the memory of its buffer."""
    size = memory.itemsize
    strides = (*(stride * size for stride in view.strides), size)
    return np.lib.stride_tricks.as_strided(memory[view.offset :], view.shape, strides)


def _windows(step: Step, x: np.ndarray, fill: float) -> list[np.ndarray]:
    """Return the inputs at each tap of a kernel, (N, H', W', C) each."""
    kernel, (height, width) = step.kernel, step.y.size
    least = [(side - 1) * kernel.stride + (kernel.side - 1) * kernel.dilation + 1 for side in (height, width)]
    after = [max(0, need - side - kernel.padding) for need, side in zip(least, x.shape[1:3])]
    pads = [(0, 0), *((kernel.padding, more) for more in after), (0, 0)]
    x = np.pad(x, pads, constant_values=fill)
    offsets = [(line * kernel.dilation, position * kernel.dilation) for line in range(kernel.side) for position in range(kernel.side)]
    stop = [(side - 1) * kernel.stride + 1 for side in (height, width)]
    return [x[:, line : line + stop[0] : kernel.stride, at : at + stop[1] : kernel.stride] for line, at in offsets]


def _convolution(step: Step, x: np.ndarray) -> np.ndarray:
    assert step.matrix is not None
    y = step.matrix.bias
    for tap, weight in zip(_windows(step, x, 0.0), step.matrix.weight):
        y = y + tap @ weight
    return y


def _depthwise(step: Step, x: np.ndarray) -> np.ndarray:
    assert step.matrix is not None
    y = step.matrix.bias
    for tap, weight in zip(_windows(step, x, 0.0), step.matrix.weight):
        y = y + tap * weight
    return y


def _max_pool(step: Step, x: np.ndarray) -> np.ndarray:
    return np.max(_windows(step, x, -np.inf), axis=0)


def _average_pool(step: Step, x: np.ndarray) -> np.ndarray:
    ones = np.ones((1, *x.shape[1:3], 1), np.float32)
    return np.sum(_windows(step, x, 0.0), axis=0) / np.sum(_windows(step, ones, 0.0), axis=0)


def _resize(step: Step, x: np.ndarray) -> np.ndarray:
    lines, positions = step.lines, step.positions
    assert lines is not None and positions is not None
    share = lines.share[:, None, None]
    x = x[:, lines.low] * (1 - share) + x[:, lines.high] * share
    share = positions.share[:, None]
    return x[:, :, positions.low] * (1 - share) + x[:, :, positions.high] * share


def _attention(step: Step, x: np.ndarray) -> np.ndarray:
    """Attend along one axis: see :mod:`axialzoo.torch.attention`; N, O, G, T, S, D as there."""
    arrays, matrix = step.attention, step.matrix
    assert arrays is not None and matrix is not None
    x = x.swapaxes(1, 2) if arrays.axis == 0 else x  # (N, O, L, C)
    projected = x @ matrix.weight[0] + matrix.bias
    keys, length, heads = arrays.heads * arrays.key_depth, x.shape[2], arrays.heads
    parts = np.split(projected, (keys, 2 * keys), axis=3)
    q, k, v = (part.reshape(*part.shape[:3], -1, heads).transpose(0, 1, 4, 2, 3) for part in parts)  # (N, O, G, L, D)
    distance = np.arange(length) - np.arange(length)[:, None]  # (T, S)
    reach = arrays.reach
    rq, rk, rv = (None if t is None else t[distance.clip(-reach, reach) + len(t) // 2] for t in arrays.tables)  # (T, S, D)
    a, b, c = arrays.scales[:, :, None, None]  # (G, 1, 1)
    logits = np.zeros((*q.shape[:4], length), x.dtype)
    if arrays.content_similarity:
        logits += a * (q @ k.swapaxes(3, 4))
    if rq is not None:
        logits += b * np.einsum("nogtd,tsd->nogts", q, rq)
    if rk is not None:
        logits += c * np.einsum("nogsd,tsd->nogts", k, rk)
    logits[..., abs(distance) > reach] = -np.inf
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    y = arrays.shift.reshape(-1, heads).T[:, None]  # (G, 1, Dv)
    if arrays.content_value:
        y = y + p @ v
    if rv is not None:
        factor = 1.0 if arrays.position_scale is None else arrays.position_scale.reshape(-1, heads).T[:, None]
        y = y + factor * np.einsum("nogts,tsd->nogtd", p, rv)
    y = y.transpose(0, 1, 3, 4, 2).reshape(*x.shape[:3], -1)  # (N, O, L, V), head fastest
    return y.swapaxes(1, 2) if arrays.axis == 0 else y


def _sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


_erf = np.vectorize(math.erf, otypes=[np.float32])
OPERATIONS: dict[str, Callable[..., np.ndarray]] = {
    "convolution": _convolution,
    "depthwise": _depthwise,
    "attention": _attention,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "mean": lambda step, x: x.mean((1, 2), keepdims=True),
    "resize": _resize,
    "sum": lambda step, x: x,
    "scale": lambda step, x, factor: x * factor,
    **TOKEN_OPERATIONS,
}
ACTIVATE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x * np.float32(0.5**0.5))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.float32((2 / np.pi) ** 0.5) * (x + 0.044715 * x**3))),
    "silu": lambda x: x * _sigmoid(x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) * 0.16667,
}
