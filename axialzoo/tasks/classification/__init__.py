"""Classification: one class for the whole picture."""

from axialzoo.tasks.classification.task import ClassificationTask

__all__ = ["ClassificationTask"]
