"""Axial-DeepLab for nuclei: many small objects that touch, in pictures of about 256 x 256 pixels, on a CPU.

Ours. Nuclei are 6 to 30 pixels wide: at stride 4, as large scenes have it, two that touch are a few pixels, so stem and decoders keep
every pixel. Convolutions come first, where maps are large; axial attention follows at strides 8 and 16, where a row or a column of a
whole picture is 32 and 16 positions. On longer axes attention stays within these reaches, so that pictures of any size do.
"""

from __future__ import annotations

from dataclasses import replace

from axialzoo.spec.backbone import Backbone, Stage
from axialzoo.spec.block import Block, axial_block
from axialzoo.spec.heads.panoptic import Decoder, Instances, Panoptic, PostprocessConfig, Skip, TargetConfig
from axialzoo.spec.model import Model
from axialzoo.spec.registry import ModelEntry, register
from axialzoo.spec.stem import Stem, StemConv
from axialzoo.spec.zoo.deeplab2 import PREPROCESSING


def axial_deeplab_nuclei(width: int) -> Model:
    """Build stages at strides 2, 4, 8 and 16, the last four times `width` wide; maps of every pixel of background and nucleus."""
    stages = (
        Stage((Block("basic", (width, width), 2), Block("basic", (width, width)))),
        Stage((Block("basic", (3 * width // 2, 3 * width // 2), 2), Block("basic", (3 * width // 2, 3 * width // 2)))),
        Stage((Block("basic", (2 * width, 2 * width), 2), *(axial_block(width, 2 * width, 32) for _ in range(2)))),
        Stage((Block("basic", (4 * width, 4 * width), 2), *(axial_block(2 * width, 4 * width, 16) for _ in range(2)))),
    )
    stem = Stem((StemConv(width, 3, 1), StemConv(width, 3, 1)))
    skips = (Skip(8, 3 * width // 2), Skip(4, width), Skip(2, width), Skip(1, width // 2))
    decoder = Decoder(width, 2 * width, skips=skips)
    instances = Instances(decoder, width // 2, width // 2)
    targets = TargetConfig(sigma=3.0, small_weight=1.0)
    postprocess = PostprocessConfig(nms_kernel=7, top_k=400, instance_area=12, agreement=4.0)
    head = Panoptic(2, (1,), decoder, width // 2, instances, kernel=3, targets=targets, postprocess=postprocess)
    return Model(Backbone(stem, stages), head, (256, 256))


for name, width, summary, weights in (
    (
        "axial_deeplab_nuclei",
        32,
        "panoptic segmentation of nuclei in small pictures: maps of every pixel",
        {"dsb2018_all": "package:axial_deeplab_nuclei_stains", "dsb2018": "package:axial_deeplab_nuclei"},
    ),
    ("axial_deeplab_nuclei_xs", 8, "the smallest of panoptic segmentation, for tests and first steps", {}),
):
    preprocessing = replace(PREPROCESSING, resize="none")
    register(ModelEntry(name, axial_deeplab_nuclei(width), summary, "axialzoo", preprocessing=preprocessing, weights=weights))
