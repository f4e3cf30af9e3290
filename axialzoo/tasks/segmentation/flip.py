"""A second look at a picture in the mirror."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from axialzoo.tasks.segmentation.scoring import probabilities


def mirrored(maps: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
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


def with_mirror(maps: Mapping[str, np.ndarray], of_mirror: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The mean of what a network says of a picture and of its mirror image, as deeplab2 takes it.

    Args:
        maps: ``semantic`` logits (H, W, C), and ``center`` and ``offset`` where there are objects.
        of_mirror: The same of the picture turned left to right, as the network gives them.

    Returns:
        ``semantic`` as probabilities, so decode with ``activation=None``.

    Raises:
        ValueError: for maps that do not match.
    """
    back = mirrored(of_mirror)
    if maps.keys() != back.keys():
        raise ValueError(f"with_mirror: expected the same maps of both pictures, found {sorted(maps)} and {sorted(back)}")
    for name in maps:
        if maps[name].shape != back[name].shape:
            raise ValueError(f"{name}: expected the same shape of both pictures, found {maps[name].shape} and {back[name].shape}")
    prepare = {name: (lambda x: probabilities(x, "softmax")) if name == "semantic" else np.asarray for name in maps}
    return {name: (prepare[name](maps[name]) + prepare[name](back[name])) / 2 for name in maps}
