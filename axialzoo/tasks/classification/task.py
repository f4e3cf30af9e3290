"""One class a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from axialzoo.image import View
from axialzoo.image.draw import draw_prediction
from axialzoo.spec import Head, Label, Model, label_name
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.tasks.classification.metrics import Accuracy
from axialzoo.tasks.results import Classes, Result
from axialzoo.tasks.task import Arrays, Task, decode_batch
from axialzoo.tasks.tta import Compute, Looks


class Classification(Task):
    """Pictures to classes, by the softmax of a classifier's logits."""

    name: ClassVar[str] = "classification"
    heads: ClassVar[tuple[type[Head], ...]] = (Classifier,)
    truth: ClassVar[str] = "classes"
    understood: ClassVar[tuple[str, ...]] = ("flips",)

    def targets(self, truth: int, spec: Model, size: tuple[int, int]) -> dict[str, np.ndarray]:
        """``labels``: the class, a number below ``spec.num_classes``."""
        if not 0 <= truth < spec.num_classes:
            raise ValueError(f"label: expected a class from 0 to {spec.num_classes - 1}, found {truth}")
        return {"labels": np.asarray(truth, np.int64)}

    def decode(self, outputs: Arrays, spec: Model, view: View, labels: Sequence[Label] = ()) -> Classes:
        """The softmax of ``logits``, (classes,), in float64."""
        logits = np.asarray(outputs["logits"])
        if not spec.num_classes:
            raise ValueError("the model has no classes (num_classes is 0): nothing to predict")
        if not np.isfinite(logits).all():
            raise ValueError("the model's logits are not finite; `axialzoo verify` says where its weights are broken")
        shares = np.exp(logits.astype(np.float64) - logits.max())
        return Classes(shares / shares.sum(), tuple(labels))

    def look(
        self, compute: Compute, x: np.ndarray, spec: Model, views: Sequence[View], looks: Looks, labels: Sequence[Label] = ()
    ) -> list[Result]:
        """By the mean of the logits of each picture and of its mirror image."""
        ways = [x[:, :, ::-1] if mirror else x for _, mirror in looks.ways((x.shape[1], x.shape[2]))]
        logits = [np.asarray(compute(np.ascontiguousarray(way))["logits"]) for way in ways]  # (N, classes) each
        return decode_batch(self, {"logits": np.mean(logits, axis=0)}, spec, views, labels)

    def metric(self, spec: Model, labels: Sequence[Label] = ()) -> Accuracy:
        return Accuracy(spec.num_classes, tuple(labels))

    def figure(self, spec: Model) -> str:
        return "top1"

    def draw(self, picture: Image.Image, results: Mapping[str, Any], *, model: str = "", seen: Image.Image | None = None) -> Image.Image:
        """A bar for each of the five likeliest classes, a column for each heading; a truth is one bar, whole."""
        columns = {heading: _bars(result, next(iter(results.values()))) for heading, result in results.items()}
        return draw_prediction(picture, columns, model=model, seen=seen)


def _bars(result: Classes | int, other: Any) -> list[tuple[str, float]]:
    if isinstance(result, Classes):
        return [(one["label"], one["probability"]) for one in result.ranked[:5]]
    return [(label_name(other.labels if isinstance(other, Classes) else (), result), 1.0)]
