"""Changes the output stride of a network: strides that are not taken become atrous rates (DeepLab, arXiv:1606.00915).

A network of output stride 32 halves the resolution in each stage. At 16 or 8 the last stages keep the resolution, and atrous
rates let 3x3 convolutions see as far as before. The rate of a stage's first block follows the stride of the stage's input;
the rates of its second convolution (in a basic block) and of the other blocks follow the stride of the stage. Attention needs
no rates. No parameter changes.
"""

from __future__ import annotations

from dataclasses import replace

from axialzoo.spec.backbone import Backbone, Stage
from axialzoo.spec.check import SpecError, require_choice

STRIDES = (8, 16, 32)


def at_output_stride(backbone: Backbone, output_stride: int) -> Backbone:
    """Return `backbone` with its last stage at `output_stride`: 8, 16 or 32.

    Raises:
        SpecError: where the model is not made of stages that end at 32 and halve the resolution one by one, in their pool
            or first block, or has a stacked decoder, whose stages depend on the output stride.
    """
    require_choice("adapt", "output_stride", output_stride, STRIDES)
    current = backbone.output_stride
    if output_stride == current:
        return backbone
    if backbone.neck:
        raise SpecError(
            f"output_stride: this model's stacked decoder is for output stride {current}; expected that, found {output_stride}; "
            "create the model by its name, without weights, for another"
        )
    if not _fits(backbone, current):
        raise SpecError(
            "output_stride: expected a model whose stages halve the resolution one by one from the stem's to 32 (or keep it, with "
            f"atrous rates, from 8 or 16 on), found strides {[info['reduction'] for info in backbone.feature_info()]}"
        )
    return _strided(backbone, output_stride)


def _fits(backbone: Backbone, current: int) -> bool:
    """Tell whether the stages of `backbone` fit output stride `current`, and its parameters stay at any other."""
    steps = _steps(backbone)
    halves = all(after == 2 * before for before, after in steps[1:]) and steps[0][1] in (steps[0][0], 2 * steps[0][0])
    pools = any(stage.pool for stage, (before, _) in zip(backbone.stages, steps) if before >= STRIDES[0])  # a pool that would be lost
    widths = [backbone.stem_channels, *(stage.channels for stage in backbone.stages)]
    same = any(stage.blocks[0].channels[-1] == width for stage, width in zip(backbone.stages, widths) if stage.stride > 1)
    for_stride = backbone.shortcut == "stride_or_width" and same  # a convolved shortcut that only the stride needs
    return current in STRIDES and halves and not pools and not for_stride and _strided(backbone, current) == backbone


def _steps(backbone: Backbone) -> list[tuple[int, int]]:
    """Return the strides before and after each stage at output stride 32."""
    count = len(backbone.stages)
    afters = [32 >> (count - 1 - index) for index in range(count)]
    return list(zip([backbone.stem_stride, *afters], afters))


def _strided(backbone: Backbone, output_stride: int) -> Backbone:
    stages = tuple(_stage(stage, *step, output_stride) for stage, step in zip(backbone.stages, _steps(backbone)))
    return replace(backbone, stages=stages)


def _stage(stage: Stage, before: int, after: int, output_stride: int) -> Stage:
    stride = 2 if before < after and before < output_stride else 1
    blocks = []
    for index, block in enumerate(stage.blocks):
        first = (before if index == 0 else after) // output_stride
        rates = [max(1, rate) for rate in (first, after // output_stride)][: len(block.dilation)]
        blocks.append(replace(block, stride=stride if index == 0 and not stage.pool else 1, dilation=tuple(rates)))
    return replace(stage, blocks=tuple(blocks), pool=stage.pool and stride == 2)
