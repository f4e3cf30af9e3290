"""Mask transformers as deeplab2 has them: MaX-DeepLab (arXiv:2012.00759) and kMaX-DeepLab (arXiv:2207.04044).

Classes, widths and thresholds are those of configs/coco/max_deeplab/*.textproto, configs/coco/kmax_deeplab/*.textproto and
configs/cityscapes/kmax_deeplab/*.textproto. PQ on COCO's validation images, single scale, by the official script, of g3doc/projects/
max_deeplab.md and g3doc/projects/kmax_deeplab.md; PQ on Cityscapes' validation images likewise.

kMaX-DeepLab exists twice, in TensorFlow and in PyTorch (github.com/bytedance/kmax-deeplab), and the two compute different functions of the
same weights. :func:`kmax` makes either: ``origin="torch"`` has no dilation in the pixel decoder, aligns corners at odd widths alone, and
has a backbone with a max pool whose features are activated. Its fifth stage, for Cityscapes, is a second one of stride 4: the fourth takes
in the stem after the max pool, and the fifth the first stage of the backbone.
"""

from __future__ import annotations

from dataclasses import replace

from axialzoo.spec.attention import Attention
from axialzoo.spec.backbone import Backbone, Norm, Stage
from axialzoo.spec.block import Block
from axialzoo.spec.check import require_choice
from axialzoo.spec.heads.mask_parts import KMeansDecoder, KMeansLayer, PixelDecoder, PostprocessConfig, SemanticBranch, TargetConfig
from axialzoo.spec.heads.mask_transformer import MaskTransformer
from axialzoo.spec.heads.panoptic import Decoder, Skip
from axialzoo.spec.model import Model
from axialzoo.spec.neck import NeckStage
from axialzoo.spec.registry import ModelEntry, register
from axialzoo.spec.stem import Stem, StemConv
from axialzoo.spec.transformer import Memory, Transformer
from axialzoo.spec.zoo import deeplab2
from axialzoo.spec.zoo.axial_swidernet import SWIDERNET
from axialzoo.spec.zoo.deeplab2 import PREPROCESSING, backbone

ORIGINS = ("tensorflow", "torch")
MAX_SOURCE = f"arXiv:2012.00759; {deeplab2.SOURCE}"
KMAX_SOURCE = f"arXiv:2207.04044; {deeplab2.SOURCE}; github.com/bytedance/kmax-deeplab"
COCO_CLASSES, COCO_THINGS = 133, tuple(range(80))
VOID_FIRST = (-1, *range(COCO_CLASSES))  # the channels of COCO's semantic branch are label ids, of which 0 is "no class"
CITYSCAPES_THINGS = tuple(range(8))  # deeplab2's class head has the things first
CITYSCAPES_ORDER = (*range(8, 19), *range(8))  # class of each label id: eleven of stuff, then eight things
CONTEXT = Decoder(256, 256, (6, 12, 18), (Skip(8, 64), Skip(4, 32)), 0.1)

MAX_POSTPROCESS = PostprocessConfig("pixelwise", 0.4, 0.7, 0.7, thing_area=256, stuff_area=4096)
KMAX_COCO = PostprocessConfig("maskwise", 0.4, 0.7, 0.5, 0.8, 1.0, 1.0, 400, 6400)
KMAX_CITYSCAPES = PostprocessConfig("maskwise", 0.4, 0.5, 0.3, 0.9, 1.0, 0.0, 256, 2048)


def max_deeplab_s(output_stride: int = 16) -> Model:
    """Build MaX-DeepLab-S: ResNet-50 with axial attention, transformers after the blocks of its last stage and of its decoder."""
    features = backbone(keep=0.8, linear=True, memory=Memory(128, 256), output_stride=output_stride)
    return replace(features, head=max_head(256, SemanticBranch(CONTEXT, order=VOID_FIRST)), input_size=(1025, 1025))


