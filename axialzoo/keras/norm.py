"""Batch normalisation with the names and statistics of the canonical checkpoint.

Here and in all of this package float64 stays float64 on every back end: `keras.ops` that promote dtypes (``mean``, ``matmul``,
``einsum``, ``where``, ``maximum``, and operators on variables) make float32 of it on JAX and PyTorch, so operators on
tensors stand in their place.
"""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import ops

from axialzoo.keras.layer import Layer
from axialzoo.keras.sublayers import kernel_computes
from axialzoo.ops.keras.dispatch import can_train_rows, kernel_ops
from axialzoo.ops.keras.order import Order
from axialzoo.ops.keras.tables import Activation, statistics_dtype
from axialzoo.spec import Norm, from_dict, to_dict


@kernel_computes
@keras.saving.register_keras_serializable(package="axialzoo")
class BatchNorm(Layer):
    """Batch norm over the last dimension, computed in float32 or better.

    The moving variance is unbiased, epsilon and momentum come from the spec (momentum in PyTorch's sense: the weight of
    the new batch). As in every Keras model, a norm that is not `trainable` uses its moving statistics in training too.

    Shapes:
        ``(N, ..., C)`` to the same.
    """

    folded = False  # whether it only adds `beta`: see `folded_factor`

    def __init__(self, channels: int, norm: Norm, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.norm = channels, norm

    def build(self, input_shape=None):
        weights = {"shape": (self.channels,), "autocast": False}
        self.gamma = self.add_weight(name="gamma", initializer="ones", **weights)
        self.beta = self.add_weight(name="beta", initializer="zeros", **weights)
        self.moving_mean = self.add_weight(name="moving_mean", initializer="zeros", trainable=False, **weights)
        self.moving_variance = self.add_weight(name="moving_variance", initializer="ones", trainable=False, **weights)

    def call(self, x, residual=None, activation: Activation | None = None, training=None):
        """Return ``activation(residual + norm(x))``, in training on a CPU by one kernel."""
        if self._can_fuse(x, training):
            relu = activation is ops.relu
            x = self.forward_channels_last(x, residual=residual, relu=relu)
            return x if relu or activation is None else activation(x)
        x = self._reference(x, training)
        x = x if residual is None else residual + x
        return x if activation is None else activation(x)

    def _can_fuse(self, x, training) -> bool:
        """Return True if the kernel can normalise `x`: see :func:`axialzoo.ops.keras.dispatch.can_train_rows`."""
        return bool(training) and self.trainable and not self.folded and can_train_rows(x, self.gamma)

    def _reference(self, x, training):
        dtype = x.dtype
        if self.folded:
            return x + ops.cast(self.beta, dtype)
        x = ops.cast(x, statistics_dtype(dtype))  # (N, ..., C)
        if training and self.trainable:
            axes = tuple(range(len(x.shape) - 1))
            n = math.prod(ops.cast(side, x.dtype) for side in ops.shape(x)[:-1])
            mean = ops.sum(x, axes) / n  # (C,)
            variance = ops.sum(ops.square(x - mean), axes) / n  # (C,), biased; centred first, which loses no digits
            scale = scale_from_batch_stats(self, mean, variance, n)
        else:
            mean = ops.cast(self.moving_mean, x.dtype)
            scale = self.scale()
        scale = ops.cast(scale, x.dtype)
        return ops.cast((x - mean) * scale + ops.cast(self.beta, x.dtype), dtype)

    def forward_channels_last(self, x, order: Order | None = None, residual=None, relu: bool = False, terms: int = 1, heads: int = 0):
        """Normalise rows in training, on the kernel: see ``normalised`` of each back end's module.

        Args:
            x: (N, H, W, terms C), its channels as this norm has them, or as `order` puts them.
            residual: (N, H, W, C), added to the result.
            relu: Whether the result is activated.
            terms: Number of norms that are summed.
            heads: Where not 0, channels of x lie with the head index fastest, and the result's head by head.
        """
        gamma, beta = (ops.convert_to_tensor(variable) for variable in (self.gamma, self.beta))
        if order is not None:
            gamma, beta = order.there(gamma), order.there(beta)
        y, mean, variance = kernel_ops().normalised(x, gamma, beta, self.norm.epsilon, residual, relu, terms, heads)
        mean, variance = (mean, variance) if order is None else (order.back(mean), order.back(variance))
        self.update_running_stats(mean, variance, math.prod(ops.cast(side, x.dtype) for side in ops.shape(x)[:-1]))
        return y

    def update_running_stats(self, mean, variance, n) -> None:
        """Update the moving statistics by moments of `n` values each, the variance biased."""
        dtype, momentum = self.moving_mean.dtype, self.norm.momentum
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, _unbiased(variance, n))):
            before = ops.convert_to_tensor(moving)
            moving.assign(before + (ops.stop_gradient(ops.cast(batch, dtype)) - before) * momentum)

    def scale(self):
        """Return the scale from the moving statistics, (C,)."""
        return ops.convert_to_tensor(self.gamma) * ops.rsqrt(ops.convert_to_tensor(self.moving_variance) + self.norm.epsilon)

    def folded_factor(self) -> np.ndarray:
        """Make the norm only add `beta`, its shift in evaluation; return the factor for the layer before it, (C,) float64."""
        variables = (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        gamma, beta, mean, variance = (ops.convert_to_numpy(variable).astype(np.float64) for variable in variables)
        factor = gamma / np.sqrt(variance + self.norm.epsilon)
        self.beta.assign(beta - mean * factor)
        self.folded = True
        return factor

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "channels": self.channels, "norm": to_dict(self.norm)}

    @classmethod
    def from_config(cls, config: dict):
        return super().from_config({**config, "norm": from_dict(Norm, config["norm"])})


def fold_conv(conv: keras.layers.Layer, norm: BatchNorm) -> None:
    """Fold `norm`, which follows the convolution, into its kernel; the convolution may be depthwise."""
    kernel = ops.convert_to_numpy(conv.kernel).astype(np.float64)  # (h, w, I, O), or (h, w, C, 1)
    factor = norm.folded_factor()
    conv.kernel.assign(kernel * (factor if kernel.shape[3] == len(factor) else factor[:, None]))


def apply_norm(norm: keras.layers.Layer, x, residual=None, activation: Activation | None = None, training=None):
    """Return ``activation(residual + norm(x))`` for any norm: only :class:`BatchNorm` itself takes the residual and the activation."""
    x = norm(x, training=training)
    x = x if residual is None else residual + x
    return x if activation is None else activation(x)


def scale_from_batch_stats(norm: BatchNorm, mean, variance, n):
    """Return the scale of a batch norm for a batch with these moments; update the moving statistics.

    Args:
        norm: Holds the scale, the shift and the moving statistics, all (C,).
        mean, variance: (C,), biased, of `n` values each.

    Returns:
        (C,). The shift has no effect on a softmax; it keeps a gradient, of zero, so that every parameter has one.
    """
    norm.update_running_stats(mean, variance, n)
    variance = ops.cast(variance, norm.moving_mean.dtype)
    return ops.convert_to_tensor(norm.gamma) * ops.rsqrt(variance + norm.norm.epsilon) + 0.0 * ops.convert_to_tensor(norm.beta)


def _unbiased(variance, n):
    """Return the unbiased variance from that of `n` values; a single value keeps its variance."""
    return variance * (n / (n - 1 + ops.cast(n <= 1, variance.dtype)))
