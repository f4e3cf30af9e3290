"""The stacked decoder of MaX-DeepLab-L (arXiv:2012.00759, section 3.2): up to stride 4 and down again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from axialzoo.spec import Backbone, DecoderStage
from axialzoo.spec.backbone import Fused
from axialzoo.spec.layers import projects_with_stride
from axialzoo.torch.blocks import ACTIVATIONS, ConvNorm, ResidualBlock


class Fuse(nn.ModuleDict):
    """Features of any sizes and channels as one: see :class:`axialzoo.spec.DecoderStage`. Nothing here is activated after.

    Args:
        features: What it takes in.
        spec: What it makes of them.

    Shapes:
        ``(N, C, H, W)`` of each feature to ``(N, channels, *size)``.
    """

    def __init__(self, features: Sequence[Fused], spec: DecoderStage, backbone: Backbone):
        super().__init__()
        for index, feature in enumerate(features):
            if feature.channels != spec.channels:
                stride = 2 if projects_with_stride(feature, spec) else 1
                self[str(index)] = ConvNorm(feature.channels, spec.channels, 1, backbone.norm, stride)
        self.activation = ACTIVATIONS[backbone.activation]

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        total = None
        for index, x in enumerate(features):
            if str(index) in self:
                x = self[str(index)](self.activation(x))  # (N, channels, H, W)
            x = resize(x, size)  # (N, channels, *size)
            total = x if total is None else total + x
        assert total is not None
        return total


class Decoder(nn.ModuleList):
    """Steps of a stacked decoder.

    Shapes:
        The features of stem and stages, not activated, ``(N, C, H, W)`` each, to the last step's, not activated either:
        ``(N, outputs, ceil(height / stride), ceil(width / stride))`` of an image of `size` = (height, width).
    """

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.fusions = backbone.fusions()
        self.strides = [stage.stride for stage in backbone.decoder]
        for fused, stage in zip(self.fusions, backbone.decoder):
            step, channels = nn.ModuleDict({"fuse": Fuse(fused, stage, backbone), "blocks": nn.ModuleList()}), stage.channels
            for block in stage.blocks:
                step["blocks"].append(ResidualBlock(channels, block, backbone))
                channels = block.channels[-1]
            self.append(step)