def max_deeplab_l(output_stride: int = 16) -> Model:
    """Build MaX-DeepLab-L: wide residual network with axial attention, transformers from stride 16 on, and two stacked decoders."""
    more = {"memory": Memory(128, 512), "transformer_from": 16, "transformer_width": 2.0}
    features = backbone(decoder_stacks=1, extra_stacks=1, extra_blocks=3, output_stride=output_stride, **more, **SWIDERNET)
    return replace(features, head=max_head(512, SemanticBranch(None, order=VOID_FIRST, from_neck=True)), input_size=(1025, 1025))


def max_head(embed_channels: int, semantic: SemanticBranch | None) -> MaskTransformer:
    """Return the head of MaX-DeepLab for COCO."""
    return MaskTransformer(
        COCO_CLASSES,
        COCO_THINGS,
        embed_channels=embed_channels,
        semantic=semantic,
        targets=TargetConfig(small_weight=3.0),
        postprocess=MAX_POSTPROCESS,
    )


def pixel_decoder(
    channels: int = 2048,
    widths: tuple[int, ...] = (512, 256, 128, 64),
    depths: tuple[int, ...] = (1, 5, 1, 1),
    axial: int = 2,
    origin: str = "tensorflow",
    heads: int = 8,
    max_length: int = 255,
) -> PixelDecoder:
    """Build the pixel decoder of kMaX-DeepLab, from stride 32 up, of four or five stages.

    Args:
        channels: Channels of the backbone's last stage.
        widths: Width of each stage; its blocks have four times as many outputs.
        depths: Blocks of each stage.
        axial: Number of stages with axial blocks; the others have bottlenecks.
        origin: ``"tensorflow"`` or ``"torch"``: whose code it computes.
        heads, max_length: Attention heads and reach of the position tables of the axial blocks.
    """
    require_choice("pixel_decoder", "origin", origin, ORIGINS)
    rate = 2 if origin == "tensorflow" else 1
    strides, sources = [32 >> index for index in range(len(widths))], ()
    if origin == "torch" and len(widths) == 5:
        strides, sources = [32, 16, 8, 4, 4], (32, 16, 8, 2, 4)
    stages = []
    for index, (width, depth) in enumerate(zip(widths, depths)):
        if index < axial:
            attention = Attention(width, 2 * width, heads, max_length, downsample="slice")
            block = Block("axial", (2 * width, 4 * width), attention=attention)
        else:
            block = Block("bottleneck", (width, width, 4 * width), 1, (rate,))
        stages.append(NeckStage(strides[index], channels if index == 0 else width, (block,) * depth))
    return PixelDecoder(tuple(stages), "aligned" if origin == "tensorflow" else "odd", sources)


def kmeans_decoder(slots: int = 128, channels: int = 256, drop_path: float = 0.2, transformer: Transformer | None = None) -> KMeansDecoder:
    """Build the k-means decoder of kMaX-DeepLab: two layers each on the first three stages of the pixel decoder."""
    widths = transformer or Transformer()
    return KMeansDecoder(Memory(slots, channels), tuple(KMeansLayer(stage, widths, drop_path) for stage in (0, 0, 1, 1, 2, 2)))


def kmax(features: Backbone, origin: str = "tensorflow", dataset: str = "coco") -> Model:
    """Build kMaX-DeepLab on a backbone of output stride 32.

    Args:
        features: The backbone; in TensorFlow's code its features are not activated.
        origin: ``"tensorflow"`` or ``"torch"``: whose code the head computes.
        dataset: ``"coco"`` or ``"cityscapes"``, whose published settings it has.
    """
    theirs, channels = origin == "torch", features.stages[-1].channels
    if dataset == "coco":
        order = (*range(COCO_CLASSES), -1) if theirs else VOID_FIRST
        context = replace(CONTEXT, corners="odd") if theirs else CONTEXT
        semantic = SemanticBranch(context, order=order, activated=False, activated_skips=not theirs)
        head = MaskTransformer(
            COCO_CLASSES,
            COCO_THINGS,
            pixel_decoder=pixel_decoder(channels, origin=origin),
            kmeans=kmeans_decoder(),
            semantic=semantic,
            activation="gelu",
            activate_pixels=False,
            postprocess=KMAX_COCO,
        )
        return Model(features, head, (1281, 1281))
    things = tuple(range(11, 19)) if theirs else CITYSCAPES_THINGS
    head = MaskTransformer(
        19,
        things,
        256,
        pixel_decoder=pixel_decoder(channels, (512, 256, 128, 64, 32), (1, 5, 1, 1, 1), origin=origin),
        kmeans=kmeans_decoder(256),
        semantic=SemanticBranch(order=() if theirs else CITYSCAPES_ORDER, activated=False),
        activation="gelu",
        activate_pixels=False,
        targets=TargetConfig(256, 3.0),
        postprocess=KMAX_CITYSCAPES,
    )
    return Model(features, head, (1025, 2049))


