"""A small detector with axial attention, for microscopy: BCCD's blood cells at 0.6 of their pictures' size.

Ours, made to train on a CPU: convolutions down to stride 8, then a basic and an axial block a stage, a narrow pyramid and two
convolutions a tower. A red cell is about 60 pixels wide at 288 x 384, a platelet 24, a white cell 120; the levels' ends are
set so that each kind of cell lies on one level.
"""

from __future__ import annotations

from axialzoo.spec.backbone import Backbone, Stage
from axialzoo.spec.block import Block, axial_block
from axialzoo.spec.heads.fcos import FCOS, TargetConfig
from axialzoo.spec.heads.pyramid import Pyramid
from axialzoo.spec.model import Model
from axialzoo.spec.preprocessing import Preprocessing
from axialzoo.spec.registry import ModelEntry, register
from axialzoo.spec.stem import Stem, StemConv

SIZE = (288, 384)


def axial_fcos(width: int, num_classes: int, depth: int = 2) -> Model:
    """Build four stages at strides 4 to 32, `width` to `6 * width` channels, and levels of `2 * width`; tables reach across 384 pixels."""
    stages = (
        Stage((Block("basic", (width, width), 2),)),
        Stage((Block("basic", (2 * width, 2 * width), 2), axial_block(width, 2 * width, 48))),
        Stage((Block("basic", (4 * width, 4 * width), 2), axial_block(2 * width, 4 * width, 24))),
        Stage((Block("basic", (6 * width, 6 * width), 2), axial_block(2 * width, 6 * width, 12))),
    )
    head = FCOS(num_classes, Pyramid(2 * width, (8, 16, 32)), depth, targets=TargetConfig(ends=(48.0, 96.0)))
    return Model(Backbone(Stem((StemConv(width // 2, 3, 2),)), stages), head, SIZE)


for name, model, summary, weights in (
    (
        "axial_fcos_blood_cells",
        axial_fcos(32, 3),
        "boxes of 3 kinds of blood cells: FCOS on convolutions and axial attention",
        {"bccd": "package:axial_fcos_blood_cells"},
    ),
    ("axial_fcos_blood_cells_xs", axial_fcos(8, 3, 1), "the smallest that finds boxes, for tests and first steps", {}),
):
    register(ModelEntry(name, model, summary, "axialzoo", preprocessing=Preprocessing(size=SIZE, resize="longer"), weights=weights))
