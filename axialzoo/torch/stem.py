"""The stem: convolutions before the residual stages."""

from __future__ import annotations

from torch import Tensor, nn

from axialzoo.spec import Backbone
from axialzoo.torch.blocks import ACTIVATIONS, ConvNorm


class Stem(nn.Sequential):
    """The convolutions of :class:`axialzoo.spec.Stem`: (N, 3, H, W) to (N, C, H / stride, W / stride), rounded up."""

    def __init__(self, backbone: Backbone):
        convs, channels = [], backbone.in_channels
        for conv in backbone.stem.convs:
            convs.append(ConvNorm(channels, conv.channels, conv.kernel, backbone.norm, conv.stride))
            channels = conv.channels
        super().__init__(*convs)
        self.activation = ACTIVATIONS[backbone.activation]
        self.activated = len(convs) - 1 if backbone.pre_activation else len(convs)

    def forward(self, x: Tensor) -> Tensor:
        for index, conv in enumerate(self):
            x = conv(x, None, self.activation if index < self.activated else None)
        return x
