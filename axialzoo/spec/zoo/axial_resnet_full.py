"""Full Axial-ResNet: axial attention from the first layer on, no convolution but 1x1. Implemented nowhere else.

Axial-DeepLab, arXiv:2003.07853, sections 3.2 and 4.1: the stem (7x7 convolution and max pool) gives way to three axial blocks,
the first with stride 2; channels double where the resolution halves; span 15 in all blocks; eight heads. Table 1 has 12.5 M
parameters, 3.3 B multiply-adds and 78.1 % for width 0.5. What the text leaves open, and how it is read here:

* the stem's blocks are half as wide as the first stage's (64, keys 32, before the multiplier) and give the 64 channels that the
  convolutional stem gives;
* as the max pool goes with the stem, the first stage's first block strides to 1/4, as in deeplab2;
* striding, activations and norms are those of the authors' code (:mod:`axialzoo.spec.zoo.axial_resnet`);
* position tables have 509 rows, of which span 15 reads 29: only so do the paper's other counts come out too (12.4 M for
  Conv-Stem + Axial-Attention, which is 11.6 M with tables of the axes' lengths).

This gives 12.52 M and 3.290 B for S, within 0.4 %. Striding after each axis instead gives 2.955 B, stem blocks of 128 outputs 3.394 B,
a max pool after the stem 3.055 B, tables of 15 rows 11.56 M.
"""

from __future__ import annotations

from axialzoo.spec.attention import Attention
from axialzoo.spec.backbone import Backbone, Stage
from axialzoo.spec.block import Block
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.model import Model
from axialzoo.spec.registry import ModelEntry, register
from axialzoo.spec.stem import Stem

SOURCE = "arXiv:2003.07853, Table 1"


def axial_resnet_full(multiplier: float, depths: tuple[int, ...] = (3, 3, 4, 6, 3)) -> Model:
    """Build five stages at strides 2 to 32, the first in place of a stem; `multiplier` scales every width."""
    stages = []
    for index, depth in enumerate(depths):
        width = int((64 << index) * multiplier)
        out = 2 * width if index else width
        attention = Attention(key_channels=width // 2, value_channels=width, max_length=255, span=15)
        blocks = tuple(Block("axial", (width, out), 1 if block else 2, attention=attention) for block in range(depth))
        stages.append(Stage(blocks))
    return Model(Backbone(Stem(), tuple(stages)), Classifier())


for size, multiplier, published in (
    ("s", 0.5, {"parameters": 12_500_000, "multiply_adds": 3.3e9, "top1": 0.781}),
    ("m", 0.75, {}),
    ("l", 1.0, {}),
):
    register(
        ModelEntry(
            f"axial_resnet50_full_{size}",
            axial_resnet_full(multiplier),
            f"50 layers, attention in place of the stem, span 15, width {multiplier:g}",
            SOURCE,
            published=published,
        )
    )
