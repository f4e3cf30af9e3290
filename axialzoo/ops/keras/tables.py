"""Position tables for an axis longer than they reach, and whole numbers that may be tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

Activation = Callable[[Any], Any]
HIDDEN = 1e30  # what is taken from the logit of a key that is not to be seen


def arange(count):
    """Whole numbers below `count`: in numpy, hence constants, where it is known before the model runs."""
    return np.arange(count, dtype="int32") if isinstance(count, int) else ops.arange(count, dtype="int32")


def clip(x, low, high):
    """`x` kept between `low` and `high`: in numpy, hence a constant, where all are known before the model runs."""
    return np.clip(x, low, high) if isinstance(x, np.ndarray) and isinstance(high, int) else ops.clip(x, low, high)


def statistics_dtype(dtype: str) -> str:
    """What softmax and normalisation compute in: float32, or float64 where everything is."""
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"


def interpolate(table, rows):
    """A table stretched to another number of rows, linearly, the end rows kept: (R, D) to (rows, D)."""
    last = table.shape[0] - 1
    table = ops.reshape(table, table.shape)  # makes TensorFlow's gradient a dense one: Adam would square a row's parts one by one
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
