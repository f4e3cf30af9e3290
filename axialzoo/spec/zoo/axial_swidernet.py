"""Axial-SWideRNet: SWideRNet (arXiv:2011.11675) with axial attention in the last two stages, as deeplab2 has it.

The three numbers of SWideRNet-(w1, w2, l) scale the widths of the stem, the widths of the stages and the blocks of the last
four stages: upstream's stem_width_multiplier, backbone_width_multiplier, backbone_layer_multiplier in
configs/cityscapes/axial_deeplab/axial_swidernet_*.textproto, which also have the linear drop path schedule. Parameters of
deeplab2's own test (model/encoder/axial_resnet_instances_test.py); PQ on Cityscapes val with Panoptic-DeepLab's decoder, single
scale, of g3doc/projects/axial_deeplab.md.
"""

from __future__ import annotations

from axialzoo.spec.registry import ModelEntry, register
from axialzoo.spec.zoo import deeplab2
from axialzoo.spec.zoo.deeplab2 import PREPROCESSING, backbone

SOURCE = f"arXiv:2011.11675; {deeplab2.SOURCE}"
SWIDERNET = {"kind": "wider_resnet", "depths": (3, 6, 3, 3), "expansion": 4, "key": 2, "keep": 0.8, "drop_from": 4, "linear": True}

for name, layers, published in (
    ("1_1_1", 1.0, {"parameters": 136_399_392, "cityscapes_pq": 0.661}),
    ("1_1_3", 3.0, {"parameters": 393_935_520, "cityscapes_pq": 0.671}),
    ("1_1_4_5", 4.5, {"parameters": 570_346_912, "cityscapes_pq": 0.680}),
):
    register(
        ModelEntry(
            f"axial_swidernet_{name}",
            backbone(layers=layers, **SWIDERNET),
            f"Axial-SWideRNet-(1, 1, {layers:g}): wide residual network, axial attention in the last two stages",
            SOURCE,
            published=published,
            preprocessing=PREPROCESSING,
        )
    )
