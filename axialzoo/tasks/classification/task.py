"""One class a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from axialzoo.image import ResizeTransform
from axialzoo.image.draw import draw_prediction
from axialzoo.spec import Head, Label, Model, label_name
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.tasks.classification.metrics import Accuracy
from axialzoo.tasks.confusion import count_pairs
from axialzoo.tasks.results import Classification, NotFiniteError, Result
from axialzoo.tasks.task import Arrays, Task, decode_batch
from axialzoo.tasks.tta import TTA, Compute


class ClassificationTask(Task):
    """Pictures to classes, by the softmax of a classifier's logits."""

    name: ClassVar[str] = "classification"
    heads: ClassVar[tuple[type[Head], ...]] = (Classifier,)
    annotation_type: ClassVar[str] = "classes"
    supported_tta: ClassVar[tuple[str, ...]] = ("hflip",)

    def targets(self, annotation: int, spec: Model, size: tuple[int, int]) -> dict[str, np.ndarray]:
        """Return ``labels``: the class, a number below ``spec.num_classes``."""
        if not 0 <= annotation < spec.num_classes:
            raise ValueError(f"label: expected a class from 0 to {spec.num_classes - 1}, found {annotation}")
        return {"labels": np.asarray(annotation, np.int64)}

    def decode(self, outputs: Arrays, spec: Model, view: ResizeTransform, labels: Sequence[Label] = ()) -> Classification:
        """Return the softmax of ``logits``, (classes,), in float64."""
        logits = np.asarray(outputs["logits"])
        if not spec.num_classes:
            raise ValueError("the model has no classes (num_classes is 0): nothing to predict")
        if not np.isfinite(logits).all():
            raise NotFiniteError("the model's logits are not finite; `axialzoo verify` says where its weights are broken")
        shares = np.exp(logits.astype(np.float64) - logits.max())
        return Classification(shares / shares.sum(), tuple(labels))

    def predict_tta(
        self, compute: Compute, x: np.ndarray, spec: Model, views: Sequence[ResizeTransform], tta: TTA, labels: Sequence[Label] = ()
    ) -> list[Result]:
        """Predict from the mean of the logits of each picture and of its mirror image."""
        ways = [x[:, :, ::-1] if hflip else x for _, hflip in tta.ways((x.shape[1], x.shape[2]))]
        logits = [np.asarray(compute(np.ascontiguousarray(way))["logits"]) for way in ways]  # (N, classes) each
        return decode_batch(self, {"logits": np.mean(logits, axis=0)}, spec, views, labels)

    def metric(self, spec: Model, labels: Sequence[Label] = ()) -> Accuracy:
        return Accuracy(spec.num_classes, tuple(labels))

    def primary_metric(self, spec: Model) -> str:
        return "top1"

    def confusion(self, result: Classification, annotation: int, classes: int) -> np.ndarray:
        return count_pairs(np.array([annotation]), np.array([int(result.probabilities.argmax())]), classes)

    def draw(
        self, picture: Image.Image, results: Mapping[str, Any], *, model: str = "", model_view: Image.Image | None = None
    ) -> Image.Image:
        """Draw a bar for each of the five likeliest classes, in a column for each heading; a ground truth is one full bar."""
        categories = next((result.categories for result in results.values() if isinstance(result, Classification)), ())
        columns = {heading: _bars(result, categories) for heading, result in results.items()}
        return draw_prediction(picture, columns, model=model, model_view=model_view)


def _bars(result: Classification | int, categories: tuple[Label, ...]) -> list[tuple[str, float]]:
    if isinstance(result, Classification):
        return [(row["label"], row["probability"]) for row in result.ranked[:5]]
    return [(label_name(categories, result), 1.0)]
