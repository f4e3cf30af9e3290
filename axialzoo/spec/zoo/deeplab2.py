"""Backbones of google-research/deeplab2 (model/encoder/axial_resnet.py) as specs, for the families that use them.

That code base differs from the authors' in these points: keys as wide as the filters and values twice as wide, tables of
509 rows, striding after each axis by slicing, blocks that activate their input, shortcuts convolved only where the
width changes, no max pool after the stem, output stride 16 with atrous convolutions, epsilon 1e-3 and momentum 0.01,
pictures from -1 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log2
from typing import Any

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


@dataclass(frozen=True)
class Arguments:
    """Arguments that deeplab2 has for a backbone; its names where ours differ are in brackets.

    Attributes:
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

    kind: str = "resnet_beta"
    depths: tuple[int, ...] = (3, 4, 6, 3)
    width: float = 1.0
    stem_width: float = 1.0
    layers: float = 1.0
    axial_from: int = 16
    output_stride: int = 16
    expansion: int = 2
    key: int = 1
    keep: float = 1.0
    drop_from: int = 16
    linear: bool = False
    activation: str = "relu"
    squeeze_excite: bool = False
    span: int | None = None
    decoder_stacks: int = 0
    memory: Memory | None = None
    transformer_from: int = 32
    transformer_width: float = 1.0
    transformer_ffn: int = 2048
    extra_stacks: int = 0
    extra_blocks: int = 1

    def __post_init__(self):
        require_choice("backbone", "kind", self.kind, tuple(STEMS))
        require_choice("backbone", "output_stride", self.output_stride, (8, 16, 32))

    def transformer(self, stride: int) -> Transformer:
        """Return the transformer that follows blocks of a stride in a network of output stride 32."""
        width = int(128 * self.transformer_width * stride / 16)
        return Transformer(round(2 * width), width, 2 * width, 8, self.transformer_ffn)

    def blocks(self, filters: int, count: int, stage_stride: int, before: int, tokens_at: int = 0) -> tuple[Block, ...]:
        """Build blocks. `before` is the stride of their input; all strides here are those of a network of output stride 32.

        A transformer's width follows the stride `tokens_at`; 0 for `before`.
        """
        blocks, current_stride = [], before
        for index in range(count):
            stride = stage_stride if index == 0 and before < self.output_stride else 1
            rate = max(1, current_stride // self.output_stride)
            second = max(1, before * stage_stride // self.output_stride) if index == 0 else rate
            keep_probability = 1 - (1 - self.keep) * (round(log2(current_stride)) - 1) / 4 if self.linear else self.keep
            common = {"squeeze_excite": self.squeeze_excite, "drop_path": 1 - keep_probability if current_stride >= self.drop_from else 0.0}
            if current_stride >= self.axial_from > 0:
                attention = Attention(self.key * filters, self.expansion * filters, max_length=255, downsample="slice", span=self.span)
                blocks.append(Block("axial", (self.expansion * filters, 4 * filters), stride, attention=attention, **common))
            elif self.kind != "wider_resnet":
                blocks.append(Block("bottleneck", (filters, filters, 4 * filters), stride, (rate,), **common))
            elif before * stage_stride < 32:
                blocks.append(Block("basic", (4 * filters, 4 * filters), stride, (rate, second), **common))
            else:
                blocks.append(Block("bottleneck", (filters, 2 * filters, 4 * filters), stride, (rate,), **common))
            if index == 0:
                current_stride *= stage_stride
            if self.memory is not None and current_stride >= self.transformer_from:
                blocks[-1] = replace(blocks[-1], transformer=self.transformer(tokens_at or before))
        return tuple(blocks)

    def neck(self) -> tuple[NeckStage, ...]:
        """Return the steps of the stacked decoder, and of a mask transformer's after it."""
        steps: list[NeckStage] = []

        def step(stride: int, count: int, fuse: bool = True, endpoint: bool = False) -> None:
            nominal = 32 if stride == self.output_stride else stride
            blocks = self.blocks(int(16 * nominal * self.width), count, 1, nominal, stride)
            steps.append(NeckStage(stride, round(64 * nominal * self.width), blocks, fuse, endpoint))

        stack = decoder_strides(self.output_stride)
        for stride in stack * self.decoder_stacks:
            step(stride, 1)
        if self.memory is not None:  # the decoder of masks begins where the backbone ends, and ends at stride 4
            step(self.output_stride, self.extra_blocks, fuse=False)
            up = stack[: stack.index(4) + 1]
            for position, stride in enumerate([*stack * self.extra_stacks, *up]):
                step(stride, self.extra_blocks, endpoint=self.extra_stacks > 0 and position == stack.index(4))
        return tuple(steps)

    def model(self) -> Model:
        """Return the model of features with such a backbone."""
        stages = [Stage(self.blocks(round(32 * self.stem_width), 3, 1, 2))] if self.kind == "wider_resnet" else []
        for index, depth in enumerate(self.depths):
            before = 2 << index
            stages.append(Stage(self.blocks(round(32 * before * self.width), int(depth * self.layers), 2, before)))
        return Model(
            Backbone(
                STEMS[self.kind](round(64 * self.stem_width)),
                tuple(stages),
                self.neck(),
                activation=self.activation,
                pre_activation=True,
                shortcut="width",
                norm=Norm(1e-3, 0.01),
                memory=self.memory,
            ),
            Classifier(0),
        )


def backbone(kind: str = "resnet_beta", **arguments: Any) -> Model:
    """Return the backbone that deeplab2 builds by such arguments: see :class:`Arguments`."""
    return Arguments(kind, **arguments).model()


def decoder_strides(output_stride: int) -> list[int]:
    """Return the strides of one stack of the decoder: from the output stride up to 4 and down again; 16 gives 8, 4, 8, 16."""
    up = [stride for stride in (16, 8) if stride < output_stride]
    return [*up, 4, *reversed(up), output_stride]
