"""ResNet-50 as deeplab2 has it, the convolutional counterpart of its axial families; no attention.

Deep Residual Learning, CVPR 2016, arXiv:1512.03385. Parameters of deeplab2's own test
(model/encoder/axial_resnet_instances_test.py), without a classifier. The stride lies in the 3x3 convolution, and the second
stage's stands for the max pool.
"""

from __future__ import annotations

from axialzoo.spec.model import Model
from axialzoo.spec.registry import ModelEntry, register
from axialzoo.spec.zoo import deeplab2
from axialzoo.spec.zoo.deeplab2 import PREPROCESSING, backbone

SOURCE = f"arXiv:1512.03385; {deeplab2.SOURCE}"


def resnet50(kind: str = "resnet", squeeze_excite: bool = False, output_stride: int = 16) -> Model:
    """Build ResNet-50; upstream's use_squeeze_and_excite gates every block."""
    return backbone(kind, axial_from=0, squeeze_excite=squeeze_excite, output_stride=output_stride)


register(
    ModelEntry(
        "resnet50",
        resnet50(),
        "ResNet-50 of deeplab2: convolutions only",
        SOURCE,
        published={"parameters": 23_508_032},
        preprocessing=PREPROCESSING,
    )
)
register(
    ModelEntry(
        "resnet50_beta",
        resnet50("resnet_beta"),
        "ResNet-50 of deeplab2 with a stem of three 3x3: convolutions only",
        SOURCE,
        published={"parameters": 23_631_808},
        preprocessing=PREPROCESSING,
    )
)
