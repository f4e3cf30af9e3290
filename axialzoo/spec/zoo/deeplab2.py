"""How google-research/deeplab2 (model/encoder/axial_resnet.py) makes its backbones, in our words; the families use it.

What that code base does otherwise than the authors': keys as wide as the filters and values twice as wide, tables of
509 rows, striding after each axis by slicing, blocks that activate their input, shortcuts convolved only where the
width changes, no max pool after the stem, output stride 16 with atrous convolutions, epsilon 1e-3 and momentum 0.01,
pictures from -1 to 1.
"""

from __future__ import annotations

from dataclasses import replace
from math import log2

from axialzoo.spec.attention import Attention
from axialzoo.spec.backbone import Backbone, Norm, Stage
from axialzoo.spec.block import Block
from axialzoo.spec.check import require_choice
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.model import Model
from axialzoo.spec.neck import NeckStage
from axialzoo.spec.preprocessing import Preprocessing
from axialzoo.spec.stem import Stem, StemConv
from axialzoo.spec.transformer import Memory, Transformer

SOURCE = "github.com/google-research/deeplab2"
PREPROCESSING = Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3)  # x / 127.5 - 1

STEMS = {
    "resnet": lambda width: Stem((StemConv(width, 7, 2),)),
    "resnet_beta": lambda width: Stem((StemConv(width, 3, 2), StemConv(width), StemConv(2 * width))),
    "wider_resnet": lambda width: Stem((StemConv(width, 3, 2),)),
}


