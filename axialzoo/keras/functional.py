"""Parts of functional models: stages as layers of the model itself, inputs, activations and layouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from axialzoo.keras.blocks import ACTIVATIONS
from axialzoo.keras.neck import FeatureFusion
from axialzoo.keras.pooling import MaxPool
from axialzoo.keras.transformer import run_blocks
from axialzoo.spec import Backbone, NeckStage, SpecError, Stage
from axialzoo.spec.neck import NeckInput


def residual_stage(x, memory, spec: Stage, inputs: int, backbone: Backbone, name: str, dtype):
    """Apply a max pool where the spec has one, then blocks, each followed by its transformer, if any.

    Pixels (N, H, W, inputs) to (N, H / stride, W / stride, outputs), rounded up, and tokens (N, T, C), or None, to the same. The layers
    belong to the model itself, so that ``model.get_layer("stages.0.blocks.1")`` finds them.
    """
    if spec.pool:
        x = MaxPool(name=f"{name}.pool", dtype=dtype)(x)
    return run_blocks(spec.blocks, x, memory, inputs, backbone, name, dtype)


def neck_stage(features: list, memory, images, inputs: Sequence[NeckInput], spec: NeckStage, backbone: Backbone, name: str, dtype):
    """Apply a stage of the neck: :class:`FeatureFusion`, then residual blocks, each followed by its transformer, if any.

    `features` are all so far, those of stem and stages, then of earlier stages of the neck. The layers belong to the model itself, like
    those of :func:`residual_stage`. Returns pixels and tokens.
    """
    x = [features[neck_input.index] for neck_input in inputs]
    x = FeatureFusion(inputs, spec, backbone, name=f"{name}.fuse", dtype=dtype)([*x, images]) if spec.fuse else x[0]
    return run_blocks(spec.blocks, x, memory, spec.channels, backbone, name, dtype)


@keras.saving.register_keras_serializable(package="axialzoo")
class Activation(keras.layers.Layer):
    """An activation by its name in the spec."""

    def __init__(self, activation: str, **kwargs):
        super().__init__(**kwargs)
        self.activation = activation

    def call(self, x):
        return ACTIVATIONS[self.activation](x)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "activation": self.activation}


@keras.saving.register_keras_serializable(package="axialzoo")
class Transpose(keras.layers.Layer):
    """Axes in another order; Keras's own `Permute` changes with the global data format."""

    def __init__(self, axes: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.axes = tuple(axes)

    def call(self, x):
        return keras.ops.transpose(x, self.axes)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[axis] for axis in self.axes)

    def get_config(self) -> dict:
        return {**super().get_config(), "axes": list(self.axes)}


def image_input(channels: int, size, data_format: str, dtype):
    """Return the model's input, and that input with channels last."""
    if data_format not in ("channels_last", "channels_first"):
        raise SpecError(f"data_format: expected 'channels_last' or 'channels_first', found {data_format!r}")
    height, width = size or (None, None)
    if data_format == "channels_last":
        images = keras.Input((height, width, channels), name="images", dtype=dtype.variable_dtype)
        return images, images
    images = keras.Input((channels, height, width), name="images", dtype=dtype.variable_dtype)
    return images, Transpose((0, 2, 3, 1), name="images.channels_last", dtype=dtype)(images)


def to_data_format(x, data_format: str, name: str, dtype):
    """Transpose features, (N, H, W, C), to `data_format`."""
    return x if data_format == "channels_last" else Transpose((0, 3, 1, 2), name=f"{name}.channels_first", dtype=dtype)(x)


def outputs_to_data_format(outputs: Any, data_format: str, name: str, dtype: Any) -> Any:
    """Transpose the maps, (N, H, W, C), among the outputs of a head to `data_format`."""
    if isinstance(outputs, dict):
        return {key: outputs_to_data_format(value, data_format, f"{name}.{key}", dtype) for key, value in outputs.items()}
    if isinstance(outputs, (list, tuple)):
        return [outputs_to_data_format(value, data_format, f"{name}.{index}", dtype) for index, value in enumerate(outputs)]
    return to_data_format(outputs, data_format, name, dtype) if len(outputs.shape) == 4 else outputs
