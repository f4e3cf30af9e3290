"""Pools, as layers and functions, and shapes after a stride."""

from __future__ import annotations

import keras
from keras import ops

from axialzoo.ops.keras.dispatch import kernel_ops
from axialzoo.ops.keras.tables import statistics_dtype


def mean(x):
    """Average over height and width: (N, H, W, C) to (N, C); summed in float32 or better."""
    dtype = statistics_dtype(x.dtype)
    _, h, w, _ = ops.shape(x)
    return ops.cast(ops.sum(ops.cast(x, dtype), (1, 2)) / ops.cast(h * w, dtype), x.dtype)


@keras.saving.register_keras_serializable(package="axialzoo")
class MaxPool(keras.layers.Layer):
    """Max pooling, 3 x 3 with stride 2: (N, H, W, C) to (N, ceil(H / 2), ceil(W / 2), C)."""

    def call(self, x):
        return kernel_ops().max_pool(x)

    def compute_output_shape(self, input_shape):
        return strided_shape(input_shape, 2)

    def get_config(self) -> dict:
        return {**super().get_config()}  # Keras expects this method of a layer in a functional model


@keras.saving.register_keras_serializable(package="axialzoo")
class GlobalAverage(keras.layers.Layer):
    """Global average pooling: (N, H, W, C) to (N, C)."""

    def call(self, x):
        return mean(x)

    def compute_output_shape(self, input_shape):
        return input_shape[0], input_shape[-1]

    def get_config(self) -> dict:
        return {**super().get_config()}  # Keras expects this method of a layer in a functional model


def strided_shape(shape, stride: int) -> tuple:
    """Return the shape (N, H, W, C) after a stride, rounded up; None stays None."""
    n, h, w, c = shape
    return n, *(None if side is None else -(-side // stride) for side in (h, w)), c
