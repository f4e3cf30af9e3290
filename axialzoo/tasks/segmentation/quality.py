"""Panoptic quality (arXiv:1801.00868): recognition and segmentation quality of segments."""

from __future__ import annotations

from typing import Any

import numpy as np

from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.segmentation.compact import class_of, is_crowd, relabel


class PanopticQuality:
    """PQ, SQ and RQ over pictures that come one by one, as COCO's panopticapi counts.

    A true and a found segment of one class match if their IoU is above 0.5, which one pair at most can be. Void pixels of the ground truth
    do not belong to the union. Crowds are not to be found; a segment that matches nothing is no error if more than half of it lies in
    void or in crowds of its class. (panopticapi keeps one crowd a class and picture, as COCO has them; here all count.)

    Args:
        labels: One per class; stuff and things are also told apart.

    Example:
        >>> import numpy as np
        >>> from axialzoo.spec.labels import Label
        >>> from axialzoo.tasks.results import Segments
        >>> from axialzoo.tasks.segmentation import PanopticQuality
        >>> same = Segments(np.ones((2, 2), np.int32), [{"id": 1, "label_id": 0}])
        >>> quality = PanopticQuality((Label("nucleus"),))
        >>> quality.update(same, same)
        >>> quality.compute()["pq"]
        1.0
    """

    def __init__(self, labels: tuple[Label, ...]):
        self.labels = distinct(labels)
        self.iou = np.zeros(len(labels))  # (classes,) each: sum of IoU of matches, true positives, false positives, false negatives
        self.tp, self.fp, self.fn = (np.zeros(len(labels), np.int64) for _ in range(3))

    def update(self, result: Segmentation, annotation: Segmentation) -> None:
        """Add one picture.

        Raises:
            ValueError: Maps of different sizes, or a class that the labels do not have.
        """
        iou, tp, fp, fn = compare(result, annotation, len(self.labels))
        self.iou += iou
        self.tp += tp
        self.fp += fp
        self.fn += fn

    def compute(self) -> dict[str, Any]:
        """Return the means over the classes that occur, as fractions.

        Returns:
            ``pq``, ``sq``, ``rq``, each also with ``_things`` and ``_stuff``; left out where no class of that kind occurs.
            ``per_class``: by name ``pq``, ``sq``, ``rq``, ``tp``, ``fp``, ``fn`` of the classes that occur.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            sq = np.where(self.tp > 0, self.iou / self.tp, 0.0)
            rq = np.where(self.tp > 0, self.tp / (self.tp + 0.5 * self.fp + 0.5 * self.fn), 0.0)
        values = {"pq": sq * rq, "sq": sq, "rq": rq}
        occurs = self.tp + self.fp + self.fn > 0
        thing = np.array([label.thing for label in self.labels], bool)
        metrics: dict[str, Any] = {}
        for ending, included in (("", occurs), ("_things", occurs & thing), ("_stuff", occurs & ~thing)):
            if included.any():
                metrics |= {name + ending: float(value[included].mean()) for name, value in values.items()}
        counts = {"tp": self.tp, "fp": self.fp, "fn": self.fn}
        metrics["per_class"] = {
            self.labels[i].name: {
                **{name: float(value[i]) for name, value in values.items()},
                **{name: int(count[i]) for name, count in counts.items()},
            }
            for i in np.flatnonzero(occurs)
        }
        return metrics


def distinct(labels: tuple[Label, ...]) -> tuple[Label, ...]:
    """Check that the labels have different names, and return them."""
    names = [label.name for label in labels]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise ValueError(f"labels: expected at least one, each name once, found {f'{twice} twice' if twice else 'none'}")
    return tuple(labels)


def compare(result: Segmentation, annotation: Segmentation, num_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return for each class (classes,) of one picture: sum of IoU of matches, true positives, false positives, false negatives."""
    true, predicted = relabel(annotation), relabel(result)  # (H, W)
    if true.shape != predicted.shape:
        raise ValueError(f"result: expected a map as large as the ground truth's {true.shape}, found {predicted.shape}")
    true_class, predicted_class = _classes(annotation, num_classes), _classes(result, num_classes)
    crowd = is_crowd(annotation)
    pairs = true.ravel().astype(np.int64) * (len(result) + 1) + predicted.ravel()
    shared = np.bincount(pairs, minlength=(len(annotation) + 1) * (len(result) + 1)).reshape(len(annotation) + 1, len(result) + 1)
    in_void = shared[0, 1:]  # (predicted,)
    true_area, predicted_area = shared.sum(1)[1:], shared.sum(0)[1:]  # (true,), (predicted,)
    shared = shared[1:, 1:]  # (true, predicted)
    union = true_area[:, None] + predicted_area[None, :] - shared - in_void[None, :]
    iou = shared / np.maximum(union, 1)
    same = true_class[:, None] == predicted_class[None, :]
    match = same & (iou > 0.5) & ~crowd[:, None]
    ignored = in_void + (shared * (same & crowd[:, None])).sum(0)  # (predicted,)

    def per_class(of: np.ndarray, classes: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(classes[of], None if weights is None else weights[of], num_classes)

    matched = match.any(1)
    vain = (predicted_area > 0) & ~match.any(0) & ~(ignored > 0.5 * predicted_area)
    missed = (true_area > 0) & ~matched & ~crowd
    return (
        per_class(matched, true_class, (iou * match).sum(1)),
        per_class(matched, true_class),
        per_class(vain, predicted_class),
        per_class(missed, true_class),
    )


def _classes(segments: Segmentation, num_classes: int) -> np.ndarray:
    classes = class_of(segments)
    if ((classes < 0) | (classes >= num_classes)).any():
        raise ValueError(f"label_id: expected classes from 0 to {num_classes - 1}, found {sorted(set(classes.tolist()))}")
    return classes
