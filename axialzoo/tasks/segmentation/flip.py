"""Flips maps horizontally, for test-time augmentation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def flip_maps(maps: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Flip the maps of a mirrored picture to maps of the picture itself, or back; the columns of offsets change their sign.

    Args:
        maps: By name, each (H, W, ...) or (N, H, W, ...) with channels last; ``offset`` is rows and columns.
            ``center`` and maps of classes may lack the channels: (H, W).
    """
    return {name: _hflip(name, value) for name, value in maps.items()}


def _hflip(name: str, value: np.ndarray) -> np.ndarray:
    axis = value.ndim - 1 if value.ndim == 2 else -2
    value = np.flip(value, axis)
    return value * np.array([1, -1], value.dtype) if name == "offset" else value
