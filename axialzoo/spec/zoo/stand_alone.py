"""ResNet-50 with stand-alone self-attention: what Axial-DeepLab's Table 1 compares its axial networks with.

Stand-Alone Self-Attention in Vision Models, NeurIPS 2019, arXiv:1906.05909: each 3x3 convolution of ResNet-50 but the stem's
gives way to attention within 7 x 7, eight heads, positions for queries, and where it had a stride to an average pool after it.
Axial-DeepLab, arXiv:2003.07853, section 3.1, adds positions for keys and values ("PS-Attention") and a norm after each product.

Against Table 1: 18.04 M and 3.483 B (18.0 M, 3.5 B there), 18.05 M and 3.670 B (18.0 M, 3.7 B): within 1 %.
"""

from __future__ import annotations

from axialzoo.spec.attention import Attention
from axialzoo.spec.backbone import Backbone, Stage
from axialzoo.spec.block import Block
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.model import Model
from axialzoo.spec.registry import ModelEntry, register
from axialzoo.spec.stem import Stem, StemConv


def stand_alone_resnet(depths: tuple[int, ...], width: int = 64, **terms) -> Model:
    """Build four stages at strides 4 to 32, the first `width` wide; `terms` are fields of :class:`Attention`."""
    stages = []
    for index, depth in enumerate(depths):
        filters, stride = width << index, 1 if index == 0 else 2
        attention = Attention(filters, filters, kind="local", span=7, max_length=4, **terms)
        blocks = tuple(Block("attention", (filters, 4 * filters), 1 if block else stride, attention=attention) for block in range(depth))
        stages.append(Stage(blocks, pool=index == 0))
    return Model(Backbone(Stem((StemConv(width, 7, 2),)), tuple(stages)), Classifier())


register(
    ModelEntry(
        "stand_alone_resnet50",
        stand_alone_resnet((3, 4, 6, 3), similarity=("content", "query"), value=("content",)),
        "50 layers, attention within 7 x 7, positions for queries",
        "arXiv:1906.05909; arXiv:2003.07853, Table 1",
        published={"parameters": 18_000_000, "multiply_adds": 3.5e9, "top1": 0.777},
    )
)
register(
    ModelEntry(
        "stand_alone_resnet50_ps",
        stand_alone_resnet((3, 4, 6, 3)),
        "50 layers, attention within 7 x 7, positions for queries, keys and values",
        "arXiv:2003.07853, Table 1",
        published={"parameters": 18_000_000, "multiply_adds": 3.7e9, "top1": 0.781},
    )
)
