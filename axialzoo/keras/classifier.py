"""Image classification: a backbone, global average pooling and a linear classifier."""

from __future__ import annotations

import keras

from axialzoo.keras.backbone import AxialBackbone
from axialzoo.keras.blocks import mean
from axialzoo.keras.linear import Linear
from axialzoo.spec import Model


@keras.saving.register_keras_serializable(package="axialzoo")
class AxialClassifier(AxialBackbone):
    """Images to logits; a functional model.

    Args:
        spec: What it computes; ``num_classes=0`` gives the pooled features.
        input_size, data_format, dtype: As for :class:`AxialBackbone`.

    Shapes:
        ``(N, H, W, 3)`` of any height and width, or channels second, to ``(N, num_classes)``.
    """

    def __init__(self, spec: Model, *, input_size=None, data_format=None, dtype=None, **kwargs):
        super().__init__(spec, input_size=input_size, data_format=data_format, dtype=dtype, **kwargs)
        self.num_classes = spec.num_classes

    def _head(self, endpoints: list, spec: Model, indices: list[int], data_format: str, dtype) -> object:
        """(N, H', W', C) to logits (N, num_classes), or to the pooled features (N, C)."""
        x = GlobalAverage(name="pool", dtype=dtype)(endpoints[-1])  # (N, C)
        return Linear(spec.num_classes, name="classifier", dtype=dtype)(x) if spec.num_classes else x

    def get_config(self) -> dict:
        config = super().get_config()
        del config["out_indices"]
        return config


@keras.saving.register_keras_serializable(package="axialzoo")
class GlobalAverage(keras.layers.Layer):
    """(N, H, W, C) to (N, C)."""

    def call(self, x):
        return mean(x)

    def compute_output_shape(self, input_shape):
        return input_shape[0], input_shape[-1]
