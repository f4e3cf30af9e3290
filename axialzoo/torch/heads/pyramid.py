"""A feature pyramid (FPN, arXiv:1612.03144), which adds coarse features to finer ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from axialzoo.ops.torch.tables import is_static
from axialzoo.spec import Norm
from axialzoo.spec.heads.pyramid import check_half
from axialzoo.torch.blocks import ConvNorm


class FeaturePyramid(nn.Module):
    """Features of one number of channels at each level, each level half as fine as the one before.

    Every convolution has a norm, as in pyramids that are trained from scratch (arXiv:1911.09070). Only the inputs of the second and
    further extra levels are activated (arXiv:1708.02002).

    Args:
        inputs: Channels of the backbone's features, finest first.
        channels: Channels of each level.
        extra: Levels beyond the coarsest feature, each by a convolution of stride 2 from the one before.

    Shapes:
        ``(N, C, H, W)`` of each feature, H and W those of the one before halved and rounded up, to ``(N, channels, H, W)`` of each,
        then of the `extra` levels.
    """

    def __init__(self, inputs: Sequence[int], channels: int, norm: Norm, extra: int = 0):
        super().__init__()
        self.lateral = nn.ModuleList([ConvNorm(count, channels, 1, norm) for count in inputs])
        self.output = nn.ModuleList([ConvNorm(channels, channels, 3, norm) for _ in inputs])
        self.extra = nn.ModuleList([ConvNorm(channels, channels, 3, norm, 2) for _ in range(extra)])

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        merged = [lateral(x) for lateral, x in zip(self.lateral, features, strict=True)]  # (N, channels, H, W) each
        for level in range(len(merged) - 1, 0, -1):
            merged[level - 1] = merged[level - 1] + upsample(merged[level], merged[level - 1])
        levels = [output(x) for output, x in zip(self.output, merged)]
        for index, extra in enumerate(self.extra):
            levels.append(extra(levels[-1] if index == 0 else F.relu(levels[-1])))
        return levels


def upsample(x: Tensor, finer: Tensor) -> Tensor:
    """Repeat each pixel in height and width: (N, C, ceil(H / 2), ceil(W / 2)) to the (N, C, H, W) of `finer`.

    Raises:
        ValueError: where `x` is not half as fine.
    """
    height, width = finer.shape[2:]
    if not is_static(height):  # a graph for any size cannot branch on it
        rows, columns = (torch.arange(side, device=x.device) // 2 for side in (height, width))
        return x.index_select(2, rows).index_select(3, columns)
    check_half(x.shape[2:], (height, width))
    return F.interpolate(x, scale_factor=2.0, mode="nearest")[:, :, :height, :width]
