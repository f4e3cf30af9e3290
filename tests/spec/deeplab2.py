"""The backbones of google-research/deeplab2 said in our words: test data for what a spec must be able to say.

What that code base does otherwise than the authors': keys as wide as the filters and values twice as wide, tables of
509 rows, striding after each axis by slicing, blocks that activate their input, shortcuts convolved only where the
width changes, no max pool after the stem, output stride 16 with atrous convolutions, epsilon 1e-3 and momentum 0.01.
"""

from __future__ import annotations

from math import log2

from axialzoo.spec import Attention, Backbone, Block, DecoderStage, Model, Norm, Stage, Stem, StemConv

STEMS = {
    "resnet": lambda width: Stem((StemConv(width, 7, 2),)),
    "resnet_beta": lambda width: Stem((StemConv(width, 3, 2), StemConv(width), StemConv(2 * width))),
    "wider_resnet": lambda width: Stem((StemConv(width, 3, 2),)),
}


def backbone(
    kind: str = "resnet_beta",
    depths: tuple[int, ...] = (3, 4, 6, 3),
    width: float = 1.0,
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
    stacked_decoder: bool = False,
) -> Model:
    """A backbone by the arguments that deeplab2 has for it.

    Args:
        axial_from: Stride of its *input* from which a block attends; 0 for never.
        expansion: First width of an axial block in filters; values are as wide, keys `key` filters.
        keep, drop_from, linear: Probability that a residual is kept, from which stride, and whether it falls to it by stage.
    """

    def blocks(filters: int, count: int, stage_stride: int, before: int) -> tuple[Block, ...]:
        made, stride_now = [], before
        for index in range(count):
            stride = stage_stride if index == 0 and before < output_stride else 1
            rate = max(1, stride_now // output_stride)
            second = max(1, before * stage_stride // output_stride) if index == 0 else rate
            kept = 1 - (1 - keep) * (round(log2(stride_now)) - 1) / 4 if linear else keep
            common = {"squeeze_excite": squeeze_excite, "drop_path": 1 - kept if stride_now >= drop_from else 0.0}
            if stride_now >= axial_from > 0:
                attention = Attention(key * filters, expansion * filters, positions=255, downsample="slice", span=span)
                made.append(Block("axial", (expansion * filters, 4 * filters), stride, attention=attention, **common))
            elif kind != "wider_resnet":
                made.append(Block("bottleneck", (filters, filters, 4 * filters), stride, (rate,), **common))
            elif before * stage_stride < 32:
                made.append(Block("basic", (4 * filters, 4 * filters), stride, (rate, second), **common))
            else:
                made.append(Block("bottleneck", (filters, 2 * filters, 4 * filters), stride, (rate,), **common))
            if index == 0:
                stride_now *= stage_stride
        return tuple(made)

    stages = [Stage(blocks(32, 3, 1, 2))] if kind == "wider_resnet" else []
    for index, depth in enumerate(depths):
        before = 2 << index
        stages.append(Stage(blocks(round(32 * before * width), depth, 2, before)))
    decoder = []
    if stacked_decoder:
        for stride, nominal in ((8, 8), (4, 4), (8, 8), (16, 32)):
            decoder.append(DecoderStage(stride, round(64 * nominal * width), blocks(round(16 * nominal * width), 1, 1, nominal)))
    return Model(
        Backbone(
            STEMS[kind](64),
            tuple(stages),
            tuple(decoder),
            activation=activation,
            pre_activation=True,
            shortcut="width",
            norm=Norm(1e-3, 0.01),
        ),
        num_classes=0,
    )


SWIDE = {"kind": "wider_resnet", "expansion": 4, "key": 2, "drop_from": 4, "keep": 0.8}

# name -> (spec, trainable parameters as counted on the running upstream or as published, in units of the last digit given)
MODELS = {
    "axial_resnet_s": (backbone("resnet", width=0.5, axial_from=2), 11_466_912, 0),
    "axial_resnet_l": (backbone("resnet", axial_from=2), 43_714_048, 0),
    "axial_deeplab_s_backbone": (backbone(width=0.5, axial_from=2), 11_565_856, 0),
    "axial_deeplab_l_backbone": (backbone(axial_from=2), 43_841_920, 0),
    "max_deeplab_s_backbone": (backbone(keep=0.8), 41_343_424, 0),
    "axial_swidernet_1_1_1": (backbone(depths=(3, 6, 3, 3), **SWIDE), 136.4e6, 0.05e6),
    "axial_resnet50_gelu": (backbone(keep=0.8, activation="gelu"), 41_343_424, 0),
}
OUTPUTS = {  # channels of each stage, as upstream's endpoints have them
    "axial_resnet_s": (64, 128, 256, 512, 1024),
    "axial_deeplab_s_backbone": (128, 128, 256, 512, 1024),
    "max_deeplab_s_backbone": (128, 256, 512, 1024, 2048),
    "axial_swidernet_1_1_1": (64, 128, 256, 512, 1024, 2048),
}
