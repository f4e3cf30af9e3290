"""Primitive layers of the parts of a mask transformer's head."""

from __future__ import annotations

from collections.abc import Iterator

from axialzoo.spec.backbone import Backbone, Stage
from axialzoo.spec.block_layers import block_layers
from axialzoo.spec.heads.mask_parts import PixelDecoder
from axialzoo.spec.neck import NeckStage
from axialzoo.spec.primitives import BatchNorm, Conv, Layer, conv_norm, separable
from axialzoo.spec.stem import Stem
from axialzoo.spec.token_layers import LayerNorm, MaskProduct, TokenLinear, token_norm


def stage_conventions(stage: NeckStage, backbone: Backbone, activation: str) -> Backbone:
    """Return the conventions of a pixel decoder's blocks: deeplab2's, with the norms of `backbone`."""
    return Backbone(Stem(), (Stage(stage.blocks),), (), 3, activation, True, "width", backbone.norm)


def pixel_decoder_layers(name: str, decoder: PixelDecoder, channels: list[int], backbone: Backbone, activation: str) -> Iterator[Layer]:
    """Yield the layers of a pixel decoder that takes in features of `channels`, one for each stage."""
    before = channels[0]
    for index, (stage, inputs) in enumerate(zip(decoder.stages, channels)):
        at = (stage.stride, stage.stride)
        yield LayerNorm(f"{name}.norms.{index}", inputs, inputs, at)
        width = inputs
        if index > 0:
            coarse = decoder.stages[index - 1].stride
            width = stage.channels
            for side, channels_in, stride in (("coarse", before, coarse), ("fine", inputs, stage.stride)):
                if channels_in != width:
                    yield from conv_norm(f"{name}.fuses.{index - 1}.{side}", channels_in, width, 1, stride)
        conventions = stage_conventions(stage, backbone, activation)
        for number, block in enumerate(stage.blocks):
            yield from block_layers(f"{name}.stages.{index}.blocks.{number}", block, conventions, width, stage.stride)
            width = block.channels[-1]
        before = width


def predictor_layers(
    name: str, inputs: int, queries: int, widths: tuple[int, int, int], tokens: int, kernel: int, stride: int
) -> Iterator[Layer]:
    """Yield a mask predictor's layers on maps of `inputs` channels and tokens of `queries`; `widths`: hidden, outputs, classes."""
    hidden, outputs, classes = widths
    at = (stride, stride)
    yield from separable(f"{name}.pixel.mix", inputs, hidden, kernel, stride)
    yield Conv(f"{name}.pixel.out", hidden, outputs, at, bias=True)
    yield BatchNorm(f"{name}.pixel_norm", outputs, outputs, at)
    yield from token_norm(f"{name}.mask", queries, outputs, tokens)
    yield MaskProduct(f"{name}.product", outputs, tokens, at)
    yield BatchNorm(f"{name}.mask_norm", 1, 1, at)
    yield TokenLinear(f"{name}.classes", queries, classes + 1, None, (), tokens, True)
