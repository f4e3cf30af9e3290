"""Decoder from coarse to fine features: Panoptic-DeepLab's (arXiv:1911.10194) and its atrous spatial pyramid (arXiv:1706.05587)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from axialzoo.spec import Norm
from axialzoo.spec.heads.panoptic import Decoder as Spec
from axialzoo.torch.blocks import ACTIVATIONS, ConvNorm
from axialzoo.torch.resize import resize, resize_centers


class DepthwiseNorm(ConvNorm):
    """A convolution of each channel by itself and its norm: ``(N, C, H, W)`` to the same."""

    def __init__(self, channels: int, kernel: int, norm: Norm):
        super().__init__(channels, channels, kernel, norm, groups=channels)
        nn.init.normal_(self.conv.weight, std=(2 / kernel**2) ** 0.5)


class SeparableConv(nn.Module):
    """A depthwise and a 1x1 convolution, each normalised and activated: ``(N, C, H, W)`` to ``(N, outputs, H, W)``."""

    def __init__(self, inputs: int, outputs: int, kernel: int, norm: Norm, activation: str):
        super().__init__()
        self.depthwise = DepthwiseNorm(inputs, kernel, norm)
        self.pointwise = ConvNorm(inputs, outputs, 1, norm)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x, None, self.activation), None, self.activation)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (1x1, 3x3 at each rate, the mean over the image), or one 1x1 convolution where there are no rates.

    Shapes:
        ``(N, C, H, W)`` to ``(N, context_channels, H, W)``.
    """

    def __init__(self, inputs: int, spec: Spec, norm: Norm, activation: str):
        super().__init__()
        width = spec.context_channels
        self.point = ConvNorm(inputs, width, 1, norm) if spec.rates else None
        self.atrous = nn.ModuleList([ConvNorm(inputs, width, 3, norm, dilation=rate) for rate in spec.rates])
        self.pool = ConvNorm(inputs, width, 1, norm) if spec.rates else None
        self.project = ConvNorm((len(spec.rates) + 2) * width if spec.rates else inputs, width, 1, norm)
        self.dropout = nn.Dropout(spec.dropout)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        if self.point is not None and self.pool is not None:
            branches = [branch(x, None, self.activation) for branch in (self.point, *self.atrous)]  # (N, width, H, W) each
            pooled = self.pool(x.mean((2, 3), keepdim=True), None, self.activation)  # (N, width, 1, 1)
            x = torch.cat([*branches, pooled.expand(-1, -1, *x.shape[2:])], 1)  # (N, (rates + 2) width, H, W)
        return self.dropout(self.project(x, None, self.activation))


class Decoder(nn.Module):
    """Context of the coarse features, then each skip: see :class:`axialzoo.spec.heads.panoptic.Decoder`.

    Args:
        channels: Channels of the coarse features, then of each skip.
        spec, norm, activation, kernel: Its architecture.

    Shapes:
        The features, ``(N, C, H, W)`` each, to ``(N, outputs, H', W')`` at the size of the last.
    """

    def __init__(self, channels: Sequence[int], spec: Spec, norm: Norm, activation: str, kernel: int):
        super().__init__()
        self.aspp = ASPP(channels[0], spec, norm, activation)
        self.skips, self.fuse = nn.ModuleList(), nn.ModuleList()
        width = spec.context_channels
        for skip, inputs in zip(spec.skips, channels[1:]):
            self.skips.append(ConvNorm(inputs, skip.channels, 1, norm))
            self.fuse.append(SeparableConv(width + skip.channels, spec.channels, kernel, norm, activation))
            width = spec.channels
        self.activation, self.corners = ACTIVATIONS[activation], spec.corners

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        coarse, *fine = features
        x, width = self.aspp(coarse), coarse.shape[3]
        for project, fuse, feature in zip(self.skips, self.fuse, fine):
            skip = project(feature, None, self.activation)  # (N, skip channels, H', W')
            x = fuse(torch.cat([upsample_to(x, skip, self.corners, width), skip], 1))  # (N, channels, H', W')
        return x


class PredictionHead(nn.Module):
    """A separable and a 1x1 convolution with bias: ``(N, C, H, W)`` to ``(N, outputs, H, W)``, not activated."""

    def __init__(self, inputs: int, hidden_channels: int, outputs: int, norm: Norm, activation: str, kernel: int):
        super().__init__()
        self.mix = SeparableConv(inputs, hidden_channels, kernel, norm, activation)
        self.out = nn.Conv2d(hidden_channels, outputs, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.mix(x))


def upsample_to(x: Tensor, like: Tensor, corners: str, width: int) -> Tensor:
    """Resize bilinearly: (N, C, h, w) to (N, C, H, W) of `like`; corners are aligned unless `corners` is ``"odd"`` and `width` is even."""
    if corners == "aligned" or width % 2 == 1:
        return resize(x, *like.shape[2:])
    return resize_centers(x, *like.shape[2:])
