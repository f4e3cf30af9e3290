"""Segments as boxes: what has masks serves whoever wants boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from axialzoo.data.dataset import Data, DataError, FileSplit, Sample
from axialzoo.tasks.results import Segments


def boxes_of(data: Data) -> Data:
    """Data of segments with the boxes of their things; classes that are stuff go, the others are numbered anew in their order.

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
        assert isinstance(sample.truth, Segments)
        boxes = sample.truth.as_boxes()
        return replace(sample, truth=replace(boxes, indices=table[boxes.indices], labels=labels))

    def over(split) -> FileSplit:
        return FileSplit(range(len(split)), lambda index: turned(split[index]))

    about = {**data.about, "boxes": "of the segments that are things"}
    return Data({name: over(split) for name, split in data.splits.items()}, labels, "boxes", about)
