"""Flat programs: the operations of a network in evaluation, for one batch and size, on maps in one arena. No framework."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

KINDS = (
    "convolution", "depthwise", "attention", "max_pool", "average_pool", "mean", "resize", "sum", "scale", "attention_2d", "layer_norm",
    "unit_norm", "token_product", "cluster_sums",
)  # fmt: skip  # as in source/axial.h
ACTIVATIONS = ("none", "relu", "gelu", "gelu_tanh", "silu", "elu", "hard_sigmoid")  # as in source/axial.h
Maps = dict[str, "View | list[View]"]


@dataclass(frozen=True)
class View:
    """A map, or a part of its channels or positions, in a buffer of the arena. Strides are in floats; channels are contiguous.

    Attributes:
        buffer: Index of the buffer.
        shape: (N, H, W, C).
        strides: Of N, H and W.
        offset: Of the first element in the buffer.
    """

    buffer: int
    shape: tuple[int, int, int, int]
    strides: tuple[int, int, int]
    offset: int = 0

    @property
    def channels(self) -> int:
        return self.shape[3]

    @property
    def size(self) -> tuple[int, int]:
        return self.shape[1], self.shape[2]

    def part(self, first: int, channels: int) -> View:
        """Return the map of `channels` channels from `first` on."""
        return replace(self, shape=(*self.shape[:3], channels), offset=self.offset + first)

    def every(self, stride: tuple[int, int]) -> View:
        """Return the map of every so many rows and columns."""
        (n, h, w, c), (batch, line, position) = self.shape, self.strides
        shape = (n, -(-h // stride[0]), -(-w // stride[1]), c)
        return replace(self, shape=shape, strides=(batch, line * stride[0], position * stride[1]))

    def crop(self, height: int, width: int) -> View:
        """Return the map's first rows and columns."""
        return replace(self, shape=(self.shape[0], height, width, self.shape[3]))


@dataclass(eq=False)
class Buffer:
    """Memory of a map while it is in use.

    Attributes:
        floats: Its size.
        constant: Contents that a program reads alone, which lie outside the arena.
        offset: Of its first float in the arena; -1 for a constant.
    """

    floats: int
    constant: np.ndarray | None = None
    offset: int = -1


@dataclass(eq=False)
class Matrix:
    """A folded weight with its bias.

    Attributes:
        weight: (taps, inputs, outputs), float32; of a depthwise convolution (taps, channels); of an attention layer its projection.
        bias: (outputs,), float32.
    """

    weight: np.ndarray
    bias: np.ndarray
    packed: dict[str, np.ndarray] = field(default_factory=dict)  # layouts of an executor, by name

    @classmethod
    def of(cls, weight: np.ndarray, bias: np.ndarray) -> Matrix:
        """Return a matrix of float32 from arrays of any precision."""
        return cls(np.ascontiguousarray(weight, np.float32), np.ascontiguousarray(bias, np.float32))

    @property
    def bytes(self) -> int:
        return self.weight.nbytes + self.bias.nbytes


@dataclass(eq=False)
class Kernel:
    """Geometry of a convolution or a pooling."""

    side: int = 1
    stride: int = 1
    dilation: int = 1
    padding: int = 0


@dataclass(eq=False)
class AttentionArrays:
    """Arrays of axial attention for one length, beside the projection; float32, head fastest (see :mod:`axialzoo.ops.folding`).

    Attributes:
        axis: 0 attends along the height, 1 along the width.
        heads, key_depth: G, Dk.
        reach: Largest distance from a query to its keys.
        tables: Of queries, keys and values, (rows, D); None where there is no such term.
        scales: (3, G): factors of the terms of the logits.
        content_similarity, content_value: Whether there is q.k, and whether v is retrieved.
        position_scale: (V,), or None; shift: (V,).
        head_fastest: Whether the channels of the result lie as ``d * G + g``.
    """

    axis: int
    heads: int
    key_depth: int
    reach: int
    tables: tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]
    scales: np.ndarray
    content_similarity: bool
    content_value: bool
    position_scale: np.ndarray | None
    shift: np.ndarray
    head_fastest: bool


