"""Object detection by FCOS (arXiv:1904.01355, arXiv:2006.09214), which predicts a box at each position of a map. numpy only."""

from axialzoo.tasks.detection.task import DetectionTask

__all__ = ["DetectionTask"]
