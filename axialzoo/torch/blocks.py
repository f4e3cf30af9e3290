"""Residual blocks: Axial-DeepLab (arXiv:2003.07853), figure 2, and the convolutional ones that share a network with it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from axialzoo.ops.torch.dispatch import can_train_rows, is_traced
from axialzoo.ops.torch.rows import linear
from axialzoo.spec import Backbone, Block, Norm
from axialzoo.spec.layers import has_shortcut
from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.attention2d import Attention2D
from axialzoo.torch.drop_path import drop_path
from axialzoo.torch.norm import Activation, BatchNorm, apply_norm
from axialzoo.torch.sublayers import calls_sublayers

SUBLAYERS = {"conv": nn.Conv2d, "norm": BatchNorm}
ACTIVATIONS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "elu": F.elu,
}


class ConvNorm(nn.Module):
    """A convolution without bias, padded by half its kernel on each side, and its norm.

    Shapes:
        ``(N, C, H, W)`` to ``(N, outputs, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, norm: Norm, stride: int = 1, dilation: int = 1, groups: int = 1):
        super().__init__()
        self.step = stride if kernel == 1 else 1  # cut before the convolution: see `conv_forward`
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride if kernel > 1 else 1, dilation * (kernel // 2), dilation, groups, bias=False)
        self.norm = BatchNorm(outputs, norm)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor, residual: Tensor | None = None, activation: Activation | None = None) -> Tensor:
        """Return ``activation(residual + norm(convolution(x)))``."""
        if isinstance(x, torch.fx.Proxy) or self.calls_sublayers():
            x = self.conv(x[:, :, :: self.step, :: self.step] if self.step > 1 else x)
            return apply_norm(self.norm, x, residual, activation)
        return self.norm(self.conv_forward(x), residual, activation)

    def calls_sublayers(self) -> bool:
        """Return True where convolution and norm have to be called, as they are not exactly what a kernel computes."""
        return calls_sublayers(self, SUBLAYERS)

    def conv_forward(self, x: Tensor) -> Tensor:
        """Compute the convolution without calling its module, where that is exactly the one of the constructor."""
        step, weight = self.step, self.conv.weight
        if self.training and self.conv.kernel_size == (1, 1) and self.conv.groups == 1 and can_train_rows(x, weight):
            rows = x.movedim(1, -1)  # cut as rows, so that gradients are laid out as rows too
            return linear(rows[:, ::step, ::step] if step > 1 else rows, weight.flatten(1)).movedim(-1, 1)
        if step > 1 and (torch.is_grad_enabled() or is_traced()):  # oneDNN's weight gradient of a strided 1x1 convolution is out of bounds
            return F.conv2d(x[:, :, ::step, ::step], weight)
        return F.conv2d(x, weight, None, step) if step > 1 else self.conv(x)


class ResidualBlock(nn.Module):
    """A residual block of any kind: see :class:`axialzoo.spec.Block`.

    Shapes:
        ``(N, inputs, H, W)`` to ``(N, outputs, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(self, inputs: int, spec: Block, backbone: Backbone):
        super().__init__()
        self.spec, self.backbone = spec, backbone
        self.number = 0  # among the blocks of its network
        norm, outputs = backbone.norm, spec.channels[-1]
        if spec.attention is not None:
            attention = spec.attention
            self.reduce = ConvNorm(inputs, spec.channels[0], 1, norm)
            if spec.kind == "axial":
                self.height = AxialAttention(spec.channels[0], attention, norm, axis=0)
                self.width = AxialAttention(attention.value_channels, attention, norm, axis=1)
            else:
                self.attention = Attention2D(spec.channels[0], attention, norm)
            self.expand = ConvNorm(attention.value_channels, outputs, 1, norm)
        elif spec.kind == "bottleneck":
            self.reduce = ConvNorm(inputs, spec.channels[0], 1, norm)
            self.spatial = ConvNorm(spec.channels[0], spec.channels[1], 3, norm, spec.stride, spec.dilation[0])
            self.expand = ConvNorm(spec.channels[1], outputs, 1, norm)
        else:
            self.spatial1 = ConvNorm(inputs, spec.channels[0], 3, norm, spec.stride, spec.dilation[0])
            self.spatial2 = ConvNorm(spec.channels[0], outputs, 3, norm, 1, spec.dilation[1])
        self.gate = nn.Conv2d(outputs, outputs, 1) if spec.squeeze_excite else None
        self.shortcut = ConvNorm(inputs, outputs, 1, norm, spec.stride) if has_shortcut(spec, backbone, inputs) else None
        self.activation = ACTIVATIONS[backbone.activation]
        nn.init.zeros_((self.spatial2 if spec.kind == "basic" else self.expand).norm.weight)  # identity at the start (arXiv:1706.02677)

    def forward(self, x: Tensor) -> Tensor:
        if self.backbone.pre_activation:
            x = self.activation(x)
        if self.shortcut is not None:
            straight = self.shortcut(x)  # (N, outputs, H', W')
        else:
            straight = x[:, :, :: self.spec.stride, :: self.spec.stride] if self.spec.stride > 1 else x
        activation = None if self.backbone.pre_activation else self.activation
        if self.gate is None and not (self.spec.drop_path and self.training):
            return self.residual(x, straight, activation)
        y = self.residual(x)  # (N, outputs, H', W')
        if self.gate is not None:
            y = y * (F.relu6(self.gate(y.mean((2, 3), keepdim=True)) + 3) * 0.16667)
        if self.spec.drop_path and self.training:
            y = drop_path(y, self.spec.drop_path, self.number)
        return straight + y if activation is None else activation(straight + y)

    def residual(self, x: Tensor, straight: Tensor | None = None, activation: Activation | None = None) -> Tensor:
        """Compute the residual branch; its last norm adds `straight` and activates, where they are passed."""
        if self.spec.kind == "basic":
            return self.spatial2(self.spatial1(x, None, self.activation), straight, activation)
        x = self.reduce(x, None, self.activation)
        x = self.spatial(x, None, self.activation) if self.spec.attention is None else self.attend(x)
        return self.expand(x, straight, activation)

    def attend(self, x: Tensor) -> Tensor:
        """Apply the block's attention layers, its stride and its activation."""
        stride, attention = self.spec.stride, self.spec.attention
        assert attention is not None
        if self.spec.kind == "axial" and stride == 1:
            return self.width(self.height(x), self.activation)
        if self.spec.kind == "attention":
            x = self.attention(x)  # (N, V, H, W)
        elif attention.downsample == "slice":
            return self.activation(self.width(self.height(x)[:, :, ::stride])[:, :, :, ::stride])
        else:
            x = self.width(self.height(x))
        if stride > 1:
            x = x[:, :, ::stride, ::stride] if attention.downsample == "slice" else average_pool(x, stride)
        return self.activation(x)


def average_pool(x: Tensor, stride: int) -> Tensor:
    """Average every `stride` x `stride` pixels; at the end of an odd side, those that exist."""
    return F.avg_pool2d(x, stride, ceil_mode=True, count_include_pad=False)


def max_pool(x: Tensor) -> Tensor:
    """Max-pool 3 x 3 pixels with stride 2: (N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2))."""
    return F.max_pool2d(x, 3, 2, 1)
