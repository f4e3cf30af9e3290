"""Axial-DeepLab for the classes of street scenes, trained from random weights on a CPU: maps of classes alone, no objects.

Ours. Convolutions at strides 2 and 4 are few, as there memory decides the time; axial attention follows at strides 8 and 16, where a
row of a picture of 480 x 360 pixels is 60 and 30 positions. It stays within reaches that training sees, so that pictures of any size do.
Poles and signs are two to five pixels wide: the maps are of stride 2.
"""

from __future__ import annotations

from dataclasses import replace

from axialzoo.spec.backbone import Backbone, Stage
from axialzoo.spec.block import Block
from axialzoo.spec.heads.panoptic import Decoder, Panoptic, Skip
from axialzoo.spec.model import Model
from axialzoo.spec.registry import ModelEntry, register
from axialzoo.spec.stem import Stem, StemConv
from axialzoo.spec.zoo.axial_deeplab_nuclei import axial_block
from axialzoo.spec.zoo.deeplab2 import PREPROCESSING


def basic(width: int, stride: int = 1) -> Block:
    """Return a basic block of `width` channels."""
    return Block("basic", (width, width), stride)


def axial_deeplab_camvid(width: int) -> Model:
    """Build stages at strides 4, 8 and 16, the first `width` wide; maps of 11 classes at stride 2."""
    stages = (
        Stage((basic(width, 2),)),
        Stage((basic(2 * width, 2), basic(2 * width), axial_block(width, 2 * width, 32))),
        Stage((basic(4 * width, 2), *(axial_block(2 * width, 4 * width, 24) for _ in range(3)))),
    )
    decoder = Decoder(width, 2 * width, skips=(Skip(8, width), Skip(4, width // 2), Skip(2, width // 4)))
    head = Panoptic(11, (), decoder, width, instances=None, kernel=3)
    return Model(Backbone(Stem((StemConv(width // 2, 3, 2),)), stages), head, (360, 480))


register(
    ModelEntry(
        "axial_deeplab_camvid",
        axial_deeplab_camvid(48),
        "semantic segmentation of street scenes (CamVid's 11 classes): maps at stride 2",
        "axialzoo",
        preprocessing=replace(PREPROCESSING, size=(360, 480), resize="none"),
    )
)
