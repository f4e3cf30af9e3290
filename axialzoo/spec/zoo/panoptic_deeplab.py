"""Axial-DeepLab as deeplab2 has it: Panoptic-DeepLab's dual decoder and heads (arXiv:1911.10194) on backbones with axial attention.

Classes, sizes and widths are those of configs/cityscapes/axial_deeplab/*.textproto, which differ in their backbones alone; where axial
attention sees far, a 1x1 convolution stands for the atrous pyramid. All of them decode ``res5``: of MaX-DeepLab-L's backbone that is what
goes into its stacked decoder, which the configuration computes and does not read. PQ on Cityscapes' validation images, single scale: of
arXiv:2003.07853, Table 6 (S to XL, with span 65 and the authors' training), and of g3doc/projects/axial_deeplab.md (the others).
"""

from __future__ import annotations

from dataclasses import replace

from axialzoo.spec.heads.panoptic import Panoptic
from axialzoo.spec.labels import Label
from axialzoo.spec.model import Model
from axialzoo.spec.registry import ModelEntry, get_entry, register
from axialzoo.spec.zoo import deeplab2
from axialzoo.spec.zoo.deeplab2 import PREPROCESSING
from axialzoo.spec.zoo.max_deeplab import max_deeplab_l

SOURCE = f"arXiv:2003.07853; arXiv:1911.10194; {deeplab2.SOURCE}"
SIZE = (1025, 2049)
HEAD = Panoptic(19, things=tuple(range(11, 19)))  # its widths by default are those of the configurations
CITYSCAPES = tuple(
    Label(name, index in HEAD.things, colour)
    for index, (name, colour) in enumerate(
        (
            ("road", (128, 64, 128)),
            ("sidewalk", (244, 35, 232)),
            ("building", (70, 70, 70)),
            ("wall", (102, 102, 156)),
            ("fence", (190, 153, 153)),
            ("pole", (153, 153, 153)),
            ("traffic light", (250, 170, 30)),
            ("traffic sign", (220, 220, 0)),
            ("vegetation", (107, 142, 35)),
            ("terrain", (152, 251, 152)),
            ("sky", (70, 130, 180)),
            ("person", (220, 20, 60)),
            ("rider", (255, 0, 0)),
            ("car", (0, 0, 142)),
            ("truck", (0, 0, 70)),
            ("bus", (0, 60, 100)),
            ("train", (0, 80, 100)),
            ("motorcycle", (0, 0, 230)),
            ("bicycle", (119, 11, 32)),
        )
    )
)


def panoptic(backbone: Model) -> Model:
    """Return the model of a configuration, on a backbone."""
    return replace(backbone, head=HEAD, input_size=SIZE)


for name, backbone, summary, published in (
    ("axial_deeplab_s", "axial_deeplab_s_backbone", "Axial-DeepLab-S", {"parameters": 12_455_910, "cityscapes_pq": 0.626}),
    ("axial_deeplab_m", "axial_deeplab_m_backbone", "Axial-DeepLab-M", {"cityscapes_pq": 0.631}),
    ("axial_deeplab_l", "axial_deeplab_l_backbone", "Axial-DeepLab-L", {"cityscapes_pq": 0.639}),
    ("axial_deeplab_xl", "axial_deeplab_xl_backbone", "Axial-DeepLab-XL", {"cityscapes_pq": 0.644}),
    ("axial_deeplab_swidernet_1_1_1", "axial_swidernet_1_1_1", "on Axial-SWideRNet-(1, 1, 1)", {"cityscapes_pq": 0.661}),
    ("axial_deeplab_swidernet_1_1_3", "axial_swidernet_1_1_3", "on Axial-SWideRNet-(1, 1, 3)", {"cityscapes_pq": 0.671}),
    ("axial_deeplab_swidernet_1_1_4_5", "axial_swidernet_1_1_4_5", "on Axial-SWideRNet-(1, 1, 4.5)", {"cityscapes_pq": 0.680}),
    ("axial_deeplab_max_s", "max_deeplab_s_backbone", "on the backbone of MaX-DeepLab-S", {"cityscapes_pq": 0.645}),
    ("axial_deeplab_max_l", "max_deeplab_l_backbone", "on the backbone of MaX-DeepLab-L", {"cityscapes_pq": 0.663}),
):
    register(
        ModelEntry(
            name,
            panoptic(get_entry(backbone).spec),
            f"panoptic segmentation: {summary}, Cityscapes' 19 classes",
            SOURCE,
            published=published,
            preprocessing=replace(PREPROCESSING, resize="none"),
            rebuild=(lambda stride: panoptic(max_deeplab_l(stride))) if backbone == "max_deeplab_l_backbone" else None,
        )
    )
