"""Training batches for both frameworks: numpy, and a function of (seed, step) alone, so a run resumes at any step.

What is drawn for a sample depends on the seed, the step and its place in the whole batch, never on the process that makes it: however
many processes share a batch, its pictures are the same.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from axialzoo.data.augment import random_resized_crop
from axialzoo.data.dataset import Annotation, ArraySplit, DataError, Sample, Split, kinds_of
from axialzoo.data.mosaic import mosaic
from axialzoo.data.settings import DataSettings
from axialzoo.image import ImageError, stretch_percentiles
from axialzoo.image.prepare import check_depth, fill_colour
from axialzoo.spec import Preprocessing

Annotations = np.ndarray | list[Annotation]


class TrainBatches:
    """Augmented, normalised training batches by step. Any thread may ask for any step.

    Args:
        split: What to draw from.
        settings: How; a recipe, say.
        process, processes: Which share of each batch is wanted: every `processes`-th sample from number `process` on.

    Raises:
        ValueError: where the processes cannot share a batch evenly.
    """

    def __init__(self, split: Split, settings: DataSettings, process: int = 0, processes: int = 1):
        if settings.batch_size % processes:
            raise ValueError(f"batch_size: expected a multiple of the {processes} processes, found {settings.batch_size}")
        if not len(split):
            raise DataError("data: no samples to train on")
        self.split, self.settings, self.process, self.processes = split, settings, process, processes
        self.per_epoch = max(len(split) // settings.batch_size, 1)
        self.steps = settings.epochs * self.per_epoch
        self._shares = kind_shares(split, settings.kind_balance)
        self._order = (-1, np.empty(0, np.int64))  # (epoch, its order), of the epoch last asked for
        self._sides = np.random.default_rng((settings.seed, 3)).integers(0, 2, len(split))  # which samples epoch 0 mirrors

    def __getitem__(self, step: int) -> tuple[np.ndarray, Annotations]:
        """Return images (n, H, W, C) float32 and annotations of step `step`: (n,) int64 classes, or a list of boxes or segments."""
        settings, epoch = self.settings, step // self.per_epoch
        at = (step % self.per_epoch) * settings.batch_size
        indices = self._epoch_order(epoch)[at : at + settings.batch_size]  # of the whole batch
        side = settings.size(step, self.steps)
        if settings.augment == "crop":
            pixels, annotations = self._crop(indices, epoch, side, np.random.default_rng((settings.seed, 2, step, 0)))
        else:
            make = self._resized_crop if settings.augment == "resized_crop" else self._scale_crop
            places = range(len(indices))[self.process :: self.processes]
            pairs = [make(int(indices[place]), side, np.random.default_rng((settings.seed, 2, step, place))) for place in places]
            pixels, annotations = np.stack([picture for picture, _ in pairs]), [annotation for _, annotation in pairs]
        annotations = np.array(annotations, np.int64) if isinstance(annotations[0], (int, np.integer)) else annotations
        return normalise(as_channels(pixels, settings.preprocessing), settings.preprocessing), annotations

    def _epoch_order(self, epoch: int) -> np.ndarray:
        known, order = self._order
        if known != epoch:
            rng = np.random.default_rng((self.settings.seed, 1, epoch))
            order = rng.permutation(len(self.split)) if self._shares is None else _spread(self._shares, rng)
            self._order = (epoch, order)
        return order

    def _crop(self, indices: np.ndarray, epoch: int, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Cut pictures of one size in memory: shifted and mirrored without a loop. Draws for the whole batch, makes the share."""
        split, shift = self.split, self.settings.crop_padding
        if not isinstance(split, ArraySplit):
            raise DataError(
                'augment="crop" needs pictures of one size in memory and a class each; use "resized_crop" for files of pictures with '
                'a class each, "scale_crop" for boxes and segments'
            )
        h, w = (side + 2 * shift for side in split.pixels.shape[1:3])
        if size > min(h, w):
            raise DataError(f'augment="crop": expected images of at least {size} pixels less the shift of {shift}, found {h - 2 * shift}')
        starts = rng.integers(0, h - size + 1, len(indices)), rng.integers(0, w - size + 1, len(indices))
        indices, top, left = (values[self.process :: self.processes] for values in (indices, *starts))
        pixels = split.pixels[indices]  # (n, H, W, 3)
        if self.settings.preprocessing.per_image:
            pixels = np.stack([np.asarray(stretch_percentiles(Image.fromarray(picture))) for picture in pixels])
        pixels = np.pad(pixels, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="reflect")
        rows, columns = (start[:, None] + np.arange(size) for start in (top, left))  # (n, size)
        mirrored = (self._sides[indices] + epoch) % 2 == 1
        columns = np.where(mirrored[:, None], columns[:, ::-1], columns)
        cut = pixels[np.arange(len(indices))[:, None, None], rows[:, :, None], columns[:, None, :]]  # (n, size, size, 3)
        return cut, split.labels[indices]

    def _resized_crop(self, index: int, size: int, rng: np.random.Generator) -> tuple[np.ndarray, Annotation]:
        sample = self._sample(index)
        if not isinstance(sample.annotation, int):
            raise DataError(f'{sample.name}: augment="resized_crop" moves no labels along; use "scale_crop" for boxes and segments')
        return random_resized_crop(sample.picture, size, rng), sample.annotation

    def _scale_crop(self, index: int, side: int, rng: np.random.Generator) -> tuple[np.ndarray, Annotation]:
        policy, (rows, columns) = self.settings.scale_crop, self.settings.preprocessing.size
        size = (side, round(side * columns / rows))  # the recipe's side is the height; the ratio stays
        fill = fill_colour(self.settings.preprocessing)
        fill = fill * 3 if len(fill) == 1 else fill
        sample = self._sample(index)
        if policy.mosaic and rng.uniform() < policy.mosaic:
            others = [self._sample(int(other)) for other in rng.integers(0, len(self.split), 3)]
            sample = mosaic([sample, *others], policy, size, fill, rng)
        else:
            sample = policy(sample, size, fill, rng)
        return np.asarray(sample.picture), sample.annotation

    def _sample(self, index: int) -> Sample:
        sample = self.split[index]
        try:
            check_depth(sample.picture, self.settings.preprocessing)
        except ImageError as error:
            raise DataError(f"{sample.name}: {error}") from None
        if self.settings.preprocessing.per_image:
            return Sample(sample.name, stretch_percentiles(sample.picture), sample.annotation)
        return sample


