"""Every sample in order, once, as the model sees it, with the way back to its picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from axialzoo.data.batches import normalise
from axialzoo.data.dataset import ArraySplit, DataError, Sample, Split
from axialzoo.image import View, preprocess, view_of
from axialzoo.spec import Preprocessing


@dataclass(frozen=True, eq=False)
class ScoringBatch:
    """Inputs of one size.

    Attributes:
        x: (n, H, W, C) float32, normalised.
        samples: Of each its picture and truth, in the picture's own pixels.
        views: Of each the way from the model's coordinates back to the picture's.
    """

    x: np.ndarray
    samples: list[Sample]
    views: list[View]

    def __len__(self) -> int:
        return len(self.samples)


def scoring(split: Split, preprocessing: Preprocessing, batch_size: int, limit: int | None = None) -> Iterator[ScoringBatch]:
    """Batches of up to `batch_size` inputs of one size: where the preprocessing leaves pictures their own, a new size begins a batch.

    Args:
        limit: Only the first so many samples.
    """
    total = len(split) if limit is None else min(limit, len(split))
    waiting: list[tuple[Sample, View]] = []
    for index in range(total):
        sample = split[index]
        view = view_of(sample.picture.height, sample.picture.width, preprocessing)
        if waiting and (len(waiting) == batch_size or view.size != waiting[0][1].size):
            yield _batch(waiting, preprocessing)
            waiting = []
        waiting.append((sample, view))
    if waiting:
        yield _batch(waiting, preprocessing)


def _batch(rows: list[tuple[Sample, View]], preprocessing: Preprocessing) -> ScoringBatch:
    x = np.stack([preprocess(sample.picture, preprocessing).transpose(1, 2, 0) for sample, _ in rows])
    return ScoringBatch(x, [sample for sample, _ in rows], [view for _, view in rows])


def scoring_batches(
    split: Split, preprocessing: Preprocessing, batch_size: int, limit: int | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same of samples with a class each: (n, H, W, C) float32 and (n,) int64 classes. Pictures in memory that have the model's
    size already are cut without a loop.

    Raises:
        DataError: for samples whose truth is no class.
    """
    total = len(split) if limit is None else min(limit, len(split))
    fast = isinstance(split, ArraySplit) and split.pixels.shape[1:3] == tuple(preprocessing.size)
    if (
        isinstance(split, ArraySplit)
        and fast
        and preprocessing.crop == 1.0
        and not preprocessing.per_image
        and len(preprocessing.mean) == 3
    ):
        for start in range(0, total, batch_size):
            stop = min(start + batch_size, total)
            yield normalise(split.pixels[start:stop], preprocessing), split.labels[start:stop]
        return
    for batch in scoring(split, preprocessing, batch_size, limit):
        for sample in batch.samples:
            if not isinstance(sample.truth, int):
                raise DataError(f"{sample.name}: expected a class as truth, found {type(sample.truth).__name__}")
        yield batch.x, np.array([sample.truth for sample in batch.samples], np.int64)
