"""Elastic displacement: soft tissue bends, and cells with it. For segments only: a bent box is no box."""

from __future__ import annotations

import numpy as np
from PIL import Image

from axialzoo.data.dataset import DataError, Sample
from axialzoo.data.geometry import count_areas
from axialzoo.tasks.results import Segmentation

CELL = 32  # pixels between the points that are moved at random; between them it is smooth


def displacement(height: int, width: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a displacement field, (H, W, 2) float32: pixels to the right and down from each pixel of the result.

    Args:
        strength: Standard deviation, in pixels, at the points of a grid of `CELL` pixels.
    """
    grid = rng.normal(0, strength, (2, height // CELL + 2, width // CELL + 2)).astype(np.float32)
    planes = [np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)) for plane in grid]
    return np.stack(planes, -1)


def elastic_deform(sample: Sample, shift: np.ndarray) -> Sample:
    """Displace picture (bilinear) and map (nearest) alike; beyond the border the border's pixels repeat.

    Raises:
        DataError: for boxes, which cannot follow.
    """
    if not isinstance(sample.annotation, Segmentation):
        raise DataError(f"{sample.name}: elastic displacement needs segments, found {type(sample.annotation).__name__}; switch it off")
    pixels = np.asarray(sample.picture).astype(np.float32)  # (H, W, C)
    height, width = pixels.shape[:2]
    x = np.clip(np.arange(width) + shift[..., 0], 0, width - 1)  # (H, W)
    y = np.clip(np.arange(height)[:, None] + shift[..., 1], 0, height - 1)
    left, top = (
        np.minimum(x.astype(np.int64), width - 2 if width > 1 else 0),
        np.minimum(y.astype(np.int64), height - 2 if height > 1 else 0),
    )
    right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    along, down = (x - left)[..., None], (y - top)[..., None]
    upper = pixels[top, left] * (1 - along) + pixels[top, right] * along
    lower = pixels[below, left] * (1 - along) + pixels[below, right] * along
    picture = Image.fromarray(np.round(upper * (1 - down) + lower * down).astype(np.uint8))
    nearest = np.round(y).astype(np.int64), np.round(x).astype(np.int64)
    annotation = sample.annotation
    semantic = None if annotation.semantic is None else annotation.semantic[nearest]
    return Sample(sample.name, picture, count_areas(annotation, annotation.segmentation[nearest], semantic))
