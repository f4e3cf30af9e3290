"""Operations of stem, stages and neck."""

from __future__ import annotations

from collections.abc import Sequence

from axialzoo.native.attention2d import plan_attention2d
from axialzoo.native.builder import Builder, aligned
from axialzoo.native.program import Kernel, View
from axialzoo.native.tokens import learned_tokens, plan_dual_path
from axialzoo.native.weights import head_fastest
from axialzoo.spec import Backbone, Block, NeckStage, Stage
from axialzoo.spec.layers import has_shortcut, projects_with_stride
from axialzoo.spec.neck import NeckInput


def plan_backbone(build: Builder, backbone: Backbone) -> tuple[list[View], View | None]:
    """Append a backbone, and return its endpoints, not activated where the blocks activate their own input, and its memory tokens."""
    memory = None if backbone.memory is None else learned_tokens(build, "memory.tokens")
    x, size = plan_stem(build, "stem", backbone, build.image), build.image.size
    endpoints = [x] if backbone.stem_is_endpoint else []
    for index, stage in enumerate(backbone.stages):
        x = plan_pool(build, f"stages.{index}", stage, x)
        x, memory = plan_blocks(build, f"stages.{index}", backbone, stage.blocks, x, memory)
        endpoints.append(x)
    count, features = len(endpoints), list(endpoints)
    for index, (inputs, stage) in enumerate(zip(backbone.neck_inputs(), backbone.neck)):
        x = plan_fusion(build, f"neck.{index}.fuse", backbone, stage, inputs, [features[feature.index] for feature in inputs], size)
        x, memory = plan_blocks(build, f"neck.{index}", backbone, stage.blocks, x, memory)
        features.append(x)
    ends = [index for index, stage in enumerate(backbone.neck) if stage.endpoint or stage is backbone.neck[-1]]
    return [*endpoints, *(features[count + index] for index in ends)], memory


def plan_stem(build: Builder, name: str, backbone: Backbone, x: View) -> View:
    """Append the convolutions of a stem."""
    convs = backbone.stem.convs
    activated = len(convs) - 1 if backbone.pre_activation else len(convs)
    for index, conv in enumerate(convs):
        activation = backbone.activation if index < activated else "none"
        x = build.conv_norm(f"{name}.{index}", x, stride=conv.stride, activation=activation)
    return x


def plan_stage(build: Builder, name: str, backbone: Backbone, stage: Stage, x: View) -> View:
    """Append a stage: a max pool where it has one, then its blocks."""
    return plan_blocks(build, name, backbone, stage.blocks, plan_pool(build, name, stage, x), None)[0]


def plan_pool(build: Builder, name: str, stage: Stage, x: View) -> View:
    """Append the max pool before the blocks of a stage, where it has one."""
    return build.pool("max_pool", f"{name}.pool", x, Kernel(3, 2, 1, 1)) if stage.pool else x


def plan_blocks(
    build: Builder, name: str, backbone: Backbone, blocks: Sequence[Block], x: View, memory: View | None
) -> tuple[View, View | None]:
    """Append blocks, each followed by its transformer, if any."""
    for number, block in enumerate(blocks):
        x = plan_block(build, f"{name}.blocks.{number}", backbone, block, x)
        if block.transformer is not None and memory is not None:
            path = f"{name}.transformers.{number}"
            x, memory = plan_dual_path(build, path, block.transformer, backbone.activation, x, memory)
    return x, memory


def plan_block(build: Builder, name: str, backbone: Backbone, block: Block, x: View) -> View:
    """Append a residual block."""
    activation = backbone.activation
    x = build.activate(x, activation) if backbone.pre_activation else x
    after = "none" if backbone.pre_activation else activation
    if has_shortcut(block, backbone, x.channels):
        straight = build.conv_norm(f"{name}.shortcut", x, stride=block.stride)
    else:
        straight = x.every((block.stride, block.stride))
    last, y, order = "expand", x, None
    if block.kind == "basic":
        last = "spatial2"
        y = build.conv_norm(f"{name}.spatial1", y, stride=block.stride, dilation=block.dilation[0], activation=activation)
    else:
        y = build.conv_norm(f"{name}.reduce", y, activation=activation)
        if block.attention is None:
            y = build.conv_norm(f"{name}.spatial", y, stride=block.stride, dilation=block.dilation[0], activation=activation)
        else:
            y = plan_attention(build, name, block, activation, y)
            order = head_fastest(block.attention.value_channels, block.attention.heads) if block.kind == "axial" else None
    dilation = block.dilation[1] if block.kind == "basic" else 1
    if not block.squeeze_excite:
        return build.conv_norm(f"{name}.{last}", y, dilation=dilation, residual=straight, activation=after, order=order)
    y = build.conv_norm(f"{name}.{last}", y, dilation=dilation, order=order)
    gate = build.biased(f"{name}.gate", build.mean(f"{name}.gate.mean", y), activation="hard_sigmoid")
    return build.scale(f"{name}.gate", y, gate, straight, after)


def plan_attention(build: Builder, name: str, block: Block, activation: str, x: View) -> View:
    """Append the attention layers of a block, its stride and its activation; channels of axial attention are head fastest."""
    attention, stride = block.attention, block.stride
    assert attention is not None
    pooled = stride > 1 and attention.downsample == "pool"
    if attention.kind != "axial":
        x = plan_attention2d(build, f"{name}.attention", attention, x)
        if pooled:
            return build.pool("average_pool", f"{name}.pool", x, Kernel(stride, stride), activation)
        return build.activate(x.every((stride, stride)), activation)
    order = head_fastest(attention.value_channels, attention.heads)
    x = build.attention(f"{name}.height", x, attention, 0)
    x = x if pooled else x.every((stride, 1))
    x = build.attention(f"{name}.width", x, attention, 1, order, "none" if pooled else activation)
    if pooled:
        return build.pool("average_pool", f"{name}.pool", x, Kernel(stride, stride), activation)
    return x.every((1, stride))


def plan_fusion(
    build: Builder, name: str, backbone: Backbone, stage: NeckStage, inputs: list[NeckInput], features: list[View], size: tuple[int, int]
) -> View:
    """Append the sum of features, each projected and resized, of a stage of the neck."""
    height, width = (-(-side // stage.stride) for side in size)
    total: View | None = None
    for index, (feature, x) in enumerate(zip(inputs, features)):
        projected = feature.channels != stage.channels
        stride = 2 if projects_with_stride(feature, stage) else 1
        if projected:
            x = build.activate(x, backbone.activation)
            same = tuple(-(-side // stride) for side in x.size) == (height, width)
            x = build.conv_norm(f"{name}.{index}", x, stride=stride, residual=total if same else None)
        else:
            same = False
        if x.size != (height, width):
            axes = aligned(x.shape[1], height), aligned(x.shape[2], width)
            x = build.resize(f"{name}.{index}.resize", x, axes, residual=total)
        elif not same and total is not None:
            x = build.add(f"{name}.{index}.sum", x, total)
        total = x
    assert total is not None
    return total
