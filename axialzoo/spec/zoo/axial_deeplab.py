"""Axial-ResNet and the backbones of Axial-DeepLab as deeplab2 has them.

Axial-DeepLab: Stand-Alone Axial-Attention for Panoptic Segmentation, ECCV 2020, arXiv:2003.07853; widths S 0.5, M 0.75,
L 1 and XL 2 are the paper's (section 4.3), of the stages only as in deeplab2. Parameters of deeplab2's own test
(model/encoder/axial_resnet_instances_test.py), without a classifier; it has no M and XL. The paper counts 12.1, 25.9, 44.9
and 173.0 M with the panoptic heads (Table 6). Upstream calls axial_deeplab_s_backbone and _l_backbone axial_deeplab_s and
_l; built there from a config, they also need its backbone_width_multiplier.
"""

from __future__ import annotations

from axialzoo.spec.registry import ModelEntry, register
from axialzoo.spec.zoo import deeplab2
from axialzoo.spec.zoo.deeplab2 import PREPROCESSING, backbone

SOURCE = f"arXiv:2003.07853; {deeplab2.SOURCE}"

register(
    ModelEntry(
        "axial_resnet_s",
        backbone("resnet", width=0.5, axial_from=2),
        "Axial-ResNet-S of deeplab2: 7x7 stem, axial attention from stride 2 on, half width",
        SOURCE,
        published={"parameters": 11_466_912},
        preprocessing=PREPROCESSING,
    )
)
register(
    ModelEntry(
        "axial_resnet_l",
        backbone("resnet", axial_from=2),
        "Axial-ResNet-L of deeplab2: 7x7 stem, axial attention from stride 2 on",
        SOURCE,
        published={"parameters": 43_714_048},
        preprocessing=PREPROCESSING,
    )
)

for size, width, published in (
    ("s", 0.5, {"parameters": 11_565_856}),
    ("m", 0.75, {}),
    ("l", 1.0, {"parameters": 43_841_920}),
    ("xl", 2.0, {}),
):
    register(
        ModelEntry(
            f"axial_deeplab_{size}_backbone",
            backbone(width=width, axial_from=2),
            f"backbone of Axial-DeepLab-{size.upper()}: Axial-ResNet-{size.upper()} with a stem of three 3x3",
            SOURCE,
            published=published,
            preprocessing=PREPROCESSING,
        )
    )
