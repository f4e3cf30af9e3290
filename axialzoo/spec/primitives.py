"""Primitive layers: each knows its own tensors and its own cost. A model is a list of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from axialzoo.spec.attention import Attention
from axialzoo.spec.window import Window

# role -> (name of the variable in Keras, permutation from PyTorch's layout to Keras's, trainable)
ROLES: dict[str, tuple[str, tuple[int, ...] | None, bool]] = {
    "conv": ("kernel", (2, 3, 1, 0), True),  # (O, I, h, w) -> (h, w, I, O)
    "depthwise": ("kernel", (2, 3, 0, 1), True),  # (C, 1, h, w) -> (h, w, C, 1)
    "linear": ("kernel", (1, 0), True),  # (O, I) -> (I, O)
    "bias": ("bias", None, True),
    "norm_scale": ("gamma", None, True),
    "norm_shift": ("beta", None, True),
    "norm_mean": ("moving_mean", None, False),
    "norm_variance": ("moving_variance", None, False),
    "position": ("", None, True),  # keeps its name
    "scale": ("", None, True),  # keeps its name
}


DECAYED = ("conv", "depthwise", "linear")  # roles


@dataclass(frozen=True)
class Parameter:
    """A tensor of the checkpoint.

    Attributes:
        name: Canonical and dotted, as in PyTorch's ``state_dict``.
        shape: In PyTorch's layout.
        role: A key of `ROLES`: what it is, hence how Keras names and lays it out.
    """

    name: str
    shape: tuple[int, ...]
    role: str

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def trainable(self) -> bool:
        return ROLES[self.role][2]

    @property
    def decays(self) -> bool:
        """Tell whether weight decay applies: to kernels and projections, not to norms, biases, positions, position tables or gates."""
        return self.role in DECAYED

    @property
    def keras_name(self) -> str:
        """The path of the Keras variable, dots for slashes."""
        owner, _, leaf = self.name.rpartition(".")
        return f"{owner}.{ROLES[self.role][0] or leaf}"

    @property
    def keras_order(self) -> tuple[int, ...] | None:
        """The permutation from PyTorch's layout to Keras's, or None where they agree."""
        return ROLES[self.role][1]

    @property
    def keras_shape(self) -> tuple[int, ...]:
        order = self.keras_order
        return self.shape if order is None else tuple(self.shape[axis] for axis in order)


class LayerCost(NamedTuple):
    """Cost of one layer for one image: see :class:`axialzoo.spec.Cost`."""

    multiply_adds: int
    attention_multiply_adds: int
    activation_bytes: int


@dataclass(frozen=True)
class Layer:
    """A primitive layer and where it runs.

    Attributes:
        name: Its canonical name, which its tensors begin with.
        inputs, outputs: Channels.
        stride: Total stride, rows and columns, of what it *produces*: its height is ``ceil(height / stride[0])``. None for
            a layer that runs once an image, on a mean over all positions.
        shared_strides: Further strides at which the same weights run.
    """

    op: ClassVar[str]
    name: str
    inputs: int
    outputs: int
    stride: tuple[int, int] | None = (1, 1)
    shared_strides: tuple[tuple[int, int], ...] = ()

    def tensors(self) -> Iterator[Parameter]:
        """Yield the layer's tensors in a checkpoint, in order."""
        raise NotImplementedError

    def macs_per_position(self) -> int:
        """Return the multiply-adds of each position."""
        return 0

    def cost(self, size: tuple[int, int]) -> LayerCost:
        """Return the cost in a model whose input has `size` (height, width)."""
        positions = sum(_positions(size, stride) for stride in (self.stride, *self.shared_strides))
        return LayerCost(positions * self.macs_per_position(), 0, 4 * positions * self.outputs)


