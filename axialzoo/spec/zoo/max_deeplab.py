"""The backbones of MaX-DeepLab (arXiv:2012.00759) as deeplab2 has them, without the mask transformer.

Parameters of deeplab2's own test (model/encoder/axial_resnet_instances_test.py); PQ on Cityscapes val with Panoptic-DeepLab's
decoder, single scale, of g3doc/projects/axial_deeplab.md; the linear drop path schedule of its configs. The GeLU variant
is the Axial-ResNet-50 of kMaX-DeepLab (model/pixel_encoder/axial_resnet.py, configs/*/kmax_deeplab): output stride 32.
"""

from __future__ import annotations

from axialzoo.spec.model import Model
from axialzoo.spec.registry import ModelEntry, register
from axialzoo.spec.zoo import deeplab2
from axialzoo.spec.zoo.axial_swidernet import SWIDERNET
from axialzoo.spec.zoo.deeplab2 import PREPROCESSING, backbone

SOURCE = f"arXiv:2012.00759; {deeplab2.SOURCE}"


def max_deeplab_l(output_stride: int = 16) -> Model:
    """Build Wide-ResNet-41 with axial attention and one stacked decoder."""
    return backbone(output_stride=output_stride, decoder_stacks=1, **SWIDERNET)


register(
    ModelEntry(
        "max_deeplab_s_backbone",
        backbone(keep=0.8, linear=True),
        "backbone of MaX-DeepLab-S: ResNet-50 with axial attention in the last two stages",
        SOURCE,
        published={"parameters": 41_343_424, "cityscapes_pq": 0.645},
        preprocessing=PREPROCESSING,
    )
)
register(
    ModelEntry(
        "max_deeplab_l_backbone",
        max_deeplab_l(),
        "backbone of MaX-DeepLab-L: wide residual network with axial attention and a stacked decoder",
        SOURCE,
        published={"parameters": 175_115_392, "cityscapes_pq": 0.663},
        preprocessing=PREPROCESSING,
        rebuild=max_deeplab_l,
    )
)
register(
    ModelEntry(
        "axial_resnet50_gelu",
        backbone(keep=0.8, linear=True, activation="gelu", output_stride=32),
        "MaX-DeepLab-S's backbone with GELU at output stride 32, the Axial-ResNet-50 of kMaX-DeepLab",
        SOURCE,
        published={"parameters": 41_343_424},
        preprocessing=PREPROCESSING,
    )
)
