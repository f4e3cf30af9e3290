"""Flat programs: the operations of a network in evaluation, for one batch and size, on maps in one arena. No framework."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from axialzoo.native.attention_arrays import Attention2DArrays, AttentionArrays, pair_products

KINDS = (  # as in source/axial.h; "strips" is no operation, but several that run together
    "convolution", "depthwise", "attention", "max_pool", "average_pool", "mean", "resize", "sum", "scale", "strips", "attention_2d",
    "layer_norm", "unit_norm", "token_product", "cluster_sums",
)  # fmt: skip
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
        offset: Of its first float in the arena; -1 for a constant, and for a map that lives in strips of rows.
        line: Floats of a row of the map.
    """

    floats: int
    constant: np.ndarray | None = None
    offset: int = -1
    line: int = 0


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
            return pairs * pair_products(self.attention2d, self.attention2d.axes[0].tables, c)
        if self.attention is None:
            return 0
        assert self.matrix is not None
        arrays, length = self.attention, self.x.size[self.attention.axis]
        reach = min(arrays.reach, length - 1)
        pairs = (length * (2 * reach + 1) - reach * (reach + 1)) * (n * h * w // length)
        return n * h * w * self.matrix.weight.size + pairs * pair_products(arrays, arrays.tables, c)

    @property
    def bytes(self) -> int:
        """Bytes of the maps and weights that the operation touches once."""
        maps = 4 * sum(math.prod(view.shape) for view in (self.y, *self.reads()))
        return maps + (0 if self.matrix is None else self.matrix.bytes)


@dataclass(eq=False)
class Strips:
    """Consecutive operations that run together: all of them for some rows of their results, then for the next rows.

    Attributes:
        first, last: The first operation, and the one after the last.
        rows: (strips, operations, 2), int64: rows of each result that a strip needs, the first and the one after the last.
        local: Buffers that no other operation uses: each thread has a ring of rows of them, in memory of its own. The offset in this
            memory, and how many rows there are, a power of two.
        floats: Size of the memory.
    """

    first: int
    last: int
    rows: np.ndarray
    local: dict[int, tuple[int, int]]
    floats: int


@dataclass(eq=False)
class Program:
    """Operations in order, on buffers.

    Attributes:
        steps, buffers: The operations, and the memory of their maps.
        input: The images.
        outputs: The outputs by name.
        floats: Size of the arena.
        strips: Groups of operations that run together, in order.
    """

    steps: list[Step]
    buffers: list[Buffer]
    input: View
    outputs: Maps
    floats: int = 0
    strips: list[Strips] = field(default_factory=list)

    def output_views(self) -> Iterator[View]:
        """Yield the maps of all outputs."""
        for value in self.outputs.values():
            yield from value if isinstance(value, list) else [value]

    @cached_property
    def multiply_adds(self) -> int:
        return sum(step.multiply_adds for step in self.steps)
