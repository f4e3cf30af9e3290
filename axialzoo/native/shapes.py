"""Weights of a network that has none yet: their shapes, for a plan that is looked at and not run."""

from __future__ import annotations

import numpy as np

from axialzoo.native.program import Matrix
from axialzoo.native.weights import Weights
from axialzoo.ops.folding import FoldedAttention
from axialzoo.spec import Attention, Model, parameters
from axialzoo.spec.attention import POSITION_TABLES


class Shapes(Weights):
    """Arrays of the right shapes that hold zeros and take no memory.

    Args:
        spec: The network.
    """

    def __init__(self, spec: Model):
        super().__init__({parameter.name: zeros(*parameter.shape) for parameter in parameters(spec)}, spec.backbone.norm.epsilon)

    def conv(self, name: str, norm: str | None, bias: bool, order: np.ndarray | None = None, scale: str | None = None) -> Matrix:
        outputs, inputs, *side = self.tensors[f"{name}.weight"].shape
        return Matrix(zeros(int(np.prod(side, dtype=int)), inputs, outputs), zeros(outputs))

    def depthwise(self, name: str, norm: str, first: int, channels: int) -> Matrix:
        matrix, end = self.conv(name, norm, False), first + channels
        return Matrix(matrix.weight[:, 0, first:end], matrix.bias[first:end])

    def fold_attention(self, name: str, spec: Attention) -> FoldedAttention:
        width = 2 * spec.key_channels + spec.value_channels
        tables = tuple(self.tensors.get(f"{name}.{table}") for table in POSITION_TABLES)
        inputs = self.tensors[f"{name}.qkv.weight"].shape[1]
        return FoldedAttention(zeros(width, inputs), zeros(width), tables, zeros(3, spec.heads), None, zeros(spec.value_channels))


def zeros(*shape: int) -> np.ndarray:
    """Return zeros of a shape in the memory of one."""
    return np.broadcast_to(np.float32(0), shape)
