"""The feature extractor: a stem, stages of residual blocks, a neck."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from axialzoo.checkpoint import Config, default_config
from axialzoo.ops.torch.dispatch import is_traced
from axialzoo.spec import Model, Stage
from axialzoo.spec.check import check_indices
from axialzoo.spec.text import model_text
from axialzoo.torch.blocks import ACTIVATIONS, ResidualBlock, max_pool
from axialzoo.torch.neck import FeatureFusionStage
from axialzoo.torch.stem import Stem
from axialzoo.torch.tokens import Tokens
from axialzoo.torch.transformer import DualPathTransformer, run_blocks, transformers_of


class ResidualStage(nn.Module):
    """A max pool where the spec has one, then blocks, each followed by its transformer, if any.

    Shapes:
        Pixels ``(N, C, H, W)`` to ``(N, outputs, H / stride, W / stride)``, rounded up; tokens ``(N, T, C)``, or None, to the same.
    """

    def __init__(self, inputs: int, spec: Stage, backbone):
        super().__init__()
        self.pool = spec.pool
        self.blocks = nn.ModuleList()
        for block in spec.blocks:
            self.blocks.append(ResidualBlock(inputs, block, backbone))
            inputs = block.channels[-1]
        self.transformers = transformers_of(spec.blocks, backbone)

    def forward(self, x: Tensor, memory: Tensor | None = None, checkpointing: bool = False) -> tuple[Tensor, Tensor | None]:
        if self.pool:
            x = max_pool(x)
        return run_blocks(self.blocks, self.transformers, x, memory, checkpointing)


class Extractor(nn.Module):
    """Stem, stages and neck of a network, with its spec, config and feature information.

    Attributes:
        spec: Its architecture.
        config: Config of the weights that it was loaded from, or the default one of its spec; tools such as PEFT read it.
        name: Name in the registry, or ``"custom"``.
        num_features: Channels of the last endpoint.
        feature_info: ``num_chs``, ``reduction`` and ``module`` of each endpoint.
        optimized: Whether :func:`axialzoo.torch.optimize_for_inference` built it; its tensors are then no longer those of its spec.
    """

    optimized = False

    def __init__(self, spec: Model):
        super().__init__()
        self.spec = spec
        self.config: Config | None = default_config(spec)
        self.name = "custom"
        backbone = spec.backbone
        self.memory = None if backbone.memory is None else Tokens(backbone.memory.tokens, backbone.memory.channels)
        self.stem = Stem(backbone)
        self.stages = nn.ModuleList()
        channels = backbone.stem_channels
        for stage in backbone.stages:
            self.stages.append(ResidualStage(channels, stage, backbone))
            channels = stage.channels
        self.neck = nn.ModuleList()
        for inputs, stage in zip(backbone.neck_inputs(), backbone.neck):
            self.neck.append(FeatureFusionStage(inputs, stage, backbone))
        for number, block in enumerate(module for module in self.modules() if isinstance(module, ResidualBlock)):
            block.number = number
        for number, transformer in enumerate(module for module in self.modules() if isinstance(module, DualPathTransformer)):
            transformer.drop.number = number
        self.neck_endpoints = [index for index, stage in enumerate(backbone.neck) if stage.endpoint or stage is backbone.neck[-1]]
        self.num_features = backbone.channels
        self.checkpointing = False
        self.feature_info = backbone.feature_info()
        self.activation = ACTIVATIONS[backbone.activation]

    def __str__(self) -> str:
        """Return input, stages, head and parameters in a few lines; ``repr(model)`` has all modules."""
        return model_text(self.spec, self.name)

    def __prepare_scriptable__(self) -> nn.Module:
        raise TypeError(
            f"torch.jit.script: {type(self).__name__} chooses kernels and windows in Python, which a script cannot; "
            "use torch.export.export for a program, or torch.jit.trace for one size of images"
        )

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute each block in the backward pass instead of storing its activations."""
        self.checkpointing = enable

    def endpoints(self, x: Tensor) -> list[Tensor]:
        """Return the endpoints of stem, stages and neck, activated."""
        return self.activated(self.unactivated(x)[0])

    def activated(self, features: list[Tensor]) -> list[Tensor]:
        """Activate the endpoints of :meth:`unactivated` where the blocks have not."""
        return [self.activation(x) for x in features] if self.spec.backbone.pre_activation else features

    def unactivated(self, x: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """Return the endpoints, not activated if the blocks activate their own input, and the memory tokens."""
        x = check_image(x, self.spec.backbone.in_channels)
        size, checkpointing = x.shape[2:], self.checkpointing and self.training
        memory = None if self.memory is None else self.memory(x)  # (N, T, C)
        x = self.stem(x)
        features = [x] if self.spec.backbone.stem_is_endpoint else []
        for stage in self.stages:
            x, memory = stage(x, memory, checkpointing)
            features.append(x)
        count = len(features)
        for stage in self.neck:
            x, memory = stage(features, memory, size, checkpointing)
            features.append(x)
        return [*features[:count], *(features[count + index] for index in self.neck_endpoints)], memory


class AxialBackbone(Extractor):
    """Images to a pyramid of features.

    Args:
        spec: Its architecture; its head is left out.
        out_indices: Endpoints to return, as timm counts them: 0 at stride 2 for the ImageNet models, then one per stage, the
            neck last; see :meth:`axialzoo.spec.Backbone.feature_info`; default all.

    Attributes:
        feature_info: ``num_chs``, ``reduction`` and ``module`` of each endpoint that it returns.

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
    """Refuse anything but preprocessed images, and return the images.

    A graph of ``torch.jit.trace`` is right only for the size of its example. The last line, which the graph records, fails at any other
    size.
    """
    if isinstance(x, torch.fx.Proxy):
        return x  # torch.fx records no sizes
    if not isinstance(x, Tensor) or not x.is_floating_point():
        actual = f"Tensor of {str(x.dtype).removeprefix('torch.')}" if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(
            f"model(x): expected preprocessed pictures of floating-point numbers, found {actual}; call model(model.preprocess(x))"
        )
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(f"input: expected images of shape (N, {channels}, H, W), found {tuple(x.shape)}")
    if not is_traced():
        return x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the graph is meant to record the sizes as numbers
        height, width = int(x.shape[2]), int(x.shape[3])
    return x.unflatten(2, (height, 1)).squeeze(3).unflatten(3, (width, 1)).squeeze(4)
