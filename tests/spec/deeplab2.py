"""Facts about deeplab2's backbones, from its own tests and endpoints."""

from __future__ import annotations

from axialzoo.spec import Model
from axialzoo.spec.zoo.axial_swidernet import SWIDERNET
from axialzoo.spec.zoo.deeplab2 import backbone

# trainable parameters without a classifier (model/encoder/axial_resnet_instances_test.py)
PARAMETERS = {
    "axial_resnet_s": 11_466_912,
    "axial_resnet_l": 43_714_048,
    "axial_deeplab_s_backbone": 11_565_856,
    "axial_deeplab_l_backbone": 43_841_920,
    "axial_swidernet_1_1_1": 136_399_392,
    "axial_swidernet_1_1_3": 393_935_520,
    "axial_swidernet_1_1_4_5": 570_346_912,
    "max_deeplab_s_backbone": 41_343_424,
    "max_deeplab_l_backbone": 175_115_392,
    "axial_resnet50_gelu": 41_343_424,
    "resnet50": 23_508_032,
    "resnet50_beta": 23_631_808,
}
OUTPUTS = {  # channels of res1 to res5, and of backbone_output where that is another
    "axial_resnet_s": (64, 128, 256, 512, 1024),
    "axial_deeplab_s_backbone": (128, 128, 256, 512, 1024),
    "max_deeplab_s_backbone": (128, 256, 512, 1024, 2048),
    "axial_swidernet_1_1_1": (128, 256, 512, 1024, 2048),
    "max_deeplab_l_backbone": (128, 256, 512, 1024, 2048, 2048),
}


def narrow(**fields) -> Model:
    """An eighth of the width, few blocks: small enough to run."""
    return backbone(**{"depths": (1, 2, 2, 2), "width": 0.125, "stem_width": 0.125, **fields})


SWIDE = {name: value for name, value in SWIDERNET.items() if name != "depths"}

# one of each family: what its builder gets
DEEPLAB2 = {
    "axial_deeplab": {"axial_from": 2},
    "axial_swidernet": SWIDE,
    "max_deeplab_l": {"decoder_stacks": 1, **SWIDE},
    "axial_resnet50_gelu": {"activation": "gelu", "output_stride": 32},
    "resnet50": {"kind": "resnet", "axial_from": 0, "squeeze_excite": True},
}
NARROW = {name: narrow(**fields) for name, fields in DEEPLAB2.items()}
