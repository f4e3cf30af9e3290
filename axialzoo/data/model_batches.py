"""Batches for training loops of one's own: pictures as a model's input, and the targets of its loss in the same pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from axialzoo.data.batches import as_channels, normalise
from axialzoo.data.dataset import DataError, Sample, Split
from axialzoo.data.geometry import Geometry, count_areas
from axialzoo.image import ImageError, preprocess, resize_transform, stretch_percentiles
from axialzoo.image.prepare import check_depth, fill_colour
from axialzoo.spec import Model, Preprocessing
from axialzoo.tasks import batch_targets, task_of
from axialzoo.tasks.results import Detections, Segmentation

Targets = np.ndarray | dict[str, np.ndarray]
Augment = Callable[[Sample, tuple[int, int], tuple[int, ...], np.random.Generator], Sample]


class HasInput(Protocol):
    """A model of axialzoo.torch or axialzoo.keras."""

    spec: Model

    @property
    def preprocessing(self) -> Preprocessing: ...


def to_model_input(sample: Sample, preprocessing: Preprocessing) -> tuple[np.ndarray, Any]:
    """Preprocess a sample's picture, and move its annotation to the pixels of the result.

    Args:
        sample: Picture and annotation: a class, boxes or segments in pixels of the picture.
        preprocessing: That of the model.

    Returns:
        (H, W, C) float32, and the annotation: boxes are clipped, and left out with less than a quarter of their area in the input;
        maps take the nearest pixel, and padding is void.

    Raises:
        DataError: for a picture that does not fit the model; the message names the sample.
    """
    name, picture, annotation = sample.name, sample.picture, sample.annotation
    try:
        pixels = preprocess(picture, preprocessing).transpose(1, 2, 0)
    except ImageError as error:
        raise DataError(f"{name}: {error}") from None
    view = resize_transform(picture.height, picture.width, preprocessing)
    if isinstance(annotation, Detections):
        ratio = picture.height / view.resized[0], picture.width / view.resized[1]
        left, top, (rows, columns) = view.left, view.top, view.shown
        box = (left * ratio[1], top * ratio[0], (left + columns) * ratio[1], (top + rows) * ratio[0])
        annotation = Geometry(box, (rows, columns), view.size).boxes(annotation)
    elif isinstance(annotation, Segmentation):
        semantic = None if annotation.semantic is None else view.map_to_model(annotation.semantic, -1)
        annotation = count_areas(annotation, view.map_to_model(annotation.segmentation), semantic)
    return pixels, annotation


class Batches:
    """Batches of a split for a model, epoch after epoch.

    Args:
        split: Samples, such as ``open_data(folder).split("train")``.
        model: A model of axialzoo.torch or axialzoo.keras, whose head says which targets its loss needs.
        batch_size: Samples of a batch; the last one of an epoch may have fewer.
        shuffle: Whether each epoch has another order.
        augment: Augmentation of a sample, such as :class:`axialzoo.data.augment.ScaleCrop`; None for none.
        seed: Of order and augmentation.
        preprocessing: Default the model's own; its size is that of the input.

    Attributes:
        epoch: Number of the current epoch; iterating over an epoch counts it.

    Raises:
        DataError: for a split without samples.
    """

    def __init__(
        self,
        split: Split,
        model: HasInput,
        batch_size: int = 8,
        *,
        shuffle: bool = False,
        augment: Augment | None = None,
        seed: int = 0,
        preprocessing: Preprocessing | None = None,
    ):
        if not len(split) or batch_size < 1:
            raise DataError(f"batches: expected samples, and a batch_size of at least 1, found {len(split)} and {batch_size}")
        self.split, self.spec, self.task = split, model.spec, task_of(model.spec.head)
        self.preprocessing = model.preprocessing if preprocessing is None else preprocessing
        self.channels_first = getattr(model, "data_format", "channels_first") == "channels_first"  # PyTorch's models have none
        self.batch_size, self.shuffle, self.augment, self.seed, self.epoch = batch_size, shuffle, augment, seed, 0

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Targets]:
        """Return images (n, C, H, W), or (n, H, W, C) in Keras, float32, and the targets of the head's loss.

        Targets are (n,) int64 for samples with a class each, else arrays by name; maps have their channels where the images have them.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index}: expected 0 to {len(self) - 1}")
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.split)) if self.shuffle else np.arange(len(self.split))
        numbers = order[index * self.batch_size : (index + 1) * self.batch_size]
        pairs = [self._pair(self.split[int(number)], int(number)) for number in numbers]
        if len({pixels.shape for pixels, _ in pairs}) > 1:
            raise DataError(
                "batches: expected inputs of one size, found several, as this model takes pictures of any size; pass augment=ScaleCrop(), "
                "or preprocessing=dataclasses.replace(model.preprocessing, resize='longer')"
            )
        images, annotations = np.stack([pixels for pixels, _ in pairs]), [annotation for _, annotation in pairs]
        size = images.shape[1:3]
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if self.channels_first else images
        targets = batch_targets(self.task, annotations, self.spec, size)
        if isinstance(annotations[0], int):
            return images, targets["labels"]
        if self.channels_first:
            targets = {name: np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x for name, x in targets.items()}
        return images, targets

    def __iter__(self) -> Iterator[tuple[np.ndarray, Targets]]:
        """Yield the batches of an epoch."""
        for index in range(len(self)):
            yield self[index]
        self.epoch += 1

    def forever(self) -> Iterator[tuple[np.ndarray, Targets]]:
        """Yield the batches of epoch after epoch without an end, as ``fit(..., steps_per_epoch=len(batches))`` of Keras takes them."""
        while True:
            yield from self

    def _pair(self, sample: Sample, number: int) -> tuple[np.ndarray, Any]:
        """Return a sample's input, (H, W, C), and its annotation in the same pixels."""
        if self.augment is None:
            return to_model_input(sample, self.preprocessing)
        try:
            check_depth(sample.picture, self.preprocessing)
        except ImageError as error:
            raise DataError(f"{sample.name}: {error}") from None
        if self.preprocessing.per_image:
            sample = replace(sample, picture=stretch_percentiles(sample.picture))
        fill = fill_colour(self.preprocessing)
        rng = np.random.default_rng((self.seed, self.epoch, number))
        sample = self.augment(sample, self.preprocessing.size, fill * 3 if len(fill) == 1 else fill, rng)
        pixels = as_channels(np.asarray(sample.picture)[None], self.preprocessing)
        return normalise(pixels, self.preprocessing)[0], sample.annotation
