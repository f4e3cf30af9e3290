"""The feature extractor: a stem, stages of residual blocks, a stacked decoder."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from axialzoo.spec import Model, SpecError, Stage
from axialzoo.torch.blocks import ACTIVATIONS, ResidualBlock, max_pool
from axialzoo.torch.decoder import FusedStage
from axialzoo.torch.norm import recomputed
from axialzoo.torch.stem import Stem


class ResidualStage(nn.Module):
    """A max pool where the spec has one, then blocks: (N, C, H, W) to (N, outputs, H / stride, W / stride), rounded up."""

    def __init__(self, inputs: int, spec: Stage, backbone):
        super().__init__()
        self.pool = spec.pool
        self.blocks = nn.ModuleList()
        for block in spec.blocks:
            self.blocks.append(ResidualBlock(inputs, block, backbone))
            inputs = block.channels[-1]

    def forward(self, x: Tensor, checkpointing: bool = False) -> Tensor:
        if self.pool:
            x = max_pool(x)
        for block in self.blocks:
            x = recomputed(block, x) if checkpointing else block(x)
        return x


class AxialBackbone(nn.Module):
    """Images to a pyramid of features.

    Args:
        spec: What it computes.
        out_indices: Which endpoints, as timm counts them: 0 at stride 2 for the ImageNet models, then one per stage, the
            stacked decoder last; see :meth:`axialzoo.spec.Backbone.feature_info`; default all.

    Attributes:
        feature_info: Of each endpoint returned: ``num_chs``, ``reduction``, ``module``.

    Shapes:
        ``(N, 3, H, W)`` of any height and width to a list of ``(N, num_chs, H / reduction, W / reduction)``, rounded
        up, all activated.
    """

    def __init__(self, spec: Model, out_indices: Sequence[int] | None = None):
        super().__init__()
        self.spec = spec
        backbone = spec.backbone
        self.stem = Stem(backbone)
        self.stages = nn.ModuleList()
        channels = backbone.stem_channels
        for stage in backbone.stages:
            self.stages.append(ResidualStage(channels, stage, backbone))
            channels = stage.channels
        self.decoder = nn.ModuleList()
        for fused, stage in zip(backbone.fusions(), backbone.decoder):
            self.decoder.append(FusedStage(fused, stage, backbone))
        self.num_features = backbone.channels
        self.checkpointing = False
        info = backbone.feature_info()
        self.out_indices = check_indices(out_indices, len(info))
        self.feature_info = [info[index] for index in self.out_indices]
        self.activation = ACTIVATIONS[backbone.activation]

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute each block in the backward pass instead of keeping what it computed."""
        self.checkpointing = enable

    def endpoints(self, x: Tensor) -> list[Tensor]:
        """The stem's output, each stage's and the decoder's, activated."""
        check_image(x, self.spec.backbone.in_channels)
        size, checkpointing = x.shape[2:], self.checkpointing and self.training
        x = self.stem(x)
        features = [x] if self.spec.backbone.stem_is_endpoint else []
        for stage in self.stages:
            x = stage(x, checkpointing)
            features.append(x)
        outputs = list(features)
        for step in self.decoder:
            x = step(features, size, checkpointing)
            features.append(x)
        if self.decoder:
            outputs.append(x)
        return [self.activation(x) for x in outputs] if self.spec.backbone.pre_activation else outputs

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs = self.endpoints(x)
        return [outputs[index] for index in self.out_indices]


def check_indices(indices: Sequence[int] | None, endpoints: int) -> list[int]:
    """`indices` as a list of valid, increasing endpoints; negative ones count from the last."""
    wanted = list(range(endpoints)) if indices is None else [index + endpoints if index < 0 else index for index in indices]
    if wanted != sorted(set(wanted)) or not wanted or wanted[0] < 0 or wanted[-1] >= endpoints:
        raise SpecError(f"out_indices: expected increasing numbers from 0 to {endpoints - 1}, found {list(indices or [])}")
    return wanted


def check_image(x: Tensor, channels: int) -> None:
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(f"input: expected images of shape (N, {channels}, H, W), found {tuple(x.shape)}")
