"""Tasks: the targets of a head for training; decoding, metrics and drawing of its outputs. numpy only."""

from axialzoo.tasks.classification import ClassificationTask
from axialzoo.tasks.detection import DetectionTask
from axialzoo.tasks.results import Classification, Detections, Result, Segmentation
from axialzoo.tasks.segmentation import SegmentationTask
from axialzoo.tasks.semantic_segmentation import SemanticSegmentationTask
from axialzoo.tasks.task import TASKS, Metric, Task, batch_targets, collate, decode_batch, register_task, run_views, task_of
from axialzoo.tasks.tta import TTA, check_tta, tta_from_options

register_task(ClassificationTask())
register_task(SegmentationTask())
register_task(DetectionTask())
register_task(SemanticSegmentationTask())

__all__ = [
    "TASKS", "Detections", "Classification", "TTA", "Metric", "Result", "Segmentation", "Task", "batch_targets", "check_tta",
    "decode_batch", "run_views", "tta_from_options", "register_task", "collate", "task_of",
]  # fmt: skip
