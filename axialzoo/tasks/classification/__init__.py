"""What is in a picture, as a whole: one class."""

from axialzoo.tasks.classification.task import ClassificationTask

__all__ = ["ClassificationTask"]