def backbone(
    kind: str = "resnet_beta",
    depths: tuple[int, ...] = (3, 4, 6, 3),
    width: float = 1.0,
    stem_width: float = 1.0,
    layers: float = 1.0,
    axial_from: int = 16,
    output_stride: int = 16,
    expansion: int = 2,
    key: int = 1,
    keep: float = 1.0,
    drop_from: int = 16,
    linear: bool = False,
    activation: str = "relu",
    squeeze_excite: bool = False,
    span: int | None = None,
    decoder_stacks: int = 0,
    memory: Memory | None = None,
    transformer_from: int = 32,
    transformer_width: float = 1.0,
    transformer_ffn: int = 2048,
    extra_stacks: int = 0,
    extra_blocks: int = 1,
) -> Model:
    """A backbone by the arguments that deeplab2 has for it; its names where ours differ are in brackets.

    Args:
        kind: ``"resnet"``: 7x7 stem and bottlenecks; ``"resnet_beta"``: a stem of three 3x3; ``"wider_resnet"``: a 3x3
            stem, three basic blocks at stride 2, basic blocks before the last stage [backbone_type].
        depths: Blocks of each of the last four stages [num_blocks].
        width: Of the stages [width_multiplier]; it does not reach the stem.
        stem_width: Of the stem, and of wider_resnet's first stage [stem_width_multiplier].
        layers: Multiplies `depths`, rounded down [backbone_layer_multiplier].
        axial_from: Stride of its *input* from which a block attends; 0 for never [use_axial_beyond_stride].
        output_stride: Of the last stage: 8, 16 or 32. Strides past it become atrous rates.
        expansion: First width of an axial block in filters; values are as wide [attention_bottleneck_expansion,
            value_expansion], keys `key` filters [key_expansion].
        keep, drop_from, linear: Probability that a residual is kept [drop_path_keep_prob], from which stride
            [drop_path_beyond_stride], and whether it falls to it by stage [drop_path_schedule].
        decoder_stacks: How often a stacked decoder goes up to stride 4 and down again [backbone_decoder_num_stacks].
        memory: Tokens beside the pixels of a mask transformer, with transformers and a decoder up to stride 4; None for a backbone alone
            [max_num_mask_slots, memory_channels, classification_mode].
        transformer_from: Stride of the current features from which a block is followed by a transformer
            [backbone_use_transformer_beyond_stride, extra_decoder_use_transformer_beyond_stride].
        transformer_width: Width of a transformer at stride 16, in 128 channels [base_transformer_expansion].
        transformer_ffn: Hidden channels of a transformer's feed-forward network [feed_forward_network_channels].
        extra_stacks, extra_blocks: Stacks and blocks of each step of the decoder of masks [extra_decoder_num_stacks,
            extra_decoder_blocks_per_stage].
    """
    require_choice("backbone", "kind", kind, tuple(STEMS))
    require_choice("backbone", "output_stride", output_stride, (8, 16, 32))

    def transformer(stride: int) -> Transformer:
        width = int(128 * transformer_width * stride / 16)
        return Transformer(round(2 * width), width, 2 * width, 8, transformer_ffn)

    def blocks(filters: int, count: int, stage_stride: int, before: int, tokens_at: int = 0) -> tuple[Block, ...]:
        """Blocks whose input has the stride `before` in a network of output stride 32, as have all strides here.

        A transformer's width follows the stride `tokens_at`; 0 for `before`.
        """
        made, now = [], before
        for index in range(count):
            stride = stage_stride if index == 0 and before < output_stride else 1
            rate = max(1, now // output_stride)
            second = max(1, before * stage_stride // output_stride) if index == 0 else rate
            kept = 1 - (1 - keep) * (round(log2(now)) - 1) / 4 if linear else keep
            common = {"squeeze_excite": squeeze_excite, "drop_path": 1 - kept if now >= drop_from else 0.0}
            if now >= axial_from > 0:
                attention = Attention(key * filters, expansion * filters, positions=255, downsample="slice", span=span)
                made.append(Block("axial", (expansion * filters, 4 * filters), stride, attention=attention, **common))
            elif kind != "wider_resnet":
                made.append(Block("bottleneck", (filters, filters, 4 * filters), stride, (rate,), **common))
            elif before * stage_stride < 32:
                made.append(Block("basic", (4 * filters, 4 * filters), stride, (rate, second), **common))
            else:
                made.append(Block("bottleneck", (filters, 2 * filters, 4 * filters), stride, (rate,), **common))
            if index == 0:
                now *= stage_stride
            if memory is not None and now >= transformer_from:
                made[-1] = replace(made[-1], transformer=transformer(tokens_at or before))
        return tuple(made)

    stages = [Stage(blocks(round(32 * stem_width), 3, 1, 2))] if kind == "wider_resnet" else []
    for index, depth in enumerate(depths):
        before = 2 << index
        stages.append(Stage(blocks(round(32 * before * width), int(depth * layers), 2, before)))
    decoder: list[NeckStage] = []

    def step(stride: int, count: int, fuse: bool = True, endpoint: bool = False) -> None:
        nominal = 32 if stride == output_stride else stride
        made = blocks(int(16 * nominal * width), count, 1, nominal, stride)
        decoder.append(NeckStage(stride, round(64 * nominal * width), made, fuse, endpoint))

    stack = decoder_strides(output_stride)
    for stride in stack * decoder_stacks:
        step(stride, 1)
    if memory is not None:  # the decoder of masks begins where the backbone ends, and ends at stride 4
        step(output_stride, extra_blocks, fuse=False)
        up = stack[: stack.index(4) + 1]
        for position, stride in enumerate([*stack * extra_stacks, *up]):
            step(stride, extra_blocks, endpoint=extra_stacks > 0 and position == stack.index(4))
    return Model(
        Backbone(
            STEMS[kind](round(64 * stem_width)),
            tuple(stages),
            tuple(decoder),
            activation=activation,
            pre_activation=True,
            shortcut="width",
            norm=Norm(1e-3, 0.01),
            memory=memory,
        ),
        Classifier(0),
    )


def decoder_strides(output_stride: int) -> list[int]:
    """Strides of one stack of the decoder: from the output stride up to 4 and down again; 16 gives 8, 4, 8, 16."""
    up = [stride for stride in (16, 8) if stride < output_stride]
    return [*up, 4, *reversed(up), output_stride]
