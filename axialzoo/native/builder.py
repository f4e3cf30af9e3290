"""Builder of programs: each method appends operations and returns the map that they write."""

from __future__ import annotations

import numpy as np

from axialzoo.native.program import ACTIVATIONS, Buffer, Kernel, Matrix, Program, Step, Taps, View
from axialzoo.native.weights import Weights
from axialzoo.spec import Attention, SpecError


class NoPlan(SpecError):
    """Error for a network, or a part of one, that the native runtime cannot run; the message names it."""


def no_plan(part: str) -> NoPlan:
    """Return the error for a part of a network, such as ``"the head 'unet'"``."""
    return NoPlan(f'the native runtime has no plan for {part}; use framework="torch"')


class Builder:
    """Appends operations to a program for one batch and size.

    Args:
        weights: Weights of the checkpoint.
        shape: (N, H, W, C) of the images.
    """

    def __init__(self, weights: Weights, shape: tuple[int, int, int, int]):
        self.weights = weights
        self.steps: list[Step] = []
        self.buffers: list[Buffer] = []
        self._activated: dict[tuple[View, str], View] = {}
        self.image = self.new(shape[0], shape[1:3], shape[3])

    def new(self, batch: int, size: tuple[int, int], channels: int) -> View:
        """Return a map in a new buffer."""
        height, width = size
        self.buffers.append(Buffer(batch * height * width * channels, line=width * channels))
        return View(len(self.buffers) - 1, (batch, height, width, channels), (height * width * channels, width * channels, channels))

    def constant(self, values: np.ndarray, shape: tuple[int, int, int, int], strides: tuple[int, int, int]) -> View:
        """Return a map of constant values that repeats wherever a stride is 0."""
        self.buffers.append(Buffer(values.size, np.ascontiguousarray(values, np.float32)))
        return View(len(self.buffers) - 1, shape, strides)

    def append(self, step: Step) -> View:
        """Append an operation, and return its result."""
        if step.activation not in ACTIVATIONS:
            raise no_plan(f"the activation {step.activation!r}")
        self.steps.append(step)
        return step.y

    def convolution(
        self, name: str, x: View, matrix: Matrix, *, stride: int = 1, dilation: int = 1, residual: View | None = None,
        activation: str = "none", out: View | None = None,
    ) -> View:  # fmt: skip
        """Append a convolution, padded by half its kernel on each side; a 1x1 convolution may have a stride."""
        taps = len(matrix.weight)
        side = round(taps**0.5)
        kernel = Kernel(side, stride, dilation, dilation * (side // 2))
        depthwise = matrix.weight.ndim == 2
        if side == 1:
            x, kernel = x.every((stride, stride)), Kernel()
        size = (-(-x.shape[1] // kernel.stride), -(-x.shape[2] // kernel.stride))
        y = self.new(x.shape[0], size, matrix.weight.shape[-1]) if out is None else out
        kind = "depthwise" if depthwise else "convolution"
        return self.append(Step(kind, name, x, y, matrix, residual, None, activation, kernel=kernel))

    def conv_norm(
        self, name: str, x: View, *, stride: int = 1, dilation: int = 1, residual: View | None = None, activation: str = "none",
        out: View | None = None, order: np.ndarray | None = None,
    ) -> View:  # fmt: skip
        """Append a convolution and its norm, ``NAME.conv`` and ``NAME.norm``."""
        matrix = self.weights.conv(f"{name}.conv", f"{name}.norm", False, order)
        return self.convolution(name, x, matrix, stride=stride, dilation=dilation, residual=residual, activation=activation, out=out)

    def biased(self, name: str, x: View, *, stride: int = 1, activation: str = "none") -> View:
        """Append a convolution or a linear layer with bias."""
        return self.convolution(name, x, self.weights.conv(name, None, True), stride=stride, activation=activation)

    def separable(self, name: str, parts: list[View], activation: str) -> View:
        """Append a depthwise and a 1x1 convolution, each normalised and activated, of maps whose channels follow one another."""
        total = self.new(parts[0].shape[0], parts[0].size, sum(x.channels for x in parts))
        first = 0
        for x in parts:
            matrix = self.weights.depthwise(f"{name}.depthwise.conv", f"{name}.depthwise.norm", first, x.channels)
            self.convolution(f"{name}.depthwise", x, matrix, activation=activation, out=total.part(first, x.channels))
            first += x.channels
        return self.conv_norm(f"{name}.pointwise", total, activation=activation)

    def attention(self, name: str, x: View, spec: Attention, axis: int, order: np.ndarray | None = None, activation: str = "none") -> View:
        """Append an axial attention layer; its result has its channels with the head index fastest."""
        length = x.size[axis]
        if spec.encoding != "relative":
            values = self.weights.positions(f"{name}.position", spec, length, x.channels)
            values = values if order is None else values[:, order]
            strides = (0, x.channels, 0) if axis == 0 else (0, 0, x.channels)
            x = self.add(f"{name}.position", x, self.constant(values, x.shape, strides))
        matrix, arrays = self.weights.attention(name, spec, axis, length, order)
        fused = activation if activation in ("none", "relu") else "none"
        y = self.append(
            Step("attention", name, x, self.new(x.shape[0], x.size, spec.value_channels), matrix, None, None, fused, attention=arrays)
        )
        return y if fused == activation else self.activate(y, activation)

    def pool(self, kind: str, name: str, x: View, kernel: Kernel, activation: str = "none") -> View:
        """Append a ``"max_pool"`` or an ``"average_pool"``."""
        size = (-(-x.shape[1] // kernel.stride), -(-x.shape[2] // kernel.stride))
        return self.append(Step(kind, name, x, self.new(x.shape[0], size, x.channels), activation=activation, kernel=kernel))

    def mean(self, name: str, x: View) -> View:
        """Append the mean over all positions: (N, H, W, C) to (N, 1, 1, C)."""
        return self.append(Step("mean", name, x, self.new(x.shape[0], (1, 1), x.channels)))

    def add(self, name: str, x: View, residual: View | None, *, activation: str = "none", out: View | None = None) -> View:
        """Append ``activation(x + residual)``, or a copy of x."""
        y = self.new(x.shape[0], x.size, x.channels) if out is None else out
        return self.append(Step("sum", name, x, y, residual=residual, activation=activation))

    def activate(self, x: View, activation: str) -> View:
        """Append an activation, once for each map."""
        if activation == "none":
            return x
        if (x, activation) not in self._activated:
            self._activated[x, activation] = self.add(activation, x, None, activation=activation)
        return self._activated[x, activation]

    def scale(self, name: str, x: View, factor: View, residual: View, activation: str) -> View:
        """Append ``activation(x * factor + residual)`` for a factor of each channel, (N, 1, 1, C)."""
        y = self.new(x.shape[0], x.size, x.channels)
        return self.append(Step("scale", name, x, y, None, residual, factor, activation))

    def resize(
        self, name: str, x: View, axes: tuple[Taps, Taps], *, residual: View | None = None, activation: str = "none", late: bool = False,
        out: View | None = None,
    ) -> View:  # fmt: skip
        """Append a linear interpolation of rows and columns; a map that stays as it is needs none."""
        size = (len(axes[0].low), len(axes[1].low))
        y = self.new(x.shape[0], size, x.channels) if out is None else out
        return self.append(
            Step("resize", name, x, y, residual=residual, activation=activation, late=late, lines=axes[0], positions=axes[1])
        )

    def program(self, outputs: dict[str, View | list[View]]) -> Program:
        """Return the program with these outputs."""
        return Program(self.steps, self.buffers, self.image, outputs)


def aligned(before: int, after: int) -> Taps:
    """Return an interpolation of an axis whose end positions are aligned."""
    place = np.arange(after) * ((before - 1) / max(after - 1, 1))
    return taps(place, before)


def centred(before: int, after: int, scale: float | None = None) -> Taps:
    """Return an interpolation of an axis whose pixel centres are aligned; `scale` is ``before / after`` unless said."""
    place = np.maximum((np.arange(after) + 0.5) * (before / after if scale is None else scale) - 0.5, 0.0)
    return taps(place, before)


def repeated(after: int) -> Taps:
    """Return an interpolation that repeats each position."""
    low = np.arange(after, dtype=np.int64) // 2
    return Taps(low, low, np.zeros(after, np.float32))


def taps(place: np.ndarray, before: int) -> Taps:
    """Return the interpolation that reads at these places of an axis."""
    low = np.minimum(np.floor(place).astype(np.int64), before - 1)
    return Taps(low, np.minimum(low + 1, before - 1), (place - low).astype(np.float32))
