"""F1 (Dice) and IoU of masks, per picture and pooled, as medical papers report them."""

from __future__ import annotations

from typing import Any

import numpy as np

from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.segmentation.overlap import MeanOverlap
from axialzoo.tasks.segmentation.quality import distinct


class MaskMetric:
    """F1 and IoU of each class, and the mean IoU of all classes.

    F1 is ``2 tp / (2 tp + fp + fn)``, IoU is ``tp / (tp + fp + fn)``. Per picture, each is computed on the pixels of one picture, then
    averaged over pictures: a small object counts as much as a large one. Pooled, the pixels of all pictures are counted together: large
    objects dominate. Pixels of no class in the target (-1) do not count.

    A picture that has the class neither in the target nor in the prediction scores 1 per picture. A picture whose target has the class
    and whose prediction does not scores 0. The Medical Transformer's own scripts give 1 to every picture without a true positive, so that a
    network that predicts nothing scores 1: ``f1_medt`` and ``iou_medt`` follow them, to compare with published tables alone.

    Args:
        labels: One per class. Of two, the second is the foreground, and the means are of it alone; of more, of all classes.
    """

    def __init__(self, labels: tuple[Label, ...]):
        self.labels = distinct(labels)
        self.overlap = MeanOverlap(labels)
        self.counts: list[np.ndarray] = []  # of each picture (classes, 3): true positives, false positives, false negatives

    def update(self, result: Segmentation, annotation: Segmentation) -> None:
        """Add one picture. Maps of different sizes or unknown classes raise a ValueError."""
        self.overlap.update(result, annotation)
        target, prediction, classes = annotation.class_map, result.class_map, len(self.labels)  # (H, W) each, -1 for none
        counted = target >= 0
        hits = np.bincount(target[counted & (target == prediction)], minlength=classes)
        predicted = np.bincount(prediction[counted & (prediction >= 0)], minlength=classes)
        present = np.bincount(target[counted], minlength=classes)
        self.counts.append(np.stack([hits, predicted - hits, present - hits], 1))

    def compute(self) -> dict[str, Any]:
        """Return the metrics as fractions from 0 to 1; None without a picture, never NaN.

        Returns:
            ``f1``, ``iou``: per picture. ``f1_pooled``, ``iou_pooled``. ``f1_medt``, ``iou_medt``. ``miou``: the mean over classes of
            the pooled IoU, background too. ``per_class``: all but ``miou`` by name.
        """
        overlap = self.overlap.compute()
        per_class = {label.name: self._of_class(index) for index, label in enumerate(self.labels)} if self.counts else {}
        names = list(per_class)[1:] if len(self.labels) == 2 else list(per_class)
        figures: dict[str, Any] = {}
        for name in ("f1", "iou", "f1_pooled", "iou_pooled", "f1_medt", "iou_medt"):
            values = [value for label in names if (value := per_class[label][name]) is not None]
            figures[name] = float(np.mean(values)) if values else None
        return {**figures, "miou": overlap.get("miou"), "per_class": per_class}

    def _of_class(self, index: int) -> dict[str, float | None]:
        """Return the metrics of one class; pooled metrics are None if the class occurs in no target and no prediction."""
        pictures = np.stack(self.counts)[:, index]  # (pictures, 3)
        f1, iou = zip(*map(_scores, pictures))
        pooled = _scores(pictures.sum(0)) if pictures.any() else (None, None)
        without_hit = pictures[:, 0] == 0
        medt = [float(np.mean(np.where(without_hit, 1.0, values))) for values in (f1, iou)]
        means = {"f1": float(np.mean(f1)), "iou": float(np.mean(iou))}
        return {**means, "f1_pooled": pooled[0], "iou_pooled": pooled[1], "f1_medt": medt[0], "iou_medt": medt[1]}


def _scores(counts: np.ndarray) -> tuple[float, float]:
    """Return F1 and IoU from true positives, false positives and false negatives; 1 if all three are 0."""
    tp, fp, fn = (int(value) for value in counts)
    return (1.0, 1.0) if tp + fp + fn == 0 else (2 * tp / (2 * tp + fp + fn), tp / (tp + fp + fn))
