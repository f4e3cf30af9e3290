"""Interpolation of position tables for long axes, and arithmetic of integers that may be tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

Activation = Callable[[Any], Any]
HIDDEN = 1e30  # subtracted from the logits of masked keys


def arange(count):
    """Return the integers below `count`: a numpy array, hence a constant, if `count` is known before the model runs."""
    return np.arange(count, dtype="int32") if isinstance(count, int) else ops.arange(count, dtype="int32")


def clip(x, low, high):
    """Clip `x` to `low` and `high`: a numpy array, hence a constant, if all are known before the model runs."""
    return np.clip(x, low, high) if isinstance(x, np.ndarray) and isinstance(high, int) else ops.clip(x, low, high)


def statistics_dtype(dtype: str) -> str:
    """Return the type that softmax and normalisation compute in: float64 for float64, else float32."""
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"


def interpolate(table, rows):
    """Interpolate a table linearly to another number of rows, with the end rows aligned: (R, D) to (rows, D)."""
    last = table.shape[0] - 1
    table = ops.reshape(table, table.shape)  # makes TensorFlow's gradient dense; Adam would square the parts of a sparse row one by one
    if isinstance(rows, int):
        place = np.arange(rows) * (last / max(rows - 1, 1))  # (rows,)
        low = np.minimum(place.astype("int32"), max(last - 1, 0))
        share = ops.cast((place - low)[:, None], table.dtype)  # (rows, 1)
    else:
        place = ops.cast(ops.arange(rows), statistics_dtype(table.dtype)) * (
            last / ops.cast(ops.maximum(rows - 1, 1), statistics_dtype(table.dtype))
        )
        low = ops.minimum(ops.cast(place, "int32"), max(last - 1, 0))
        share = ops.cast((place - ops.cast(low, place.dtype))[:, None], table.dtype)
    high = low + 1 if last else low
    return ops.take(table, low, axis=0) * (1 - share) + ops.take(table, high, axis=0) * share
