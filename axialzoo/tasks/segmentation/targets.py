"""Target maps of Panoptic-DeepLab from a picture's true segments."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.segmentation.compact import class_of, is_crowd, relabel

IGNORE = -1


def targets(
    annotation: Segmentation,
    *,
    stride: int = 1,
    things: Collection[int] | None = None,
    sigma: float = 8.0,
    ignore: int = IGNORE,
    small_area: int = 4096,
    small_weight: float = 3.0,
    instances: bool = True,
) -> dict[str, np.ndarray]:
    """Return the target maps of a picture and the weight of each pixel in the losses, as in deeplab2.

    The maps are computed at the picture's size; then every `stride`-th pixel is taken, from the first on. Offsets are in pixels of the
    maps, so they are divided by the stride: where maps are resized, their offsets are scaled with them.

    Args:
        annotation: The true segments; of a crowd ``iscrowd`` is 1.
        stride: Of the maps that are compared.
        things: The classes whose objects are told apart; None reads them from the labels of `annotation`.
        sigma: Standard deviation of the heat around a center, in pixels of the picture; it ends at a square of 3 sigma + 1 around it.
        ignore: The semantic target of pixels of no class.
        small_area, small_weight: Objects of fewer pixels than this count so much in the semantic loss.
        instances: Whether there is anything but the semantic map.

    Returns:
        All (h, w) with h = ceil(H / stride), float32 but for the first:

        * ``semantic`` int32, ``semantic_weight``;
        * ``center`` from 0 to 1, ``center_weight``: 0 in crowds and void;
        * ``offset`` (h, w, 2) rows and columns to the object's center of mass (rounded to a pixel), ``offset_weight``: 1 in objects alone.

    Source: Panoptic-DeepLab (arXiv:1911.10194), section 3; the weights are DeeperLab's (arXiv:1902.05093), section 3.2.
    """
    if stride < 1 or sigma <= 0:
        raise ValueError(f"targets: expected a stride of at least 1 and a sigma above 0, found {stride} and {sigma}")
    index, classes, crowd = relabel(annotation), class_of(annotation), is_crowd(annotation)  # (H, W), (n,), (n,)
    pick = np.s_[::stride, ::stride]
    semantic = np.concatenate([[-1], classes])[index] if annotation.semantic is None else annotation.semantic
    semantic = np.where(semantic < 0, ignore, semantic).astype(np.int32)
    if not instances:
        return {"semantic": semantic[pick], "semantic_weight": np.ones(semantic[pick].shape, np.float32)}
    thing = np.isin(classes, list(_things(annotation, things)))
    objects = np.flatnonzero(thing & ~crowd) + 1  # their numbers in `index`
    count, middle = centers_of_mass(index, len(classes))
    small = np.zeros(len(classes) + 1, bool)
    small[objects] = count[objects] < small_area
    an_object = np.zeros(len(classes) + 1, bool)
    an_object[objects] = True
    counted = np.concatenate([[False], ~(crowd & thing)])  # not void, not a crowd
    rows, columns = np.ogrid[: index.shape[0] : stride, : index.shape[1] : stride]
    index_small = index[pick]
    to_middle = middle[index_small] - np.stack(np.broadcast_arrays(rows, columns), -1)  # (h, w, 2)
    inside = an_object[index_small]
    return {
        "semantic": semantic[pick],
        "semantic_weight": np.where(small[index_small], np.float32(small_weight), np.float32(1)),
        "center": heat_map(middle[objects[count[objects] > 0]], index.shape, sigma)[pick].copy(),
        "center_weight": (counted[index_small] & (semantic[pick] != ignore)).astype(np.float32),
        "offset": (np.where(inside[..., None], to_middle, 0) / stride).astype(np.float32),
        "offset_weight": inside.astype(np.float32),
    }


def _things(annotation: Segmentation, things: Collection[int] | None) -> Collection[int]:
    if things is not None:
        return things
    if not annotation.categories:
        raise ValueError("things: expected the classes whose objects are told apart, as the ground truth has no labels; found None")
    return [i for i, label in enumerate(annotation.categories) if label.thing]


def centers_of_mass(index: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels (count + 1,) of each number in `index` (H, W), and its mean row and column (count + 1, 2) int64, halves to even."""
    flat = index.ravel()
    pixels = np.bincount(flat, minlength=count + 1)
    rows, columns = np.ogrid[: index.shape[0], : index.shape[1]]
    sums = [np.bincount(flat, np.broadcast_to(axis, index.shape).ravel(), count + 1) for axis in (rows, columns)]
    return pixels, np.rint(np.stack(sums, 1) / np.maximum(pixels, 1)[:, None]).astype(np.int64)


def heat_map(middles: np.ndarray, size: tuple[int, int], sigma: float) -> np.ndarray:
    """Return (H, W) float32: a Gaussian around each of the (n, 2) rows and columns; where they overlap the higher."""
    side, middle = int(6 * sigma + 3), 3 * sigma + 1
    along = np.exp(-((np.arange(side) - middle) ** 2) / (2 * sigma**2))
    gaussian = np.outer(along, along).astype(np.float32)  # (side, side)
    before = round(middle)
    heat = np.zeros((size[0] + 2 * side, size[1] + 2 * side), np.float32)  # with a border, so that no Gaussian needs cutting
    for row, column in middles + side - before:
        part = heat[row : row + side, column : column + side]
        np.maximum(part, gaussian, out=part)
    return heat[side : side + size[0], side : side + size[1]]
