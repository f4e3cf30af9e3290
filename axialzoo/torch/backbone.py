"""The feature extractor: a stem, stages of residual blocks, a neck."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from axialzoo.checkpoint import Config
from axialzoo.ops.torch.dispatch import is_traced
from axialzoo.spec import Model, Stage
from axialzoo.spec.check import check_indices
from axialzoo.torch.blocks import ACTIVATIONS, ResidualBlock, max_pool, through
from axialzoo.torch.neck import FusedStage
from axialzoo.torch.stem import Stem


class ResidualStage(nn.Module):
    """A max pool where the spec has one, then blocks: (N, C, H, W) to (N, outputs, H / stride, W / stride), rounded up.

    A stage takes in and gives out one state. Today that is the pixels. Tokens that travel beside them (MaX-DeepLab's memory,
    (N, tokens, C), read and written by transformers inside the blocks of the last stage and of the neck) will be a second
    member of it: blocks without a transformer pass it on, `ResidualBlock.residual` is where one with a transformer reads
    pixels and tokens and writes both, and `through` hands the state from block to block whatever it holds.
    """

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
        return through(self.blocks, x, checkpointing)


class Extractor(nn.Module):
    """What every network here has: stem, stages and neck, and what is known of it.

    Attributes:
        spec: What it computes.
        config: Of the weights it was loaded from, or None.
        name: In the registry, or ``"custom"``.
        num_features: Channels of the last endpoint.
        feature_info: Of each endpoint: ``num_chs``, ``reduction``, ``module``.
        optimized: Whether :func:`axialzoo.torch.optimize_for_inference` made it: its tensors are then not those of its spec.
    """

    optimized = False

    def __init__(self, spec: Model):
        super().__init__()
        self.spec = spec
        self.config: Config | None = None
        self.name = "custom"
        backbone = spec.backbone
        self.stem = Stem(backbone)
        self.stages = nn.ModuleList()
        channels = backbone.stem_channels
        for stage in backbone.stages:
            self.stages.append(ResidualStage(channels, stage, backbone))
            channels = stage.channels
        self.neck = nn.ModuleList()
        for fused, stage in zip(backbone.fusions(), backbone.neck):
            self.neck.append(FusedStage(fused, stage, backbone))
        for number, block in enumerate(one for one in self.modules() if isinstance(one, ResidualBlock)):
            block.number = number
        self.num_features = backbone.channels
        self.checkpointing = False
        self.feature_info = backbone.feature_info()
        self.activation = ACTIVATIONS[backbone.activation]

    def __prepare_scriptable__(self) -> nn.Module:
        raise TypeError(
            f"torch.jit.script: {type(self).__name__} chooses kernels and windows in Python, which a script cannot; "
            "use torch.export.export for a program, or torch.jit.trace for one size of images"
        )

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute each block in the backward pass instead of keeping what it computed."""
        self.checkpointing = enable

    def endpoints(self, x: Tensor) -> list[Tensor]:
        """The stem's output, each stage's and the neck's, activated."""
        x = check_image(x, self.spec.backbone.in_channels)
        size, checkpointing = x.shape[2:], self.checkpointing and self.training
        x = self.stem(x)
        features = [x] if self.spec.backbone.stem_is_endpoint else []
        for stage in self.stages:
            x = stage(x, checkpointing)
            features.append(x)
        outputs = list(features)
        for step in self.neck:
            x = step(features, size, checkpointing)
            features.append(x)
        if len(self.neck):
            outputs.append(x)
        return [self.activation(x) for x in outputs] if self.spec.backbone.pre_activation else outputs


class AxialBackbone(Extractor):
    """Images to a pyramid of features.

    Args:
        spec: What it computes; its head is left out.
        out_indices: Which endpoints, as timm counts them: 0 at stride 2 for the ImageNet models, then one per stage, the
            neck last; see :meth:`axialzoo.spec.Backbone.feature_info`; default all.

    Attributes:
        feature_info: Of each endpoint returned: ``num_chs``, ``reduction``, ``module``.

    Shapes:
        ``(N, 3, H, W)`` of any height and width to a list of ``(N, num_chs, H / reduction, W / reduction)``, rounded
        up, all activated.
    """

    def __init__(self, spec: Model, out_indices: Sequence[int] | None = None):
        super().__init__(spec)
        self.out_indices = check_indices(out_indices, len(self.feature_info))
        self.feature_info = [self.feature_info[index] for index in self.out_indices]

    if TYPE_CHECKING:

        def __call__(self, x: Tensor) -> list[Tensor]: ...

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs = self.endpoints(x)
        return [outputs[index] for index in self.out_indices]


def check_image(x: Tensor, channels: int) -> Tensor:
    """The images as they are, once it is sure that they are images.

    A `torch.jit.trace` keeps the windows of the size that it was made with, and would compute something else at another; so it also
    keeps a step that fails at any other size.
    """
    if isinstance(x, torch.fx.Proxy):
        return x  # a recording of torch.fx, which has no size
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(f"input: expected images of shape (N, {channels}, H, W), found {tuple(x.shape)}")
    if not is_traced():
        return x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that sizes are kept as numbers is what is wanted
        height, width = int(x.shape[2]), int(x.shape[3])
    return x.unflatten(2, (height, 1)).squeeze(3).unflatten(3, (width, 1)).squeeze(4)