@dataclass(eq=False)
class AxisPairs:
    """Pairs of queries and keys along one axis.

    Attributes:
        reach: Largest distance from a query to its keys.
        window, offset: Side of the windows that keys share with their queries, or 0; the first begins `offset` before the map.
        tables: Of queries, keys and values, (rows, D / 2); None where there is no such term.
    """

    reach: int
    window: int = 0
    offset: int = 0
    tables: tuple[np.ndarray | None, ...] = (None, None, None)

    def visible(self, queries: int, keys: int) -> np.ndarray:
        """Return which keys each query sees: bool, (queries, keys)."""
        query, key = np.arange(queries)[:, None], np.arange(keys)
        near = abs(key - query) <= self.reach
        return near if not self.window else near & ((query + self.offset) // self.window == (key + self.offset) // self.window)


@dataclass(eq=False)
class Attention2DArrays:
    """Arrays of attention over both axes of a map, or of tokens; float32, head by head.

    Attributes:
        heads, key_depth: G, Dk.
        axes: The height and the width.
        scales: (3, G): factors of the terms of the logits.
        content_similarity, content_value: Whether there is q.k, and whether v is retrieved.
        value_scale, position_scale: (V,): factors of what is retrieved, or None.
        shift: (V,).
    """

    heads: int
    key_depth: int
    axes: tuple[AxisPairs, AxisPairs]
    scales: np.ndarray
    content_similarity: bool
    content_value: bool
    value_scale: np.ndarray | None
    position_scale: np.ndarray | None
    shift: np.ndarray


@dataclass(eq=False)
class Taps:
    """Linear interpolation along one axis: result i is ``(1 - share[i]) x[low[i]] + share[i] x[high[i]]``."""

    low: np.ndarray  # int64
    high: np.ndarray
    share: np.ndarray  # float32


@dataclass(eq=False)
class Step:
    """One operation of a program: ``y = activation(operation(x) + residual)``.

    Attributes:
        kind: One of `KINDS`.
        name: Name of the layer in the checkpoint, or of what it stands for.
        x, y: Input and result.
        factor: Second input: of `"scale"`, (N, 1, 1, C); of `"attention_2d"` the keys and values of the queries x, channel after channel;
            of `"token_product"` the tokens (N, 1, T, C); of `"cluster_sums"` the values of each position of the logits x.
        epsilon: Of `"layer_norm"`, added to the variance; of `"unit_norm"`, the least square.
        activation: One of `ACTIVATIONS`.
        late: The residual is added after the activation.
        lines, positions: Of `"resize"`: the interpolation of rows and of columns.
    """

    kind: str
    name: str
    x: View
    y: View
    matrix: Matrix | None = None
    residual: View | None = None
    factor: View | None = None
    activation: str = "none"
    late: bool = False
    kernel: Kernel = field(default_factory=Kernel)
    attention: AttentionArrays | None = None
    attention2d: Attention2DArrays | None = None
    epsilon: float = 0.0
    lines: Taps | None = None
    positions: Taps | None = None

    def reads(self) -> Iterator[View]:
        """Yield the maps that the operation reads."""
        yield from (view for view in (self.x, self.residual, self.factor) if view is not None)

    @property
    def multiply_adds(self) -> int:
        n, h, w, c = self.y.shape
        if self.kind in ("convolution", "depthwise"):
            inputs = self.x.channels if self.kind == "convolution" else 1
            return n * h * w * c * inputs * self.kernel.side**2
        if self.kind == "token_product":
            return n * h * w * c * self.x.channels
        if self.attention2d is not None and self.factor is not None:
            sides = zip(self.attention2d.axes, (h, w), self.factor.size)
            pairs = n * math.prod(int(axis.visible(queries, keys).sum()) for axis, queries, keys in sides)
            return pairs * _products(self.attention2d, self.attention2d.axes[0].tables, c)
        if self.attention is None:
            return 0
        assert self.matrix is not None
        arrays, length = self.attention, self.x.size[self.attention.axis]
        reach = min(arrays.reach, length - 1)
        pairs = (length * (2 * reach + 1) - reach * (reach + 1)) * (n * h * w // length)
        return n * h * w * self.matrix.weight.size + pairs * _products(arrays, arrays.tables, c)

    @property
    def bytes(self) -> int:
        """Bytes of the maps and weights that the operation touches once."""
        maps = 4 * sum(math.prod(view.shape) for view in (self.y, *self.reads()))
        return maps + (0 if self.matrix is None else self.matrix.bytes)


def _products(arrays: AttentionArrays | Attention2DArrays, tables: Sequence[np.ndarray | None], channels: int) -> int:
    """Return the multiply-adds of a pair of a query and a key, all heads together."""
    logits = arrays.content_similarity + sum(table is not None for table in tables[:2])
    retrieved = arrays.content_value + (tables[2] is not None)
    return logits * arrays.heads * arrays.key_depth + retrieved * channels


@dataclass(eq=False)
class Program:
    """Operations in order, on buffers.

    Attributes:
        steps, buffers: The operations, and the memory of their maps.
        input: The images.
        outputs: The outputs by name.
        floats: Size of the arena.
    """

    steps: list[Step]
    buffers: list[Buffer]
    input: View
    outputs: Maps
    floats: int = 0

    def output_views(self) -> Iterator[View]:
        """Yield the maps of all outputs."""
        for value in self.outputs.values():
            yield from value if isinstance(value, list) else [value]

    @cached_property
    def multiply_adds(self) -> int:
        return sum(step.multiply_adds for step in self.steps)
