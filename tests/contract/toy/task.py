"""The fourth room: targets, results, metric and drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from axialzoo.image.draw import draw_prediction
from axialzoo.spec import label_name
from axialzoo.tasks import Task, register_task
from tests.contract.toy.spec import Toy


@dataclass(frozen=True, eq=False)
class Cover:
    """Share of a picture that each class covers: (classes,) float64 from 0 to 1."""

    shares: np.ndarray
    labels: tuple = ()

    def to_json(self, top=None):
        return {"cover": [{"label": name, "share": share} for name, share in self.summary(top)]}

    def summary(self, top=None):
        return [(label_name(self.labels, index), float(share)) for index, share in enumerate(self.shares[:top])]


class Closeness:
    """One less the mean difference of the shares."""

    def __init__(self, classes):
        self.classes, self.differences = classes, []

    def update(self, result, annotation):
        self.differences.append(float(np.abs(result.shares - shares(annotation, self.classes)).mean()))

    def compute(self):
        return {"closeness": 1 - float(np.mean(self.differences)) if self.differences else None}


def shares(annotation, classes):
    """Share of the picture's pixels of each class."""
    return np.bincount(annotation.class_map[annotation.class_map >= 0], minlength=classes) / annotation.class_map.size


class Covering(Task):
    name, heads, annotation_type = "covering", (Toy,), "segments"

    def targets(self, annotation, spec, size):
        return {"cover": shares(annotation, spec.num_classes).astype(np.float32)}

    def decode(self, outputs, spec, view, labels=()):
        return Cover(1 / (1 + np.exp(-np.asarray(outputs["cover"], np.float64))), tuple(labels))

    def metric(self, spec, labels=()):
        return Closeness(spec.num_classes)

    def primary_metric(self, spec):
        return "closeness"

    def draw(self, picture, results, *, model="", model_view=None):
        columns = {heading: result if isinstance(result, Cover) else _truth(result) for heading, result in results.items()}
        return draw_prediction(picture, {heading: item.summary() for heading, item in columns.items()}, model=model, model_view=model_view)


def _truth(segments):
    return Cover(shares(segments, len(segments.categories)), segments.categories)


register_task(Covering())
