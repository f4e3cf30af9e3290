"""A class for every pixel, at the size of the picture: masks of classes."""

from axialzoo.tasks.semantic_segmentation.metrics import MaskMetric
from axialzoo.tasks.semantic_segmentation.task import SemanticSegmentationTask

__all__ = ["MaskMetric", "SemanticSegmentationTask"]
