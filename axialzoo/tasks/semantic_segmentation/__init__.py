"""Semantic segmentation: a class for every pixel."""

from axialzoo.tasks.semantic_segmentation.metrics import MaskMetric
from axialzoo.tasks.semantic_segmentation.task import SemanticSegmentationTask

__all__ = ["MaskMetric", "SemanticSegmentationTask"]
