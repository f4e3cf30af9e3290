"""Operations of attention over both axes of a map, and the arrays of these operations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from axialzoo.native.attention_arrays import Attention2DArrays, AxisPairs
from axialzoo.native.builder import Builder
from axialzoo.native.program import Matrix, Step, View
from axialzoo.native.weights import Weights, head_fastest, interpolate, sinusoids
from axialzoo.ops.kernels.structures import AxialAttention2D, AxialAxis
from axialzoo.spec import Attention
from axialzoo.spec.attention import POSITION_TABLES
from axialzoo.spec.window import Window

AXES = ("_height", "_width")


def plan_attention2d(build: Builder, name: str, spec: Attention, x: View) -> View:
    """Append an attention layer of any kind but axial; its result has its channels head by head, and is not activated."""
    if spec.encoding != "relative":
        strides = (0, x.shape[2] * x.channels, x.channels)
        x = build.add(f"{name}.position", x, build.constant(positions(build.weights, name, spec, x), x.shape, strides))
    matrix, arrays = fold_attention2d(build.weights, name, spec, x.size)
    joined = build.convolution(f"{name}.qkv", x, matrix)
    return attend(
        build, name, joined.part(0, spec.key_channels), joined.part(spec.key_channels, matrix.weight.shape[2] - spec.key_channels), arrays
    )


def attend(build: Builder, name: str, queries: View, others: View, arrays: Attention2DArrays, activation: str = "none") -> View:
    """Append the attention of `queries`, (N, H, W, K), to keys and values, (N, h, w, K + V)."""
    y = build.new(queries.shape[0], queries.size, others.channels - queries.channels)
    return build.append(Step("attention_2d", name, queries, y, factor=others, activation=activation, attention2d=arrays))


def fold_attention2d(weights: Weights, name: str, spec: Attention, size: tuple[int, int]) -> tuple[Matrix, Attention2DArrays]:
    """Return the projection of an attention layer over both axes, and its arrays for maps of one size."""
    folded = weights.fold_attention_once(name, spec)
    key, value = (np.argsort(head_fastest(channels, spec.heads)) for channels in (spec.key_channels, spec.value_channels))
    rows = np.concatenate([key, spec.key_channels + key, 2 * spec.key_channels + value])
    matrix = weights.once(f"{name}|projection", lambda: Matrix.of(folded.weight[rows].T[None], folded.bias[rows]))
    arrays = Attention2DArrays(
        spec.heads, spec.key_depth, (_pairs(weights, name, spec, 0, size), _pairs(weights, name, spec, 1, size)),
        folded.scales.astype(np.float32), "content" in spec.similarity, "content" in spec.value, None,
        None if folded.position_scale is None else folded.position_scale[value].astype(np.float32), folded.shift[value].astype(np.float32),
    )  # fmt: skip
    return matrix, arrays


def _pairs(weights: Weights, name: str, spec: Attention, axis: int, size: tuple[int, int]) -> AxisPairs:
    length, window = size[axis], Window.of(size[axis], spec)
    gates = dict(zip(spec.gates, np.asarray(weights.tensors[f"{name}.gates"], np.float64))) if spec.gated else {}

    def table(term: str) -> np.ndarray | None:
        tensor = weights.tensors.get(f"{name}.{term}{AXES[axis]}")
        if tensor is None:
            return None
        rows = np.asarray(tensor, np.float64) * gates.get(term, 1.0)
        interpolated = spec.beyond_tables == "interpolate" and length > spec.max_length
        return np.ascontiguousarray(interpolate(rows, 2 * length - 1) if interpolated else rows, np.float32)

    side, offset = (window.queries, window.offset) if spec.kind == "window" else (0, 0)
    return AxisPairs(window.reach, side, offset, tuple(table(term) for term in POSITION_TABLES))


def positions(weights: Weights, name: str, spec: Attention, x: View) -> np.ndarray:
    """Return the vectors of absolute positions or sines, (H, W, C): the sum of those of both axes, or half of the channels for each."""
    (height, width), channels = x.size, x.channels
    if spec.encoding == "absolute":
        rows, columns = (weights.positions(f"{name}.position{axis}", spec, side, channels) for axis, side in zip(AXES, x.size))
        return rows[:, None] + columns
    rows, columns = sinusoids(height, channels - channels // 2), sinusoids(width, channels // 2)
    parts = [np.broadcast_to(part, (height, width, part.shape[-1])) for part in (rows[:, None], columns)]
    return np.concatenate(parts, axis=2)


def kernel_structure(step: Step, address: Callable[[np.ndarray | None], int]) -> AxialAttention2D:
    """Return the kernel's structure of an operation; `address` keeps an array alive and returns where it lies."""
    arrays, keys = step.attention2d, step.factor
    assert arrays is not None and keys is not None

    def axis(pairs: AxisPairs) -> AxialAxis:
        rows = next((len(table) for table in pairs.tables if table is not None), 1)
        return AxialAxis(pairs.reach, pairs.window, pairs.offset, rows // 2, *map(address, pairs.tables))

    content, query, key = (address(arrays.scales) + 4 * term * arrays.heads for term in range(3))  # addresses of floats
    return AxialAttention2D(
        arrays.heads, arrays.key_depth, step.y.channels // arrays.heads, *keys.size, arrays.content_value,
        content * arrays.content_similarity, query, key, address(arrays.value_scale), address(arrays.position_scale), address(arrays.shift),
        *map(axis, arrays.axes),
    )  # fmt: skip
