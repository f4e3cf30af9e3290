"""Names of the classes of mask transformers with published weights."""

from __future__ import annotations

from axialzoo.spec.heads.mask_transformer import MaskTransformer
from axialzoo.spec.labels import Label
from axialzoo.spec.model import Model
from axialzoo.spec.zoo.panoptic_deeplab import CITYSCAPES

# Categories of COCO's panoptic annotations (arXiv:1801.00868, cocodataset.org, CC BY 4.0) by id: 80 things, 53 of stuff.
_COCO = """
person; bicycle; car; motorcycle; airplane; bus; train; truck; boat; traffic light; fire hydrant; stop sign; parking meter; bench;
bird; cat; dog; horse; sheep; cow; elephant; bear; zebra; giraffe; backpack; umbrella; handbag; tie; suitcase; frisbee; skis;
snowboard; sports ball; kite; baseball bat; baseball glove; skateboard; surfboard; tennis racket; bottle; wine glass; cup; fork;
knife; spoon; bowl; banana; apple; sandwich; orange; broccoli; carrot; hot dog; pizza; donut; cake; chair; couch; potted plant; bed;
dining table; toilet; tv; laptop; mouse; remote; keyboard; cell phone; microwave; oven; toaster; sink; refrigerator; book; clock;
vase; scissors; teddy bear; hair drier; toothbrush; banner; blanket; bridge; cardboard; counter; curtain; door-stuff; floor-wood;
flower; fruit; gravel; house; light; mirror-stuff; net; pillow; platform; playingfield; railroad; river; road; roof; sand; sea;
shelf; snow; stairs; tent; towel; wall-brick; wall-stone; wall-tile; wall-wood; water-other; window-blind; window-other;
tree-merged; fence-merged; ceiling-merged; sky-other-merged; cabinet-merged; table-merged; floor-other-merged; pavement-merged;
mountain-merged; grass-merged; dirt-merged; paper-merged; food-other-merged; building-other-merged; rock-merged; wall-other-merged;
rug-merged
"""
COCO = tuple(Label(name, index < 80) for index, name in enumerate(" ".join(_COCO.split("\n")).strip().split("; ")))
CITYSCAPES_THINGS_FIRST = (*CITYSCAPES[11:], *CITYSCAPES[:11])


def published_labels(spec: Model) -> tuple[Label, ...]:
    """Return the labels of COCO or Cityscapes if the classes and things of a mask transformer are theirs, else none.

    deeplab2 numbers the things of Cityscapes first; PyTorch's code keeps the order of the data set.
    """
    if not isinstance(spec.head, MaskTransformer):
        return ()
    for labels in (COCO, CITYSCAPES_THINGS_FIRST, CITYSCAPES):
        things = tuple(index for index, label in enumerate(labels) if label.thing)
        if (spec.head.num_classes, spec.head.things) == (len(labels), things):
            return labels
    return ()
