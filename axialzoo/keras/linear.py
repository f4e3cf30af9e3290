"""The linear projection of the attention layers and of the classifier."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="axialzoo")
class Linear(keras.layers.Dense):
    """Keras's own, which on JAX and PyTorch would make float32 of float64: (..., C) to (..., units)."""

    def call(self, inputs, training=None):
        x = ops.reshape(inputs, (-1, inputs.shape[-1])) @ ops.convert_to_tensor(self.kernel)
        if self.bias is not None:
            x = x + ops.convert_to_tensor(self.bias)
        return ops.reshape(x, (-1, *ops.shape(inputs)[1:-1], self.units))
