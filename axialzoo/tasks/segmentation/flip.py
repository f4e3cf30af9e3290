"""A second look at a picture in the mirror."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def flip_maps(maps: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The maps of a mirrored picture as those of the picture itself, or the other way round: turned, and columns of offsets point back.

    Args:
        maps: By name, each (H, W, ...) or (N, H, W, ...) with channels last; ``offset`` is rows and columns.
            ``center`` and maps of classes may lack the channels: (H, W).
    """
    return {name: _mirrored(name, value) for name, value in maps.items()}


def _mirrored(name: str, value: np.ndarray) -> np.ndarray:
    axis = value.ndim - 1 if value.ndim == 2 else -2
    value = np.flip(value, axis)
    return value * np.array([1, -1], value.dtype) if name == "offset" else value
