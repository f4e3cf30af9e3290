"""A backbone as the flat list of its primitive layers, and the tensors of a whole model that follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from axialzoo.spec.backbone import Backbone
from axialzoo.spec.block import Block
from axialzoo.spec.neck import Fused, NeckStage
from axialzoo.spec.primitives import AttentionLayer, Gate, Layer, Parameter, conv_norm

if TYPE_CHECKING:  # heads with encoders of their own import this module
    from axialzoo.spec.model import Model


def layers(spec: Model) -> Iterator[Layer]:
    """The primitive layers of `spec` in the order in which they run, shortcuts last in their block, the head at the end."""
    yield from backbone_layers(spec.backbone)
    if spec.head is not None:
        yield from spec.head.layers(spec.backbone)


def parameters(spec: Model) -> tuple[Parameter, ...]:
    """Every tensor of `spec`, in the order in which the network uses them, before any framework is imported."""
    return tuple(tensor for layer in layers(spec) for tensor in layer.tensors())


def count(spec: Model) -> int:
    """Number of trainable parameters."""
    return sum(parameter.size for parameter in parameters(spec) if parameter.trainable)


def backbone_layers(backbone: Backbone) -> Iterator[Layer]:
    """Stem, stages and neck."""
    channels, stride = backbone.in_channels, 1
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
    for i, (stage, fused) in enumerate(zip(backbone.neck, backbone.fusions())):
        for j, feature in enumerate(fused):
            if feature.channels != stage.channels:
                at = stage.stride if projects_with_stride(feature, stage) else feature.stride
                yield from conv_norm(f"neck.{i}.fuse.{j}", feature.channels, stage.channels, 1, at)
        channels = stage.channels
        for j, block in enumerate(stage.blocks):
            yield from block_layers(f"neck.{i}.blocks.{j}", block, backbone, channels, stage.stride)
            channels = block.channels[-1]


def block_layers(name: str, block: Block, backbone: Backbone, inputs: int, stride: int) -> Iterator[Layer]:
    """Of a block that takes in `inputs` channels at total stride `stride`."""
    after, outputs, attention = stride * block.stride, block.channels[-1], block.attention
    if attention is not None:
        values, before = attention.value_channels, (stride, stride)
        yield from conv_norm(f"{name}.reduce", inputs, block.channels[0], 1, stride)
        if block.kind == "axial":
            middle = (stride if attention.downsample == "pool" else after, stride)
            yield AttentionLayer(f"{name}.height", block.channels[0], values, before, (), attention, 0)
            yield AttentionLayer(f"{name}.width", values, values, middle, (), attention, 1)
        else:
            yield AttentionLayer(f"{name}.attention", block.channels[0], values, before, (), attention, None)
        yield from conv_norm(f"{name}.expand", values, outputs, 1, after)
    elif block.kind == "bottleneck":
        yield from conv_norm(f"{name}.reduce", inputs, block.channels[0], 1, stride)
        yield from conv_norm(f"{name}.spatial", block.channels[0], block.channels[1], 3, after)
        yield from conv_norm(f"{name}.expand", block.channels[1], outputs, 1, after)
    else:
        yield from conv_norm(f"{name}.spatial1", inputs, block.channels[0], 3, after)
        yield from conv_norm(f"{name}.spatial2", block.channels[0], outputs, 3, after)
    if block.squeeze_excite:
        yield Gate(f"{name}.gate", outputs, outputs, None)
    if has_shortcut(block, backbone, inputs):
        yield from conv_norm(f"{name}.shortcut", inputs, outputs, 1, after)


def has_shortcut(block: Block, backbone: Backbone, inputs: int) -> bool:
    """Whether the block's shortcut is a convolution."""
    return inputs != block.channels[-1] or (backbone.shortcut == "stride_or_width" and block.stride > 1)


def projects_with_stride(feature: Fused, stage: NeckStage) -> bool:
    """Whether the projection that fuses `feature` strides by 2, so that nothing is left to resize."""
    return feature.channels != stage.channels and 2 * feature.stride == stage.stride
