"""Resizing with aligned corners, as deeplab2 does everywhere, or with aligned pixel centres."""

from __future__ import annotations

import numpy as np
from keras import ops

from axialzoo.ops.keras.tables import statistics_dtype


def resize(x, height, width):
    """Resize bilinearly with aligned corners: (N, H, W, C) to (N, height, width, C); in float32 or better."""
    for axis, length in ((1, height), (2, width)):
        x = _resize_axis(x, length, axis)
    return x


def resize_centers(x, height, width):
    """Resize bilinearly with aligned pixel centres instead of corners, as PyTorch's default: (N, H, W, C) to (N, height, width, C)."""
    for axis, length in ((1, height), (2, width)):
        x = _resize_axis(x, length, axis, centers=True)
    return x


def _resize_axis(x, length, axis: int, centers: bool = False):
    before = ops.shape(x)[axis]
    dtype = statistics_dtype(x.dtype)
    if centers:
        ratio = ops.cast(before, dtype) / ops.cast(length, dtype)
        place = ops.maximum((ops.cast(ops.arange(length, dtype="int32"), dtype) + 0.5) * ratio - 0.5, 0)  # (length,)
        low = ops.minimum(ops.cast(place, "int32"), before - 1)
        high, share = ops.minimum(low + 1, before - 1), place - ops.cast(low, dtype)
    elif isinstance(before, int) and isinstance(length, int):
        if before == length:
            return x
        place = np.arange(length) * ((before - 1) / max(length - 1, 1))  # (length,)
        low = np.minimum(place.astype("int32"), max(before - 2, 0))
        high, share = np.minimum(low + 1, before - 1), ops.convert_to_tensor(place - low, dtype=dtype)
    else:
        steps = ops.maximum(length - 1, 1)
        place = ops.arange(length, dtype="int32") * (before - 1)  # (length,), times `steps`, since integers do not round
        low = place // steps
        high, share = ops.minimum(low + 1, before - 1), ops.cast(place - low * steps, dtype) / ops.cast(steps, dtype)
    share = ops.reshape(share, (-1, 1, 1) if axis == 1 else (-1, 1))  # (length, 1, 1) or (length, 1)
    y = ops.cast(x, dtype)
    y = ops.take(y, low, axis=axis) * (1 - share) + ops.take(y, high, axis=axis) * share
    return ops.cast(y, x.dtype)
