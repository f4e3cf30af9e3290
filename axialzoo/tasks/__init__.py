"""What happens on either side of a head: targets before, decoding, metrics and drawing after. numpy only."""

from axialzoo.tasks.classification import Classification
from axialzoo.tasks.detection import Detection
from axialzoo.tasks.results import Boxes, Classes, Result, Segments
from axialzoo.tasks.segmentation import Segmentation
from axialzoo.tasks.semantic_segmentation import SemanticSegmentation
from axialzoo.tasks.task import TASKS, Metric, Task, batch_targets, decode_batch, look_at, register_task, stacked, task_of
from axialzoo.tasks.tta import Looks, check_looks, looks_of

register_task(Classification())
register_task(Segmentation())
register_task(Detection())
register_task(SemanticSegmentation())

__all__ = [
    "TASKS", "Boxes", "Classes", "Looks", "Metric", "Result", "Segments", "Task", "batch_targets", "check_looks", "decode_batch", "look_at",
    "looks_of", "register_task", "stacked", "task_of",
]  # fmt: skip
