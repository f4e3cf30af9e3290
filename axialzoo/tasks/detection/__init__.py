"""Objects in boxes, located one position of a map at a time: FCOS (arXiv:1904.01355, arXiv:2006.09214). numpy only."""

from axialzoo.tasks.detection.decode import decode, locations
from axialzoo.tasks.detection.metrics import BoxMetric
from axialzoo.tasks.detection.suppression import suppress, suppress_softly
from axialzoo.tasks.detection.targets import BACKGROUND, IGNORED, box_targets, size_ranges

__all__ = [
    "BACKGROUND", "BoxMetric", "IGNORED", "box_targets", "decode", "locations", "size_ranges", "suppress", "suppress_softly",
]  # fmt: skip
