"""Test-time augmentation of segmentation: averages the maps over tiles, mirror images and scales, then decodes once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image

from axialzoo.tasks.segmentation.flip import flip_maps
from axialzoo.tasks.segmentation.grow import upsample_maps
from axialzoo.tasks.segmentation.scoring import probabilities
from axialzoo.tasks.segmentation.tiles import tiled_maps
from axialzoo.tasks.tta import TTA, Compute

Maps = Mapping[str, np.ndarray]


def predict_tta(compute: Compute, x: np.ndarray, tta: TTA, stride: int, multiple: int) -> dict[str, np.ndarray]:
    """Compute a network's maps of a picture with test-time augmentation: see :func:`~axialzoo.tasks.segmentation.tiles.tiled_maps`.

    Each tile is predicted under every augmentation, one after another, so that memory is that of one tile at the largest scale
    (and of the maps of the whole picture).

    Args:
        compute: From model inputs (1, H, W, C) to maps by name, the batch first, at `stride`.
        x: (H, W, C) the model's input.
        tta: The augmentations.
        stride: Of the maps.
        multiple: The largest stride inside the network: tiles begin at multiples of it, where its features lie as in the whole.
    """
    size = x.shape[0], x.shape[1]

    def predict(tile: np.ndarray) -> Maps:
        own, ways = (tile.shape[0], tile.shape[1]), list(tta.ways((tile.shape[0], tile.shape[1])))
        maps = (_predict_view(compute, tile, own, network_size, hflip, stride) for network_size, hflip in ways)
        return next(maps) if len(ways) == 1 else mean_maps(maps)

    several = tta.hflip or len(tta.scales) > 1
    activation = None if several else "softmax"  # probabilities are averaged over several views
    return tiled_maps(predict, x, tta.tile or size, tta.overlap, activation=activation, multiple=multiple)


def _predict_view(
    compute: Compute, tile: np.ndarray, size: tuple[int, int], network_size: tuple[int, int], hflip: bool, stride: int
) -> Maps:
    """Predict a tile (h, w, C) under one augmentation. Returns maps of the tile's own height and width."""
    model_input = tile if network_size == size else resized(tile, network_size)
    model_input = model_input[:, ::-1] if hflip else model_input
    outputs = compute(np.ascontiguousarray(model_input[None]))
    maps = upsample_maps({name: value[0] for name, value in outputs.items()}, size, stride, network_size)
    return flip_maps(maps) if hflip else maps


def mean_maps(views: Iterable[Maps]) -> dict[str, np.ndarray]:
    """Return the mean of a network's maps over several views of one picture, as deeplab2 computes it.

    Args:
        views: For each view ``semantic`` logits (H, W, C), and ``center`` and ``offset`` where there are objects, all flipped and
            scaled back to the picture.

    Returns:
        ``semantic`` as probabilities, so decode with ``activation=None``.

    Raises:
        ValueError: for maps that do not match.
    """
    total: dict[str, np.ndarray] = {}
    count = 0
    for maps in views:
        maps = {name: probabilities(value, "softmax") if name == "semantic" else np.asarray(value) for name, value in maps.items()}
        if count and maps.keys() != total.keys():
            raise ValueError(f"views: expected the same maps of every view, found {sorted(total)} and {sorted(maps)}")
        for name, value in maps.items():
            if count and value.shape != total[name].shape:
                raise ValueError(f"{name}: expected the same shape of every view, found {total[name].shape} and {value.shape}")
            total[name] = total[name] + value if count else value
        count += 1
    return {name: value / np.float32(count) for name, value in total.items()}


def resized(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, C) floats, bilinear by Pillow, which smooths where it shrinks."""
    planes = [Image.fromarray(np.ascontiguousarray(x[..., channel], np.float32)) for channel in range(x.shape[-1])]
    return np.stack([np.asarray(plane.resize((size[1], size[0]), Image.Resampling.BILINEAR)) for plane in planes], -1).astype(x.dtype)