def resnet50_with_pool() -> Backbone:
    """Build ResNet-50 as PyTorch's kMaX-DeepLab has it: a max pool after the stem, and activated features."""
    stages = []
    for index, depth in enumerate((3, 4, 6, 3)):
        width = 64 << index
        strides = (1 if index == 0 else 2, *(1,) * (depth - 1))
        blocks = tuple(Block("bottleneck", (width, width, 4 * width), stride) for stride in strides)
        stages.append(Stage(blocks, pool=index == 0))
    return Backbone(Stem((StemConv(64, 7, 2),)), tuple(stages), shortcut="width", norm=Norm(1e-3, 0.01))


def resnet50(output_stride: int = 32) -> Backbone:
    """Build ResNet-50 as deeplab2 has it: no max pool, and features before their activation."""
    return backbone("resnet", axial_from=0, output_stride=output_stride).backbone


def axial_resnet50() -> Backbone:
    """Build ResNet-50 with axial attention and GELU, "MaX-S w/ GeLU"."""
    return backbone(keep=0.8, linear=True, activation="gelu", output_stride=32).backbone


for name, make, summary, published in (
    ("max_deeplab_s", max_deeplab_s, "MaX-DeepLab-S", {"parameters": 77_756_942, "coco_pq": 0.490}),
    ("max_deeplab_l", max_deeplab_l, "MaX-DeepLab-L", {"parameters": 450_871_278, "coco_pq": 0.513}),
):
    register(
        ModelEntry(
            name,
            make(),
            f"panoptic segmentation: {summary}, COCO's 133 classes",
            MAX_SOURCE,
            published=published,
            preprocessing=replace(PREPROCESSING, resize="longer", size=(1025, 1025)),
            rebuild=make,
        )
    )
for name, features, summary, coco, cityscapes in (
    ("resnet50", resnet50(), "ResNet-50", (72_436_862, 0.530), (56_986_125, 0.643)),
    ("axial_resnet50", axial_resnet50(), "Axial-ResNet-50", (90_272_254, 0.562), (74_823_693, 0.664)),
):
    register(
        ModelEntry(
            f"kmax_deeplab_{name}",
            kmax(features),
            f"panoptic segmentation: kMaX-DeepLab on {summary}, COCO's 133 classes",
            KMAX_SOURCE,
            published={"parameters": coco[0], "coco_pq": coco[1]},
            preprocessing=replace(PREPROCESSING, resize="longer", size=(1281, 1281)),
        )
    )
    register(
        ModelEntry(
            f"kmax_deeplab_{name}_cityscapes",
            kmax(features, dataset="cityscapes"),
            f"panoptic segmentation: kMaX-DeepLab on {summary}, Cityscapes' 19 classes, things first",
            KMAX_SOURCE,
            published={"parameters": cityscapes[0], "cityscapes_pq": cityscapes[1]},
            preprocessing=replace(PREPROCESSING, resize="none"),
        )
    )
