"""Linear layers and convolutions that keep float64, and the initializer of weights."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from axialzoo.keras.sublayers import kernel_computes


@kernel_computes
@keras.saving.register_keras_serializable(package="axialzoo")
class Linear(keras.layers.Dense):
    """Linear layer that keeps float64 on every back end, unlike Keras's on JAX and PyTorch: (..., C) to (..., units)."""

    def call(self, inputs, training=None):
        x = ops.reshape(inputs, (-1, inputs.shape[-1])) @ ops.convert_to_tensor(self.kernel)
        if self.bias is not None:
            x = x + ops.convert_to_tensor(self.bias)
        return ops.reshape(x, (-1, *ops.shape(inputs)[1:-1], self.units))

    def quantize(self, mode=None, type_check=True, config=None):
        """Quantize the weights. Keras refuses subclasses of its layer, but this one computes the same."""
        super().quantize(mode, type_check=False, config=config)


@keras.saving.register_keras_serializable(package="axialzoo")
class NumpyNormal(keras.initializers.Initializer):
    """Normally distributed weights, drawn by numpy: JAX would compile a draw for each shape, which takes seconds for a model.

    Args:
        stddev: Standard deviation of the weights.
        seed: Seed of the draw; None follows :func:`keras.utils.set_random_seed`.
    """

    def __init__(self, stddev: float, seed: int | None = None):
        self.stddev, self.seed = stddev, seed

    def __call__(self, shape, dtype=None):
        seed = np.random.randint(2**31) if self.seed is None else self.seed
        values = np.random.default_rng(seed).standard_normal(shape, "float32") * np.float32(self.stddev)
        return ops.cast(ops.convert_to_tensor(values), keras.backend.standardize_dtype(dtype))

    def get_config(self) -> dict:
        return {"stddev": self.stddev, "seed": self.seed}


class SingleLevelConv(keras.layers.Conv2D):
    """A convolution to one channel whose float64 kernel has a gradient on PyTorch's CPU too.

    There, Keras's kernel (3, 3, C, 1) transposed to (1, C, 3, 3) keeps a stride of 1 along its only output channel, and
    PyTorch's ``slow_conv2d`` refuses to differentiate by it ("grad_weight must be contiguous").
    Reshaped to (1, 3, 3, C), the same numbers have the size of the whole kernel as that stride. No back end copies them.
    """

    def convolution_op(self, inputs, kernel):
        kernel = ops.convert_to_tensor(kernel)  # (3, 3, C, 1)
        kernel = ops.transpose(ops.reshape(kernel, (1, *kernel.shape[:3])), (1, 2, 3, 0))
        return super().convolution_op(inputs, kernel)
