"""Axial-ResNet for 32 x 32 images: convolutions first, axial blocks at 16 x 16 and 8 x 8.

Ours. At 32 x 32 a 7 x 7 stem with a pool would leave 8 x 8 positions, so the stem is one 3 x 3 convolution; the
paper's finding that early convolutions and late attention go well together (its Conv-Stem) holds here too.
"""

from __future__ import annotations

from axialzoo.spec.backbone import Backbone, Stage
from axialzoo.spec.block import Block, axial_block
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.kinds import KINDS
from axialzoo.spec.model import Model
from axialzoo.spec.registry import ModelEntry, register
from axialzoo.spec.stem import Stem, StemConv

# kinds of attention beside axial that benchmarks/kinds.py has trained the smallest network with
TRAINED = tuple(kind for kind in KINDS if kind != "axial")


def axial_resnet_cifar(width: int, num_classes: int = 10) -> Model:
    """Build three stages at strides 2, 2 and 4, `4 * width` channels at the end; the tables reach across 32 x 32 pixels."""
    stages = (
        Stage((Block("basic", (width, width), 2), Block("basic", (width, width)))),
        Stage((axial_block(width, 2 * width, 16),)),
        Stage((Block("basic", (2 * width, 4 * width)), axial_block(2 * width, 4 * width, 8)), pool=True),
    )
    return Model(Backbone(Stem((StemConv(width // 2),)), stages), Classifier(num_classes), (32, 32))


register(
    ModelEntry(
        "axial_resnet_cifar10",
        axial_resnet_cifar(64),
        "for 32 x 32 images, 10 classes",
        "axialzoo",
        weights={"cifar10": "package:axial_resnet_cifar10", "trashnet": "package:axial_resnet_cifar10_trashnet"},
    )
)
register(
    ModelEntry(
        "axial_resnet_cifar10_xs",
        axial_resnet_cifar(16),
        "the smallest, for tests, first steps and comparing kinds of attention",
        "axialzoo",
        weights={
            "cifar10": "package:axial_resnet_cifar10_xs",
            **{f"cifar10_{kind}": f"package:axial_resnet_cifar10_xs_{kind}" for kind in TRAINED},
        },
    )
)
