"""Batches for both frameworks: numpy, and a function of (seed, step) alone, so a run resumes at any step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from axialzoo.image import preprocess
from axialzoo.spec import Preprocessing
from axialzoo.train.data import ArrayImages, Split
from axialzoo.train.recipe import Recipe


class TrainBatches:
    """Augmented, normalised training batches by step.

    Args:
        split: What to draw from.
        recipe: How.
        process, processes: Which share of each batch is wanted.
    """

    def __init__(self, split: Split, recipe: Recipe, process: int = 0, processes: int = 1):
        if recipe.batch_size % processes:
            raise ValueError(f"batch_size: expected a multiple of the {processes} processes, found {recipe.batch_size}")
        self.split, self.recipe, self.process, self.processes = split, recipe, process, processes
        self.per_epoch = max(len(split) // recipe.batch_size, 1)
        self.steps = recipe.epochs * self.per_epoch

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Images (n, size, size, 3) float32 and labels (n,) of step `step`."""
        recipe, epoch = self.recipe, step // self.per_epoch
        order = np.random.default_rng((recipe.seed, 1, epoch)).permutation(len(self.split))
        at = (step % self.per_epoch) * recipe.batch_size
        indices = order[at : at + recipe.batch_size][self.process :: self.processes]
        rng = np.random.default_rng((recipe.seed, 2, step, self.process))
        size = recipe.size(step, self.steps)
        if recipe.augment == "crop":
            pixels = self._crop(indices, epoch, size, rng)
        else:
            pixels = self._resized_crop(indices, size, rng)
        return normalise(pixels, recipe.preprocessing), self.split.labels[indices]

    def _crop(self, indices: np.ndarray, epoch: int, size: int, rng: np.random.Generator) -> np.ndarray:
        images, shift = self.split.images, self.recipe.shift
        if not isinstance(images, ArrayImages):
            raise ValueError('augment="crop" needs images of one size in memory; use augment="resized_crop" for files')
        pixels = images.pixels[indices]  # (n, H, W, 3)
        pixels = np.pad(pixels, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="reflect")
        n, h, w, _ = pixels.shape
        rows = rng.integers(0, h - size + 1, n)[:, None] + np.arange(size)  # (n, size)
        columns = rng.integers(0, w - size + 1, n)[:, None] + np.arange(size)
        mirrored = (np.random.default_rng((self.recipe.seed, 3)).integers(0, 2, len(images))[indices] + epoch) % 2 == 1
        columns = np.where(mirrored[:, None], columns[:, ::-1], columns)
        return pixels[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]  # (n, size, size, 3)

    def _resized_crop(self, indices: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
        return np.stack([random_resized_crop(self.split.images[index], size, rng) for index in indices])


def random_resized_crop(image: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """35 to 100 % of the picture's area, of aspect 3/4 to 4/3, resized to (size, size, 3), mirrored every other time."""
    width, height = image.size
    area, aspect = width * height * rng.uniform(0.35, 1.0), np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
    w, h = min(round((area * aspect) ** 0.5), width), min(round((area / aspect) ** 0.5), height)
    left, top = rng.integers(0, width - w + 1), rng.integers(0, height - h + 1)
    image = image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + max(w, 1), top + max(h, 1)))
    pixels = np.asarray(image.convert("RGB"))
    return pixels[:, ::-1] if rng.integers(2) else pixels


def normalise(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """uint8 (..., 3) to float32, scaled to [0, 1] and normalised per channel."""
    mean, std = (np.array(values, np.float32) for values in (preprocessing.mean, preprocessing.std))
    return (pixels.astype(np.float32) / np.float32(255) - mean) / std


def scoring_batches(
    split: Split, preprocessing: Preprocessing, batch_size: int, limit: int | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every image in order, once: (n, H, W, 3) float32 and labels (n,)."""
    total = len(split) if limit is None else min(limit, len(split))
    for start in range(0, total, batch_size):
        indices = range(start, min(start + batch_size, total))
        images = split.images
        if isinstance(images, ArrayImages) and images.pixels.shape[1:3] == tuple(preprocessing.size) and preprocessing.crop == 1.0:
            x = normalise(images.pixels[start : indices.stop], preprocessing)  # no resampling to do
        else:
            x = np.stack([preprocess(images[index], preprocessing).transpose(1, 2, 0) for index in indices])
        yield x, split.labels[start : indices.stop]


def hold_out(split: Split, count: int, seed: int) -> tuple[Split, Split]:
    """The split less `count` images drawn at random, and those."""
    order = np.random.default_rng((seed, 0)).permutation(len(split))
    return split.subset(np.sort(order[count:])), split.subset(np.sort(order[:count]))
