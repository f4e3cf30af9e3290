"""Flat list of a backbone's primitive layers, and the tensors of a whole model that follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from axialzoo.spec.backbone import Backbone
from axialzoo.spec.block import Block
from axialzoo.spec.block_layers import block_layers, has_shortcut
from axialzoo.spec.neck import NeckInput, NeckStage
from axialzoo.spec.primitives import Layer, Parameter, conv_norm
from axialzoo.spec.token_layers import Tokens, dual_path_layers

__all__ = [
    "backbone_layers",
    "block_layers",
    "num_parameters",
    "has_shortcut",
    "layers",
    "parameters",
    "projects_with_stride",
    "transformer_layers",
]

if TYPE_CHECKING:  # heads with encoders of their own import this module
    from axialzoo.spec.model import Model


def layers(spec: Model) -> Iterator[Layer]:
    """Yield the primitive layers of `spec` in the order in which they run, shortcuts last in their block, the head at the end."""
    yield from backbone_layers(spec.backbone)
    if spec.head is not None:
        yield from spec.head.layers(spec.backbone)


def parameters(spec: Model) -> tuple[Parameter, ...]:
    """Return every tensor of `spec`, in the order in which the network uses them, before any framework is imported."""
    return tuple(tensor for layer in layers(spec) for tensor in layer.tensors())


def num_parameters(spec: Model) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.size for parameter in parameters(spec) if parameter.trainable)


def backbone_layers(backbone: Backbone) -> Iterator[Layer]:
    """Yield the layers of stem, stages and neck."""
    channels, stride = backbone.in_channels, 1
    if backbone.memory is not None:
        yield Tokens("memory.tokens", 0, backbone.memory.channels, None, (), backbone.memory.tokens)
    for index, conv in enumerate(backbone.stem.convs):
        stride *= conv.stride
        yield from conv_norm(f"stem.{index}", channels, conv.channels, conv.kernel, stride)
        channels = conv.channels
    for i, stage in enumerate(backbone.stages):
        stride *= 2 if stage.pool else 1
        for j, block in enumerate(stage.blocks):
            yield from block_layers(f"stages.{i}.blocks.{j}", block, backbone, channels, stride)
            stride *= block.stride
            channels = block.channels[-1]
            yield from transformer_layers(f"stages.{i}.transformers.{j}", block, backbone, stride)
    for i, (stage, fused) in enumerate(zip(backbone.neck, backbone.neck_inputs())):
        for j, feature in enumerate(fused):
            if feature.channels != stage.channels:
                at = stage.stride if projects_with_stride(feature, stage) else feature.stride
                yield from conv_norm(f"neck.{i}.fuse.{j}", feature.channels, stage.channels, 1, at)
        channels = stage.channels
        for j, block in enumerate(stage.blocks):
            yield from block_layers(f"neck.{i}.blocks.{j}", block, backbone, channels, stage.stride)
            channels = block.channels[-1]
            yield from transformer_layers(f"neck.{i}.transformers.{j}", block, backbone, stage.stride)


def transformer_layers(name: str, block: Block, backbone: Backbone, stride: int) -> Iterator[Layer]:
    """Yield the layers of the transformer after `block`, where there is one, at total stride `stride`."""
    memory = backbone.memory
    if block.transformer is not None and memory is not None:
        yield from dual_path_layers(name, block.transformer, block.channels[-1], memory.channels, memory.tokens, stride)


def projects_with_stride(feature: NeckInput, stage: NeckStage) -> bool:
    """Tell whether the projection of `feature` strides by 2, so that no resizing is needed."""
    return feature.channels != stage.channels and 2 * feature.stride == stage.stride
