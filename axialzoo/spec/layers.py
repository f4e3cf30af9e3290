"""A model as the flat list of its primitive layers: what `parameters` and `cost` both read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from axialzoo.spec.attention import Attention
from axialzoo.spec.backbone import Backbone, DecoderStage, Fused
from axialzoo.spec.block import Block
from axialzoo.spec.model import Model


@dataclass(frozen=True)
class Layer:
    """A primitive layer and where it runs.

    Attributes:
        name: Its canonical name, which its tensors begin with.
        op: ``"conv"``, ``"norm"``, ``"attention"``, ``"linear"`` or ``"gate"`` (a 1x1 convolution with bias on the mean).
        inputs, outputs: Channels.
        kernel: Side of a convolution.
        stride: Total stride, rows and columns, of what it *produces*: its height is ``ceil(height / stride[0])``.
        attention, axis: Of an attention layer; axis 0 attends along the height, 1 along the width, None along both.
    """

    name: str
    op: str
    inputs: int
    outputs: int
    kernel: int = 1
    stride: tuple[int, int] = (1, 1)
    attention: Attention | None = None
    axis: int | None = 0


def layers(spec: Model) -> Iterator[Layer]:
    """The primitive layers of `spec` in the order in which they run, shortcuts last in their block."""
    backbone = spec.backbone
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
    for i, (stage, fused) in enumerate(zip(backbone.decoder, backbone.fusions())):
        for j, feature in enumerate(fused):
            if feature.channels != stage.channels:
                at = stage.stride if projects_with_stride(feature, stage) else feature.stride
                yield from conv_norm(f"decoder.{i}.fuse.{j}", feature.channels, stage.channels, 1, at)
        channels = stage.channels
        for j, block in enumerate(stage.blocks):
            yield from block_layers(f"decoder.{i}.blocks.{j}", block, backbone, channels, stage.stride)
            channels = block.channels[-1]
    if spec.num_classes:
        yield Layer("classifier", "linear", channels, spec.num_classes)


def conv_norm(name: str, inputs: int, outputs: int, kernel: int, stride: int) -> Iterator[Layer]:
    yield Layer(f"{name}.conv", "conv", inputs, outputs, kernel, (stride, stride))
    yield Layer(f"{name}.norm", "norm", outputs, outputs, 1, (stride, stride))


def block_layers(name: str, block: Block, backbone: Backbone, inputs: int, stride: int) -> Iterator[Layer]:
    after, outputs = stride * block.stride, block.channels[-1]
    if block.kind == "axial":
        attention = block.attention
        assert attention is not None
        middle = stride if attention.downsample == "pool" else after
        yield from conv_norm(f"{name}.reduce", inputs, block.channels[0], 1, stride)
        yield Layer(f"{name}.height", "attention", block.channels[0], attention.value_channels, 1, (stride, stride), attention, 0)
        yield Layer(f"{name}.width", "attention", attention.value_channels, attention.value_channels, 1, (middle, stride), attention, 1)
        yield from conv_norm(f"{name}.expand", attention.value_channels, outputs, 1, after)
    elif block.kind == "attention":
        attention = block.attention
        assert attention is not None
        yield from conv_norm(f"{name}.reduce", inputs, block.channels[0], 1, stride)
        yield Layer(f"{name}.attention", "attention", block.channels[0], attention.value_channels, 1, (stride, stride), attention, None)
        yield from conv_norm(f"{name}.expand", attention.value_channels, outputs, 1, after)
    elif block.kind == "bottleneck":
        yield from conv_norm(f"{name}.reduce", inputs, block.channels[0], 1, stride)
        yield from conv_norm(f"{name}.spatial", block.channels[0], block.channels[1], 3, after)
        yield from conv_norm(f"{name}.expand", block.channels[1], outputs, 1, after)
    else:
        yield from conv_norm(f"{name}.spatial1", inputs, block.channels[0], 3, after)
        yield from conv_norm(f"{name}.spatial2", block.channels[0], outputs, 3, after)
    if block.squeeze_excite:
        yield Layer(f"{name}.gate", "gate", outputs, outputs)
    if has_shortcut(block, backbone, inputs):
        yield from conv_norm(f"{name}.shortcut", inputs, outputs, 1, after)


def has_shortcut(block: Block, backbone: Backbone, inputs: int) -> bool:
    """Whether the block's shortcut is a convolution."""
    return inputs != block.channels[-1] or (backbone.shortcut == "stride_or_width" and block.stride > 1)


def projects_with_stride(feature: Fused, stage: DecoderStage) -> bool:
    """Whether the projection that fuses `feature` strides by 2, so that nothing is left to resize."""
    return feature.channels != stage.channels and 2 * feature.stride == stage.stride
