"""Stochastic depth (arXiv:1603.09382): in training, the residuals of whole samples are dropped."""

from __future__ import annotations

import keras
from keras import ops


def drop_path(x, rate: float, seed):
    """Drop whole samples of (N, ...) with probability `rate` and scale the others up."""
    keep = keras.random.uniform((ops.shape(x)[0], *[1] * (len(x.shape) - 1)), seed=seed) >= rate  # (N, 1, ...)
    return x * ops.cast(keep, x.dtype) / (1 - rate)
