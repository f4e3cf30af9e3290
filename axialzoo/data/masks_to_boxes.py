"""Boxes of segments: data with masks serve detection too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from axialzoo.data.dataset import DataError, Dataset, FileSplit, Sample
from axialzoo.tasks.results import Segmentation


def boxes_of(data: Dataset) -> Dataset:
    """Return data of segments with the boxes of their things; classes that are stuff go, the others are numbered anew in their order.

    Raises:
        DataError: where no class is a thing.
    """
    things = [number for number, label in enumerate(data.labels) if label.thing]
    if not things:
        raise DataError(f"data: boxes need classes that are things; found only stuff: {', '.join(data.classes)}")
    labels = tuple(data.labels[number] for number in things)
    table = np.full(len(data.labels), -1, np.int64)
    table[things] = np.arange(len(things))

    def turned(sample: Sample) -> Sample:
        assert isinstance(sample.annotation, Segmentation)
        boxes = sample.annotation.to_detections()
        return replace(sample, annotation=replace(boxes, labels=table[boxes.labels], categories=labels))

    def over(split) -> FileSplit:
        return FileSplit(range(len(split)), lambda index: turned(split[index]))

    about = {**data.about, "boxes": "of the segments that are things"}
    splits = {name: over(split) for name, split in data.splits.items()}
    return replace(data, splits=splits, labels=labels, kind="boxes", about=about)
