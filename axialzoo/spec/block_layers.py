"""Primitive layers of one residual block."""

from __future__ import annotations

from collections.abc import Iterator

from axialzoo.spec.backbone import Backbone
from axialzoo.spec.block import Block
from axialzoo.spec.primitives import AttentionLayer, Gate, Layer, conv_norm


def block_layers(name: str, block: Block, backbone: Backbone, inputs: int, stride: int) -> Iterator[Layer]:
    """Yield the layers of a block whose input has `inputs` channels at total stride `stride`."""
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
    """Tell whether the block's shortcut is a convolution."""
    return inputs != block.channels[-1] or (backbone.shortcut == "stride_or_width" and block.stride > 1)
