"""Sliding window over large pictures: the maps of overlapping tiles are blended, then decoded once, so objects are whole across seams."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from axialzoo.tasks.segmentation.scoring import Activation, probabilities
from axialzoo.tasks.tta import tile_progress

Maps = Mapping[str, np.ndarray]


def tiled_maps(
    predict: Callable[[np.ndarray], Maps],
    picture: np.ndarray,
    tile: tuple[int, int],
    overlap: tuple[int, int],
    *,
    activation: Activation = "softmax",
    multiple: int = 1,
) -> dict[str, np.ndarray]:
    """Compute a network's maps of a picture in a sliding window, tile by tile.

    Where tiles overlap, the maps are averaged with weights that fall towards a tile's border, where a network has the least context.
    Offsets lead from a pixel to its object's center, so they mean the same in every tile. An object that is larger than the overlap
    has a different center in each tile and may be split: make the overlap as large as the objects.
    Rows that no further tile touches are finished at once; only one row of tiles is held with all its classes.

    Args:
        predict: From a tile (h, w, ...) to its maps at the same height and width: ``semantic`` (h, w, C) logits, ``center`` (h, w) or
            (h, w, 1) and ``offset`` (h, w, 2) or neither.
        picture: (H, W, ...).
        tile: Height and width; of a smaller picture the tile is the picture.
        overlap: Of neighbours, in rows and columns, at least.
        activation: As of `decode`.
        multiple: Tiles begin at rows and columns that are multiples of this, as a network's strides want it; so the last ones, which
            are moved in from the border, can be smaller than the others by less than this.

    Returns:
        For `decode`: ``semantic`` (H, W) int32 classes, ``probability`` (H, W) float32, and ``center`` (H, W), ``offset`` (H, W, 2).

    Raises:
        ValueError: An overlap as large as the tile, or maps of another size than their tile.
    """
    height, width = picture.shape[:2]
    bands = _parts(height, tile[0], overlap[0], multiple, "rows")
    columns = _parts(width, tile[1], overlap[1], multiple, "columns")
    tall, done_tiles = bands[0].stop, 0
    whole: dict[str, np.ndarray] = {}
    band: dict[str, np.ndarray] = {}  # name -> (tall, W, channels): weighted sums of the rows from `top` on
    for number, rows in enumerate(bands):
        top, high = rows.start, rows.stop - rows.start
        for across in columns:
            wide = across.stop - across.start
            weight = np.outer(_hat(high, len(bands)), _hat(wide, len(columns)))[..., None].astype(np.float32)  # (h, w, 1)
            maps = predict(picture[rows, across])
            if (report := tile_progress.get()) is not None:
                done_tiles += 1
                report(done_tiles, len(bands) * len(columns))
            for name, value in [*maps.items(), ("weight", np.ones((high, wide), np.float32))]:
                value = _channels(name, value, high, wide)
                if name not in band:
                    band[name] = np.zeros((tall, width, value.shape[-1]), np.float32)
                band[name][:high, across] += value * weight
        done = (bands[number + 1].start if number + 1 < len(bands) else height) - top
        _finish(whole, {name: value[:done] for name, value in band.items()}, slice(top, top + done), (height, width), activation)
        for value in band.values():
            value[: tall - done] = value[done:].copy()
            value[tall - done :] = 0
    return whole


def _parts(length: int, tile: int, overlap: int, multiple: int, axis: str) -> list[slice]:
    """Return the tiles along an axis."""
    if not 0 <= overlap < tile:
        raise ValueError(f"overlap: expected from 0 to less than the tile's {tile} {axis}, found {overlap}")
    if length <= tile:
        return [slice(0, length)]
    step = (tile - overlap) // multiple * multiple
    if not step:
        raise ValueError(f"tile: expected at least {multiple} more {axis} than the overlap's {overlap}, found {tile}")
    last = -(-(length - tile) // multiple) * multiple  # begins where it just fits
    return [slice(start, start + tile) for start in range(0, last, step)] + [slice(last, length)]


def _hat(length: int, tiles: int) -> np.ndarray:
    """Return weights (length,): 1 in the middle, falling in a straight line, never 0; all 1 for a tile without neighbours."""
    if tiles == 1:
        return np.ones(length)
    distance = np.abs(np.arange(length) - (length - 1) / 2)
    return 1 - distance / (length / 2 + 1)


def _channels(name: str, value: np.ndarray, height: int, width: int) -> np.ndarray:
    value = np.asarray(value, np.float32)
    value = value[..., None] if value.ndim == 2 else value
    if value.ndim != 3 or value.shape[:2] != (height, width):
        raise ValueError(f"{name}: expected a map as high and wide as its tile, {height} x {width}, found shape {value.shape}")
    return value


def _finish(whole: dict, band: dict, rows: slice, size: tuple[int, int], activation: Activation) -> None:
    """Write complete rows into the maps of the whole picture."""

    def put(name: str, value: np.ndarray) -> None:
        if name not in whole:
            whole[name] = np.zeros((*size, *value.shape[2:]), value.dtype)
        whole[name][rows] = value

    for name, value in band.items():
        if name == "weight":
            continue
        value = value / band["weight"]
        if name == "semantic":
            put("semantic", value.argmax(-1).astype(np.int32))
            put("probability", probabilities(value, activation).max(-1))
        else:
            put(name, value[..., 0] if value.shape[-1] == 1 else value)
