"""Objects in boxes, located one position of a map at a time: FCOS (arXiv:1904.01355, arXiv:2006.09214). numpy only."""

from axialzoo.tasks.detection.task import DetectionTask

__all__ = ["DetectionTask"]
