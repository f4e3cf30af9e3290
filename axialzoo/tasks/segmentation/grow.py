"""Resizes a network's maps to the size of its input."""

from __future__ import annotations

import numpy as np

from axialzoo.tasks.task import Arrays


def upsample_maps(maps: Arrays, size: tuple[int, int], stride: int, network_size: tuple[int, int] | None = None) -> dict[str, np.ndarray]:
    """Upsample maps at `stride` to `size`, bilinear; offsets, which are in pixels of the maps, are scaled with them.

    Row r of a map lies at row ``stride * r`` of the network's input, where strided convolutions put it. At sizes of
    ``stride * n + 1``, as in deeplab2, this equals resizing with aligned corners; at others, the last rows and columns
    repeat.

    Args:
        maps: ``semantic`` (h, w, C), and ``center`` (h, w, 1), ``offset`` (h, w, 2) where objects are told apart.
        size: Height and width of the model's input.
        stride: Of the maps.
        network_size: Height and width to which the input was resized for the network, if it was. Pixel borders are aligned, as by Pillow.
    """
    network_size = size if network_size is None else network_size
    upsampled = {}
    for name, value in maps.items():
        array = np.asarray(value)
        for axis in (0, 1):
            array = _axis(array, size[axis], stride, axis, network_size[axis])
        if name == "offset":
            array = array * np.array([stride * side / other for side, other in zip(size, network_size)], array.dtype)
        upsampled[name] = array
    return upsampled


def _axis(value: np.ndarray, length: int, stride: int, axis: int, network_length: int) -> np.ndarray:
    """Return `value` (h, w, C) with one of the two axes upsampled to `length`."""
    if stride == 1 and value.shape[axis] == length == network_length:
        return value
    last = value.shape[axis] - 1
    pixel = np.arange(length)
    if network_length != length:  # from pixels of the result to those of the network's input
        pixel = (pixel + 0.5) * (network_length / length) - 0.5
    place = np.clip(pixel / stride, 0, last)  # (length,)
    low = np.minimum(place.astype(np.int64), max(last - 1, 0))
    share = (place - low).astype(value.dtype).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
    near = np.take(value, low, axis)
    if last == 0:
        return near
    near += share * (np.take(value, low + 1, axis) - near)
    return near
