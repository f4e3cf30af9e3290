"""A model in a few lines, as ``print(model)`` shows it."""

from __future__ import annotations

import math
from itertools import groupby

from axialzoo.spec.block import Block
from axialzoo.spec.layers import num_parameters
from axialzoo.spec.model import Model


def model_text(spec: Model, name: str) -> str:
    """Return input, stages with their attention, head and number of parameters of a model, a line each.

    Example:
        >>> from axialzoo.spec import get_entry
        >>> print(model_text(get_entry("axial_resnet_cifar10_xs").spec, "axial_resnet_cifar10_xs").splitlines()[-1])
          head: classifier, classification, 10 classes
    """
    backbone = spec.backbone
    height, width = spec.input_size
    lines = [f"{name}: {num_parameters(spec):,} parameters; input {height} x {width} or any other, {backbone.in_channels} channels"]
    stride = math.prod(conv.stride for conv in backbone.stem.convs)
    lines.append(f"  stem: {', '.join(f'conv {conv.kernel} x {conv.kernel}' for conv in backbone.stem.convs) or 'none'}; stride {stride}")
    for number, stage in enumerate(backbone.stages):
        stride *= stage.stride
        blocks = ", ".join(_blocks(list(same)) for _, same in groupby(stage.blocks, block_text))
        lines.append(f"  stages.{number}: {blocks}; stride {stride}, {stage.channels} channels")
    lines += [f"  neck: {len(backbone.neck)} stages, {backbone.channels} channels"] if backbone.neck else []
    head = "none: features" if spec.head is None else f"{spec.head.kind}, {spec.task}, {spec.num_labels} classes"
    return "\n".join([*lines, f"  head: {head}"])


def _blocks(same: list[Block]) -> str:
    return f"{len(same)} x {block_text(same[0])}"


def block_text(block: Block) -> str:
    """Return the kind of a block, with the heads, the reach and the position terms of its attention."""
    attention = block.attention
    if attention is None:
        return block.kind
    axes = "height then width" if attention.kind == "axial" else attention.kind
    reach = f"span {attention.span}" if attention.span else f"up to {attention.max_length} positions"
    return f"{block.kind} ({axes}, {attention.heads} heads, {reach}{', gated' if attention.gated else ''})"