for name, dataset, summary, resize, published in (
    ("", "coco", "COCO's 133 classes", {"resize": "longer", "size": (1281, 1281)}, {"parameters": 72_436_862, "coco_pq": 0.533}),
    ("_cityscapes", "cityscapes", "Cityscapes' 19 classes", {"resize": "none"}, {"parameters": 56_975_757, "cityscapes_pq": 0.635}),
):
    register(
        ModelEntry(
            f"kmax_deeplab_resnet50{name}_torch",
            kmax(resnet50_with_pool(), "torch", dataset),
            f"panoptic segmentation: kMaX-DeepLab on ResNet-50 as its PyTorch code computes it, {summary}",
            KMAX_SOURCE,
            published=published,
            preprocessing=replace(PREPROCESSING, **resize),
        )
    )


NUCLEI = {"size": (256, 256), "resize": "longer", "per_image": True}
SMALL = {"kind": "resnet_beta", "depths": (2, 2, 4, 2), "width": 0.25, "stem_width": 0.25, "expansion": 2}


def max_nuclei(slots: int = 128, scale: float = 1.0, depths: tuple[int, ...] = (2, 2, 4, 2)) -> Model:
    """Return a small MaX-DeepLab for nuclei: stuff is class 0, nuclei are class 1."""
    widths = {**SMALL, "width": 0.25 * scale, "stem_width": 0.25 * scale, "depths": depths}
    channels = round(128 * scale)
    memory = {"memory": Memory(slots, channels), "transformer_width": 0.5 * scale, "transformer_ffn": 4 * channels}
    semantic = SemanticBranch(Decoder(round(64 * scale), round(64 * scale), (), (Skip(8, 16), Skip(4, 8))), round(64 * scale))
    head = MaskTransformer(
        2, (1,), slots, channels, round(64 * scale), round(64 * scale), semantic=semantic, targets=TargetConfig(slots - 1)
    )
    return replace(backbone(**widths, **memory), head=head, input_size=(256, 256))


def kmax_nuclei(slots: int = 128, scale: float = 1.0, depths: tuple[int, ...] = (2, 2, 4, 2)) -> Model:
    """Return a small kMaX-DeepLab for nuclei: stuff is class 0, nuclei are class 1."""
    widths = {**SMALL, "width": 0.25 * scale, "stem_width": 0.25 * scale, "depths": depths}
    features = backbone(**widths, activation="gelu", output_stride=32).backbone
    channels, small = round(128 * scale), tuple(round(width * scale) for width in (128, 64, 32, 16))
    transformer = Transformer(channels, channels // 2, channels, 8, 4 * channels)
    semantic = SemanticBranch(
        Decoder(round(64 * scale), round(64 * scale), (), (Skip(8, 16), Skip(4, 8))), round(64 * scale), activated=False
    )
    head = MaskTransformer(
        2, (1,), slots, channels, round(64 * scale), round(64 * scale),
        pixel_decoder=pixel_decoder(features.channels, small, (1, 2, 1, 1)),
        kmeans=kmeans_decoder(slots, channels, 0.0, transformer),
        semantic=semantic, activation="gelu", activate_pixels=False, targets=TargetConfig(slots - 1),
        postprocess=PostprocessConfig("maskwise", 0.4, 0.5, 0.5),
    )  # fmt: skip
    return Model(features, head, (256, 256))


for name, spec, summary, source in (
    ("max_deeplab_nuclei", max_nuclei(), "a small MaX-DeepLab for nuclei", MAX_SOURCE),
    ("max_deeplab_nuclei_xs", max_nuclei(16, 0.25, (1, 1, 1, 1)), "a narrow MaX-DeepLab, for tests and first steps", MAX_SOURCE),
    ("kmax_deeplab_nuclei", kmax_nuclei(), "a small kMaX-DeepLab for nuclei", KMAX_SOURCE),
    ("kmax_deeplab_nuclei_xs", kmax_nuclei(16, 0.25, (1, 1, 1, 1)), "a narrow kMaX-DeepLab, for tests and first steps", KMAX_SOURCE),
):
    register(ModelEntry(name, spec, f"instance segmentation: {summary}", source, preprocessing=replace(PREPROCESSING, **NUCLEI)))
