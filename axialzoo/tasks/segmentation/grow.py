"""From the stride of a network's maps to the size of its input."""

from __future__ import annotations

import numpy as np

from axialzoo.tasks.task import Arrays


def upsample_maps(maps: Arrays, size: tuple[int, int], stride: int, seen: tuple[int, int] | None = None) -> dict[str, np.ndarray]:
    """Maps at `stride` as maps of `size`, bilinear; offsets, which are told in the maps' own pixels, grow with them.

    Row r of a map lies at row ``stride * r`` of what the network saw, which is where strided convolutions put it. At sizes of
    ``stride * n + 1``, as deeplab2 has them, that is its resizing with aligned corners; at others, the last rows and columns
    repeat.

    Args:
        maps: ``semantic`` (h, w, C), and ``center`` (h, w, 1), ``offset`` (h, w, 2) where objects are told apart.
        size: Height and width of the model's input.
        stride: Of the maps.
        seen: Height and width to which the input was resized for the network, if it was: pixel borders on pixel borders, as Pillow
            resizes.
    """
    seen = size if seen is None else seen
    found = {}
    for name, value in maps.items():
        one = np.asarray(value)
        for axis in (0, 1):
            one = _axis(one, size[axis], stride, axis, seen[axis])
        if name == "offset":
            one = one * np.array([stride * side / other for side, other in zip(size, seen)], one.dtype)
        found[name] = one
    return found


def _axis(value: np.ndarray, length: int, stride: int, axis: int, seen: int) -> np.ndarray:
    """(h, w, C) with one of the two axes grown to `length`."""
    if stride == 1 and value.shape[axis] == length == seen:
        return value
    last = value.shape[axis] - 1
    pixel = np.arange(length) if seen == length else (np.arange(length) + 0.5) * (seen / length) - 0.5  # of what was seen
    place = np.clip(pixel / stride, 0, last)  # (length,)
    low = np.minimum(place.astype(np.int64), max(last - 1, 0))
    share = (place - low).astype(value.dtype).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
    near = np.take(value, low, axis)
    if last == 0:
        return near
    near += share * (np.take(value, low + 1, axis) - near)
    return near
