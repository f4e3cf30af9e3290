"""The Medical Transformer (MedT), and the three models that its paper compares it with: U-Nets of axial attention.

Medical Transformer: Gated Axial-Attention for Medical Image Segmentation, MICCAI 2021, arXiv:2102.10662, as the authors' code has it:
github.com/jeya-maria-jose/Medical-Transformer, lib/models/axialnet.py. Parameters are those of that code.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from axialzoo.spec.attention import Attention
from axialzoo.spec.backbone import Backbone, Stage
from axialzoo.spec.block import Block
from axialzoo.spec.heads.unet import LocalBranch, UNet
from axialzoo.spec.kinds import CONTENT
from axialzoo.spec.model import Model
from axialzoo.spec.preprocessing import Preprocessing
from axialzoo.spec.registry import ModelEntry, register
from axialzoo.spec.stem import Stem, StemConv

SOURCE = "arXiv:2102.10662; github.com/jeya-maria-jose/Medical-Transformer"
PREPROCESSING = Preprocessing(size=(128, 128), resize="none", crop=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)  # theirs divides by 255 alone
DEPTHS = (1, 2, 4, 1)
KINDS: dict[str, dict[str, Any]] = {"axial": {}, "gated": {"gated": True}, "without positions": CONTENT}


def encoder(side: int, kind: str, depths: tuple[int, ...] = DEPTHS, width: int = 16, heads: int = 8) -> tuple[Stage, ...]:
    """Build stages at strides 2, 4, 8 and 16, each twice as wide as the one before; the tables reach across a picture of `side` pixels."""
    stages = []
    for index, depth in enumerate(depths):
        width, stride = (width, 1) if index == 0 else (2 * width, 2)
        before = side // (2, 2, 4, 8)[index]  # positions of an axis before the stride
        blocks = []
        for number in range(depth):
            first = number == 0
            positions = 1 if KINDS[kind] is CONTENT else max(before if first else before // stride, 1)
            attention = Attention(width // 2, width, heads, positions, **KINDS[kind])
            blocks.append(Block("axial", (width, 2 * width), stride if first else 1, attention=attention))
        stages.append(Stage(tuple(blocks)))
    return tuple(stages)


def stem(width: int, between: int = 128) -> Stem:
    """Build three convolutions; no max pool."""
    return Stem((StemConv(width, 7, 2), StemConv(between), StemConv(width)))


def axial_unet(side: int = 128, kind: str = "axial", num_classes: int = 2) -> Model:
    """Return a U-Net whose encoder is axial: upstream's ``axialunet`` and, of the kind ``"gated"``, ``gated``."""
    return Model(Backbone(stem(8), encoder(side, kind)), UNet(num_classes), (side, side))


def convolutional_unet(side: int = 128, depths: tuple[int, ...] = (1, 1, 1, 1), num_classes: int = 2) -> Model:
    """Return the baseline: residual blocks of 3x3 convolutions in place of axial blocks, with the same stem, widths and decoder."""
    stages = []
    for index, depth in enumerate(depths):
        width = 32 << index
        blocks = (Block("basic", (width, width), 2 if index and number == 0 else 1) for number in range(depth))
        stages.append(Stage(tuple(blocks)))
    return Model(Backbone(stem(8), tuple(stages)), UNet(num_classes), (side, side))


def local_global_unet(
    side: int = 128, kind: str = "gated", local_kind: str = "without positions", num_classes: int = 2, grid: int = 4, patches: str = "whole"
) -> Model:
    """Return a shallow global branch and a local branch on patches: upstream's ``MedT`` and, ``"axial"`` in both, ``logo``.

    The local stem is as wide as the global branch's last stage, as in upstream's code, where the running width was left there.
    """
    patch = side // grid if patches == "whole" else 32
    local = LocalBranch(stem(64), encoder(patch, local_kind), grid=grid, patches=patches, patch_size=32, unused=True)
    head = UNet(num_classes, bottleneck=False, local=local)
    return Model(Backbone(stem(8), encoder(side, kind, DEPTHS[:2])), head, (side, side))


register(
    ModelEntry(
        "convolutional_unet",
        convolutional_unet(),
        "U-Net of residual convolutions, the baseline for medical images",
        "arXiv:1505.04597; axialzoo",
        preprocessing=PREPROCESSING,
    )
)
register(
    ModelEntry(
        "axial_unet",
        axial_unet(),
        "U-Net of axial attention, for medical images",
        SOURCE,
        published={"parameters": 1_326_850},
        preprocessing=PREPROCESSING,
    )
)
register(
    ModelEntry(
        "gated_axial_unet",
        axial_unet(kind="gated"),
        "U-Net of gated axial attention, for medical images",
        SOURCE,
        published={"parameters": 1_326_914},
        preprocessing=PREPROCESSING,
    )
)
register(
    ModelEntry(
        "logo_axial_unet",
        local_global_unet(kind="axial", local_kind="axial"),
        "LoGo: axial attention on the whole picture and on patches, for medical images",
        SOURCE,
        published={"parameters": 1_529_532},
        preprocessing=PREPROCESSING,
    )
)
register(
    ModelEntry(
        "medical_transformer",
        local_global_unet(),
        "MedT: gated axial attention on the whole picture, axial attention on patches, for medical images",
        SOURCE,
        published={"parameters": 1_560_140},
        preprocessing=PREPROCESSING,
    )
)


def smallest(grid: int = 2, width: int = 4) -> Model:
    """Return the Medical Transformer, a quarter as wide, for tests and first steps."""
    local = LocalBranch(stem(8, 8), encoder(32, "without positions", (1, 1, 1, 1), width, 2), grid=grid)
    backbone = Backbone(stem(8, 8), encoder(32 * grid, "gated", (1, 1), width, 2))
    return Model(backbone, UNet(2, 4, bottleneck=False, local=local), (32 * grid, 32 * grid))


register(
    ModelEntry(
        "medical_transformer_xs",
        smallest(),
        "the smallest with a local branch, for tests and first steps",
        "axialzoo",
        preprocessing=replace(PREPROCESSING, size=(64, 64)),
    )
)
