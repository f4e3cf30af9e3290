"""The pixel decoder of kMaX-DeepLab (arXiv:2207.04044): from the coarsest features up, with a skip at each step."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from axialzoo.spec import Backbone, NeckStage
from axialzoo.spec.heads.mask_layers import stage_conventions
from axialzoo.spec.heads.mask_parts import PixelDecoder as Spec
from axialzoo.torch.blocks import ACTIVATIONS, ConvNorm, ResidualBlock, max_pool
from axialzoo.torch.heads.decoder import upsample_to

EPSILON = 1e-6  # of layer norms


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over channels: ``(N, C, H, W)`` to the same."""

    def __init__(self, channels: int):
        super().__init__(channels, EPSILON)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class FuseSkip(nn.Module):
    """Adds finer features to coarser ones, which are resized; features of other channels than the sum's are activated and projected.

    Args:
        coarse, fine: Channels of the two.
        stage: Decoder stage that takes in the sum.
        backbone: Conventions.
        corners: See :class:`axialzoo.spec.heads.mask_parts.PixelDecoder`.

    Shapes:
        ``(N, coarse, h, w)`` and ``(N, fine, H, W)`` to ``(N, channels, H, W)``.
    """

    def __init__(self, coarse: int, fine: int, stage: NeckStage, backbone: Backbone, corners: str):
        super().__init__()
        self.coarse = None if coarse == stage.channels else ConvNorm(coarse, stage.channels, 1, backbone.norm)
        self.fine = None if fine == stage.channels else ConvNorm(fine, stage.channels, 1, backbone.norm)
        self.activation, self.corners = ACTIVATIONS[backbone.activation], corners

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = x if self.coarse is None else self.coarse(self.activation(x))
        skip = skip if self.fine is None else self.fine(self.activation(skip))
        return upsample_to(x, skip, self.corners, x.shape[3]) + skip


class PixelDecoder(nn.Module):
    """See :class:`axialzoo.spec.heads.mask_parts.PixelDecoder`.

    Shapes:
        Features ``(N, C, H, W)``, one a stage from coarse to fine, to the output of each stage, not activated.
    """

    def __init__(self, channels: Sequence[int], spec: Spec, backbone: Backbone, activation: str):
        super().__init__()
        self.norms = nn.ModuleList([ChannelNorm(inputs) for inputs in channels])
        self.stages, self.fuses = nn.ModuleList(), nn.ModuleList()
        self.pools = spec.pools()
        before = channels[0]
        for index, (stage, inputs) in enumerate(zip(spec.stages, channels)):
            conventions, width = stage_conventions(stage, backbone, activation), inputs
            if index > 0:
                self.fuses.append(FuseSkip(before, inputs, stage, conventions, spec.corners))
                width = stage.channels
            self.stages.append(DecoderStage(width, stage, conventions))
            before = stage.outputs

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        x, outputs = features[0], []
        for index, (norm, stage, feature) in enumerate(zip(self.norms, self.stages, features)):
            skip = norm(max_pool(feature) if self.pools[index] else feature)
            x = skip if index == 0 else self.fuses[index - 1](x, skip)
            x = stage(x)
            outputs.append(x)
        return outputs


class DecoderStage(nn.Module):
    """Residual blocks of one stage: ``(N, inputs, H, W)`` to ``(N, outputs, H, W)``."""

    def __init__(self, inputs: int, spec: NeckStage, backbone: Backbone):
        super().__init__()
        self.blocks = nn.ModuleList()
        for block in spec.blocks:
            self.blocks.append(ResidualBlock(inputs, block, backbone))
            inputs = block.channels[-1]

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x
