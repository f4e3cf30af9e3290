"""Modules of an optimised model: norms folded, attention on the inference operator, 1x1 convolutions as matrix products."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from axialzoo.ops.attributes import TABLES, AttentionAttributes
from axialzoo.ops.folding import FoldedAttention, fold_attention, fold_conv, head_fastest, pack
from axialzoo.ops.torch import gpu, inference
from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.blocks import ConvNorm, ResidualBlock, average_pool
from axialzoo.torch.norm import Activation


class Folded(nn.Module):
    """A module of an optimised model."""

    def train(self, mode: bool = True):
        if mode:
            raise ValueError(f"{type(self).__name__}: expected an evaluation, found train(); train the model that this was made of")
        return super().train(mode)

    def _register_buffers(self, like: Tensor, **arrays: np.ndarray | None) -> None:
        for name, array in arrays.items():
            value = None if array is None else torch.from_numpy(np.ascontiguousarray(array)).to(like.device, like.dtype)
            self.register_buffer(name, value)


def tensors_of(module: nn.Module) -> dict[str, np.ndarray]:
    """Return the tensors of a module as float64 arrays, by name."""
    return {name: tensor.detach().cpu().double().numpy() for name, tensor in module.state_dict().items()}


class FoldedConv(Folded):
    """A convolution and its norm; a matrix product for 1x1 convolutions.

    Args:
        source: The module that it replaces.
        order: Input channel of `source` at each channel of the map, if the map has them in another order.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, source: ConvNorm, order: np.ndarray | None = None):
        super().__init__()
        conv = source.conv
        weight, bias = fold_conv(tensors_of(source), "", source.norm.eps)
        weight = weight if order is None else weight[:, order]
        self.outputs, self.stride, self.dilation, self.groups = (
            conv.out_channels,
            conv.stride[0] * source.step,
            conv.dilation[0],
            conv.groups,
        )
        self.padding = self.dilation * (conv.kernel_size[0] // 2)
        self.product = conv.kernel_size == (1, 1) and conv.groups == 1
        if self.product:
            weight, bias = pack(weight[:, :, 0, 0], bias)
        self._register_buffers(conv.weight, weight=weight, bias=bias)
        if not self.product:
            self.weight = self.weight.contiguous(memory_format=torch.channels_last)

    def forward(self, x: Tensor, residual: Tensor | None = None, activation: Activation | None = None) -> Tensor:
        """Return ``activation(residual + convolution(x))``: (N, I, H, W), (N, O, H', W') to (N, O, H', W')."""
        relu = activation is F.relu
        if self.product:
            x = x[:, :, :: self.stride, :: self.stride]
            y = torch.ops.axialzoo.linear(x, self.weight, self.bias, residual, self.outputs, relu)
        else:
            x = x.contiguous(memory_format=torch.channels_last)
            y = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
            y = y if residual is None else y.add_(residual)
            y = y.relu_() if relu else y
        return y if relu or activation is None else activation(y)


class FoldedAxialAttention(Folded):
    """An axial attention layer without norms, on the fused kernel.

    Args:
        source: The module that it replaces.
        order: Input channel of `source` at each channel of the map, if the map has them in another order.
        head_fastest: Whether its output channels lie with the head index fastest; the next layer then needs that `order`.
        relu: Whether it activates its result.
    """

    def __init__(self, source: AxialAttention, order: np.ndarray | None = None, head_fastest: bool = False, relu: bool = False):
        super().__init__()
        spec = source.spec
        self.spec, self.axis, self.head_fastest, self.relu = spec, source.axis, head_fastest, relu
        interpolate = spec.beyond_tables == "interpolate"
        attributes = AttentionAttributes.of(spec, source.axis, head_fastest=head_fastest, interpolate=interpolate, relu=relu)
        self.attributes = attributes.flat()
        folded = fold_attention(tensors_of(source), "", spec, source.norm_qkv.eps)
        self._register_buffers(source.qkv.weight, **self._tensors(folded, order))
        self.encoding: Callable[[int, int, int], Tensor] | None = None
        self._order = order
        if spec.encoding != "relative":
            self.source = copy.deepcopy(source).eval()  # for its positions

    @staticmethod
    def _tensors(folded: FoldedAttention, order: np.ndarray | None) -> dict[str, np.ndarray | None]:
        weight, bias = pack(folded.weight if order is None else folded.weight[:, order], folded.bias)
        others = {name: getattr(folded, name) for name in ("scales", "position_scale", "shift")}
        return {"weight": weight, "bias": bias, **dict(zip(TABLES, folded.tables)), **others}

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N, C, H, W) to (N, V, H, W)."""
        spec = self.spec
        if spec.encoding != "relative":
            positions = self.source.position_encoding(x.shape[1], x.shape[2], x.shape[3])  # (C, H, 1) or (C, 1, W)
            x = x + (positions if self._order is None else positions[torch.from_numpy(self._order)])
        return torch.ops.axialzoo.axial_attention(
            x, self.weight, self.bias, *(getattr(self, name) for name in TABLES), self.scales, self.position_scale, self.shift,
            *self.attributes,
        )  # fmt: skip


class FoldedBlock(Folded):
    """A residual block; its products include activation and sum where the activation is a ReLU.

    Between its axial attention layers the channels lie with the head index fastest.
    """

    def __init__(self, source: ResidualBlock):
        super().__init__()
        spec = source.spec
        self.spec, self.pre_activation, self.activation = spec, source.backbone.pre_activation, source.activation
        self.relu = source.activation is F.relu
        self.pooled = spec.attention is not None and spec.stride > 1 and spec.attention.downsample == "pool"
        names = ("spatial1",) if spec.kind == "basic" else ("reduce", "spatial") if spec.kind == "bottleneck" else ("reduce",)
        self.pre_convs = nn.ModuleList(FoldedConv(getattr(source, name)) for name in names)
        order = None
        if spec.kind == "axial":
            assert spec.attention is not None
            order = head_fastest(spec.attention.value_channels, spec.attention.heads)
            self.height = FoldedAxialAttention(source.height, head_fastest=True)
            self.width = FoldedAxialAttention(source.width, order, head_fastest=True, relu=self.relu and not self.pooled)
        elif spec.kind == "attention":
            self.attention = copy.deepcopy(source.attention).eval()
        self.out_conv = FoldedConv(source.spatial2 if spec.kind == "basic" else source.expand, order)
        self.gate = copy.deepcopy(source.gate)
        self.shortcut = None if source.shortcut is None else FoldedConv(source.shortcut)

    def forward(self, x: Tensor) -> Tensor:
        if self.pre_activation:
            x = self.activation(x)
        y = x
        for conv in self.pre_convs:
            y = conv(y, None, self.activation)
        y = self.attend(y)
        stride = self.spec.stride
        x = x[:, :, ::stride, ::stride] if self.shortcut is None else self.shortcut(x)
        activation = None if self.pre_activation else self.activation
        if self.gate is None:
            return self.out_conv(y, x, activation)
        y = self.out_conv(y)
        y = x + y * (F.relu6(self.gate(y.mean((2, 3), keepdim=True)) + 3) * 0.16667)
        return y if activation is None else activation(y)

    def attend(self, y: Tensor) -> Tensor:
        """Apply the block's attention layers, its stride and its activation."""
        stride, attention = self.spec.stride, self.spec.attention
        if attention is None:
            return y
        sliced = stride > 1 and attention.downsample == "slice"
        if self.spec.kind == "attention":
            y = self.attention(y)
        else:
            y = self.height(y)
            y = self.width(y[:, :, ::stride] if sliced else y)
        if sliced:
            y = y[:, :, :, ::stride] if self.spec.kind == "axial" else y[:, :, ::stride, ::stride]
        elif stride > 1:
            y = average_pool(y, stride)
        activated = self.spec.kind == "axial" and self.relu and not self.pooled
        return y if activated else self.activation(y)


assert inference.LIBRARY is gpu.LIBRARY  # the operators are registered
