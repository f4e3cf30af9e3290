"""Semantic, instance and panoptic segmentation: targets, decoding and metrics. numpy only.

* `targets`: from an annotation to target maps; `decode` (with `centers`, `grouping`, `scoring`, `merge`): from a network's maps to
  segments; `tta_maps` (with `flip`, `tiles`): test-time augmentation.
* `mask_targets`, `mask_decode`: targets and decoding of mask transformers, whose slots each have a class and a mask.
* `quality`, `overlap`, `precision`, `metrics`: metrics of segments. `coco`: segments as files.

The maps of a network, all (height, width, ...): ``semantic`` (H, W, classes) logits; ``center`` (H, W) or (H, W, 1), near 1 where the
middle of an object is; ``offset`` (H, W, 2), rows and columns from a pixel to the middle of its object.
"""

from axialzoo.tasks.segmentation.decode import Postprocess, decode
from axialzoo.tasks.segmentation.mask_decode import decode_masks
from axialzoo.tasks.segmentation.mask_targets import mask_targets
from axialzoo.tasks.segmentation.metrics import SegmentationMetric
from axialzoo.tasks.segmentation.quality import PanopticQuality
from axialzoo.tasks.segmentation.targets import targets
from axialzoo.tasks.segmentation.task import SegmentationTask

__all__ = ["PanopticQuality", "Postprocess", "SegmentationTask", "SegmentationMetric", "decode", "decode_masks", "mask_targets", "targets"]
