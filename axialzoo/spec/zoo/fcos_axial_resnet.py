"""FCOS on Axial-ResNet: objects in boxes, for COCO's 80 classes.

The authors' Axial-ResNets (:mod:`axialzoo.spec.zoo.axial_resnet`) below FCOS's pyramid and head as published (arXiv:1904.01355,
arXiv:2006.09214: strides 8 to 128, towers of four convolutions, center sampling) but for the norms: batch norms, one a level, where the
paper has group norms. The position tables are those of 224 x 224, so that weights trained on ImageNet fit; at 800 pixels the
axes are longer than the tables reach, and attend within that reach: 55 positions each way at stride 4, 27 at 8 and 16, 13 at 32.
"""

from __future__ import annotations

from dataclasses import replace

from axialzoo.spec.heads.fcos import FCOS
from axialzoo.spec.preprocessing import Preprocessing
from axialzoo.spec.registry import ModelEntry, get_entry, register

SIZE = (800, 1344)  # the paper's: a shorter side of 800, a longer of at most 1333

for backbone, what in (("26_s", "26 layers, half width"), ("50_s", "50 layers, half width"), ("50_l", "50 layers, full width")):
    register(
        ModelEntry(
            f"fcos_axial_resnet{backbone}",
            replace(get_entry(f"axial_resnet{backbone}").spec, head=FCOS(80), input_size=SIZE),
            f"boxes of 80 classes: FCOS on Axial-ResNet, {what}",
            "arXiv:1904.01355; arXiv:2003.07853",
            preprocessing=Preprocessing(size=SIZE, resize="longer"),
        )
    )