def kind_shares(split: Split, balance: float) -> np.ndarray | None:
    """Return the share of an epoch that each sample has, (n,) float64, or None where all have the same.

    Args:
        balance: Of a kind with n samples each counts ``n ** -balance``: at 1 every kind is drawn equally often.

    Raises:
        DataError: for a balance of data that name no kinds.
    """
    if not balance:
        return None
    kinds = kinds_of(split)
    if not kinds:
        raise DataError(
            f"kind_balance: expected data that name the kind of each picture (kinds.csv) for {balance}, found none; set it to 0"
        )
    _, kind_index, counts = np.unique(np.array(kinds), return_inverse=True, return_counts=True)
    weights = counts[kind_index] ** -float(balance)
    return weights / weights.sum()


def _spread(shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw as many samples as there are, in random order, each as often as its share says: the whole part for certain."""
    positions = (np.arange(len(shares)) + rng.uniform()) / len(shares)
    return rng.permutation(np.searchsorted(np.cumsum(shares)[:-1], positions, side="right"))


def as_channels(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Return uint8 RGB (n, H, W, 3) as the model's channels: in its order, or grey (n, H, W, 1) for a model of one channel."""
    channels = len(preprocessing.mean)
    if channels == 3:
        return pixels[..., ::-1] if preprocessing.channel_order == "bgr" else pixels
    if channels != 1:
        raise DataError(f"preprocessing: expected a model of 1 or 3 channels for pictures, found {channels}")
    return np.stack([np.asarray(Image.fromarray(picture).convert("L")) for picture in pixels])[..., None]


def normalise(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Convert uint8 (..., C) to float32, scaled to [0, 1] and normalised per channel."""
    mean, std = (np.array(values, np.float32) for values in (preprocessing.mean, preprocessing.std))
    return (pixels.astype(np.float32) / np.float32(255) - mean) / std
