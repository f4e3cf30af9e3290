"""The stacked decoder of MaX-DeepLab-L (arXiv:2012.00759): up to stride 4 and down again, fusing features on the way."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from axialzoo.spec import Backbone, NeckStage
from axialzoo.spec.layers import projects_with_stride
from axialzoo.spec.neck import NeckInput
from axialzoo.torch.blocks import ACTIVATIONS, ConvNorm, ResidualBlock
from axialzoo.torch.resize import resize
from axialzoo.torch.transformer import run_blocks, transformers_of


class FeatureFusion(nn.ModuleDict):
    """The sum of features, each projected and resized as :class:`axialzoo.spec.NeckStage` says; not activated.

    Args:
        features: Features that it takes in; a projection is named by the position of its feature here.
        spec: Stage of the neck that follows the sum.

    Shapes:
        ``(N, C, H, W)`` of each feature to ``(N, channels, ceil(height / stride), ceil(width / stride))`` of an image
        of `size` = (height, width).
    """

    def __init__(self, features: Sequence[NeckInput], spec: NeckStage, backbone: Backbone):
        super().__init__()
        self.stride = spec.stride
        self.activation = ACTIVATIONS[backbone.activation]
        for index, feature in enumerate(features):
            if feature.channels != spec.channels:
                stride = 2 if projects_with_stride(feature, spec) else 1
                self[str(index)] = ConvNorm(feature.channels, spec.channels, 1, backbone.norm, stride)

    def forward(self, features: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        height, width = (-(-side // self.stride) for side in size)
        resized = []
        for index, x in enumerate(features):
            if str(index) in self:
                x = self[str(index)](self.activation(x))  # (N, channels, H, W)
            resized.append(resize(x, height, width))  # (N, channels, height, width)
        return sum(resized[1:], resized[0])


class FeatureFusionStage(nn.Module):
    """A stage of the neck: :class:`FeatureFusion`, then residual blocks, each followed by its transformer, if any.

    Shapes:
        All features so far, those of stem and stages, then of earlier stages of the neck, to one as of :class:`FeatureFusion`; and tokens
        ``(N, T, C)``, or None, to the same.
    """

    def __init__(self, features: Sequence[NeckInput], spec: NeckStage, backbone: Backbone):
        super().__init__()
        self.indices = [feature.index for feature in features]
        self.fuse = FeatureFusion(features, spec, backbone)
        self.blocks = nn.ModuleList()
        channels = spec.channels
        for block in spec.blocks:
            self.blocks.append(ResidualBlock(channels, block, backbone))
            channels = block.channels[-1]
        self.transformers = transformers_of(spec.blocks, backbone)

    def forward(
        self, features: Sequence[Tensor], memory: Tensor | None, size: Sequence[int], checkpointing: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        x = self.fuse([features[index] for index in self.indices], size)
        return run_blocks(self.blocks, self.transformers, x, memory, checkpointing)
