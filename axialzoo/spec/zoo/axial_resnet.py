"""Axial-ResNet with a convolutional stem: the authors' PyTorch family.

Axial-DeepLab: Stand-Alone Axial-Attention for Panoptic Segmentation, ECCV 2020, arXiv:2003.07853, Table 1
("Conv-Stem + Axial-Attention"), as the authors' code has it: github.com/csrhddlam/axial-deeplab.
Top-1 on ImageNet as published; parameters and multiply-adds of that code at 224 x 224.
"""

from __future__ import annotations

from axialzoo.spec.attention import Attention
from axialzoo.spec.backbone import Backbone, Stage
from axialzoo.spec.block import Block
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.model import Model
from axialzoo.spec.registry import ModelEntry, register
from axialzoo.spec.stem import Stem, StemConv

SOURCE = "arXiv:2003.07853; github.com/csrhddlam/axial-deeplab"


def axial_block(width: int, out: int, max_length: int, stride: int = 1) -> Block:
    """Return the authors' block: keys half as wide as the block, values as wide."""
    attention = Attention(key_channels=width // 2, value_channels=width, max_length=max_length)
    return Block("axial", (width, out), stride, attention=attention)


def axial_resnet(depths: tuple[int, ...], multiplier: float) -> Model:
    """Build four stages at strides 4 to 32; `multiplier` scales every width."""
    stages = []
    for index, depth in enumerate(depths):
        width, stride = int((128 << index) * multiplier), 1 if index == 0 else 2
        tables = (56, 56, 28, 14)[index]  # the axis before the stage's stride, at 224
        blocks = tuple(
            axial_block(width, 2 * width, tables // (stride if block else 1), stride if block == 0 else 1) for block in range(depth)
        )
        stages.append(Stage(blocks, pool=index == 0))
    stem = Stem((StemConv(int(64 * multiplier), kernel=7, stride=2),))
    return Model(Backbone(stem, tuple(stages)), Classifier())


register(
    ModelEntry(
        "axial_resnet26_s",
        axial_resnet((1, 2, 4, 1), 0.5),
        "26 layers, half width; the one the authors published weights of (axial26s.pth)",
        SOURCE,
        published={"parameters": 5_944_936, "multiply_adds": 1.812e9, "top1": 0.758},
    )
)
register(
    ModelEntry(
        "axial_resnet50_s",
        axial_resnet((3, 4, 6, 3), 0.5),
        "50 layers, half width",
        SOURCE,
        published={"parameters": 11_586_216, "multiply_adds": 2.843e9, "top1": 0.775},
    )
)
register(
    ModelEntry(
        "axial_resnet50_m",
        axial_resnet((3, 4, 6, 3), 0.75),
        "50 layers, three quarters width",
        SOURCE,
        published={"parameters": 25_179_400, "multiply_adds": 5.955e9},
    )
)
register(
    ModelEntry(
        "axial_resnet50_l",
        axial_resnet((3, 4, 6, 3), 1.0),
        "50 layers, full width",
        SOURCE,
        published={"parameters": 43_973_480, "multiply_adds": 10.194e9},
    ),
    "axial_resnet50",
)