def _positions(size: tuple[int, int], stride: tuple[int, int] | None) -> int:
    return 1 if stride is None else math.prod(-(-side // step) for side, step in zip(size, stride))


@dataclass(frozen=True)
class Conv(Layer):
    """A convolution of a square kernel; without bias unless it says so."""

    op: ClassVar[str] = "conv"
    kernel: int = 1
    bias: bool = False

    def tensors(self) -> Iterator[Parameter]:
        yield Parameter(f"{self.name}.weight", (self.outputs, self.inputs, self.kernel, self.kernel), "conv")
        if self.bias:
            yield Parameter(f"{self.name}.bias", (self.outputs,), "bias")

    def macs_per_position(self) -> int:
        return self.outputs * self.inputs * self.kernel**2


@dataclass(frozen=True)
class Depthwise(Layer):
    """A convolution of each channel by itself, without bias."""

    op: ClassVar[str] = "depthwise"
    kernel: int = 3

    def tensors(self) -> Iterator[Parameter]:
        yield Parameter(f"{self.name}.weight", (self.outputs, 1, self.kernel, self.kernel), "depthwise")

    def macs_per_position(self) -> int:
        return self.outputs * self.kernel**2


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalisation."""

    op: ClassVar[str] = "norm"

    def tensors(self) -> Iterator[Parameter]:
        yield from norm_tensors(self.name, self.outputs)


@dataclass(frozen=True)
class Gate(Layer):
    """A 1x1 convolution with bias on the mean over all positions (squeeze-and-excite in one layer)."""

    op: ClassVar[str] = "gate"

    def tensors(self) -> Iterator[Parameter]:
        yield Parameter(f"{self.name}.weight", (self.outputs, self.inputs, 1, 1), "conv")
        yield Parameter(f"{self.name}.bias", (self.outputs,), "bias")

    def macs_per_position(self) -> int:
        return self.inputs * self.outputs


@dataclass(frozen=True)
class Linear(Layer):
    """A linear layer with bias on the mean over all positions."""

    op: ClassVar[str] = "linear"

    def tensors(self) -> Iterator[Parameter]:
        yield Parameter(f"{self.name}.weight", (self.outputs, self.inputs), "linear")
        yield Parameter(f"{self.name}.bias", (self.outputs,), "bias")

    def macs_per_position(self) -> int:
        return self.inputs * self.outputs


@dataclass(frozen=True)
class Scale(Layer):
    """A learned factor, one number."""

    op: ClassVar[str] = "scale"

    def tensors(self) -> Iterator[Parameter]:
        yield Parameter(self.name, (1,), "scale")


NO_ATTENTION = Attention(1, 1, 1)  # a default, since the fields before have defaults


@dataclass(frozen=True)
class AttentionLayer(Layer):
    """An attention layer with its projection and norms; `axis` 0 attends along the height, 1 along the width, None along both."""

    op: ClassVar[str] = "attention"
    attention: Attention = NO_ATTENTION
    axis: int | None = 0

    def tensors(self) -> Iterator[Parameter]:
        attention, name = self.attention, self.name
        width = 2 * attention.key_channels + attention.value_channels
        yield Parameter(f"{name}.qkv.weight", (width, self.inputs), "linear")  # rows: all q, all k, all v, each head by head
        yield from norm_tensors(f"{name}.norm_qkv", width)
        for table, shape in attention.tables(self.inputs).items():
            yield Parameter(f"{name}.{table}", shape, "position")  # row of a relative one: key - query + positions - 1
        if attention.gated:
            yield Parameter(f"{name}.gates", (len(attention.gates),), "position")
        yield from norm_tensors(f"{name}.norm_similarity", len(attention.similarity) * attention.heads)  # term by term, head by head
        yield from norm_tensors(f"{name}.norm_output", len(attention.value) * attention.value_channels)  # content, then position

    def cost(self, size: tuple[int, int]) -> LayerCost:
        attention, stride = self.attention, self.stride or (1, 1)
        height, width = (-(-side // step) for side, step in zip(size, stride))
        qkv = 2 * attention.key_channels + attention.value_channels
        pairs = attended_pairs(attention, (height, width), self.axis)
        attention_macs = pairs * (len(attention.similarity) * attention.key_channels + len(attention.value) * attention.value_channels)
        channels = 2 * qkv + (len(attention.value) + 1) * attention.value_channels
        elements = height * width * channels + pairs * attention.heads * (len(attention.similarity) + 1)
        return LayerCost(height * width * self.inputs * qkv + attention_macs, attention_macs, 4 * elements)


def norm_tensors(name: str, width: int) -> Iterator[Parameter]:
    """Yield the four tensors of a batch norm over `width` channels."""
    yield Parameter(f"{name}.weight", (width,), "norm_scale")
    yield Parameter(f"{name}.bias", (width,), "norm_shift")
    yield Parameter(f"{name}.running_mean", (width,), "norm_mean")
    yield Parameter(f"{name}.running_var", (width,), "norm_variance")


def attended_pairs(attention: Attention, size: tuple[int, int], axis: int | None) -> int:
    """Return the number of (query, key) pairs of a map of (height, width); axis None attends along both.

    A window around a position counts as whole at the map's edges too, as a convolution's kernel does. This reproduces the
    multiply-adds of arXiv:2003.07853, Table 1.
    """
    if attention.kind == "local":
        return size[0] * size[1] * (2 * attention.reach(attention.max_length) + 1) ** 2
    pairs = [Window.of(side, attention).pairs for side in size]
    return pairs[0] * pairs[1] if axis is None else pairs[axis] * size[1 - axis]


def conv_norm(
    name: str, inputs: int, outputs: int, kernel: int, stride: int | None, shared_strides: tuple[int, ...] = ()
) -> Iterator[Layer]:
    """Yield a convolution without bias and its norm, ``NAME.conv`` and ``NAME.norm``."""
    strides, shared = None if stride is None else (stride, stride), tuple((step, step) for step in shared_strides)
    yield Conv(f"{name}.conv", inputs, outputs, strides, shared, kernel)
    yield BatchNorm(f"{name}.norm", outputs, outputs, strides, shared)


def separable(name: str, inputs: int, outputs: int, kernel: int, stride: int) -> Iterator[Layer]:
    """Yield a depthwise convolution and a 1x1 convolution, each with its norm: ``NAME.depthwise`` and ``NAME.pointwise``."""
    strides = (stride, stride)
    yield Depthwise(f"{name}.depthwise.conv", inputs, inputs, strides, (), kernel)
    yield BatchNorm(f"{name}.depthwise.norm", inputs, inputs, strides)
    yield from conv_norm(f"{name}.pointwise", inputs, outputs, 1, stride)
