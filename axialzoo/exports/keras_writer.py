"""Exports of Keras: SavedModel and LiteRT on TensorFlow, SavedModel on JAX; on PyTorch the formats of PyTorch.

Keras on PyTorch computes padding from concrete sizes, so tracing fixes them. For dynamic sizes the exporter therefore writes PyTorch's own
model of the same weights, in the layout of Keras, and compares it with the Keras model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.checkpoint import Checkpoint
from axialzoo.exports import torch_writer
from axialzoo.exports.run import Original, flatten_outputs
from axialzoo.runtime.local import torch_model


def original_and_writer(model: Any, suffix: str, checkpoint: Checkpoint, size: tuple[int, int] | None) -> tuple[Original, Callable]:
    """Return the model as a function of arrays, and the function that writes it to a path.

    The arguments are those of :func:`axialzoo.exports.torch_writer.original_and_writer`.
    """
    import keras

    config, channels_last = checkpoint.config, model.data_format == "channels_last"
    if keras.backend.backend() == "torch":
        original, write = torch_writer.original_and_writer(model.eval(), suffix, config, size, channels_last=channels_last)
        if size is None:
            twin = torch_model(config.spec, checkpoint.tensors)
            _, write = torch_writer.original_and_writer(
                as_channels_last(twin) if channels_last else twin, suffix, config, size, channels_last=channels_last
            )
        return original, write
    channels = config.spec.backbone.in_channels

    def run(x: np.ndarray) -> list[np.ndarray]:
        return flatten_outputs(model(torch_writer.to_layout(x, channels_last), training=False), np.asarray)

    def write(path: Path) -> None:
        height, width = size or (None, None)
        shape = (None, height, width, channels) if channels_last else (None, channels, height, width)
        signature = [keras.InputSpec(dtype="float32", shape=shape, name="images")]
        exported = keras.Model(model.input, flatten_levels(model.output)) if isinstance(model.output, dict) else model
        kind = "litert" if suffix == ".tflite" else "tf_saved_model"
        exported.export(str(path), format=kind, input_signature=signature, verbose=False)

    return Original(run, channels), write


def flatten_levels(outputs: dict[str, Any]) -> dict[str, Any]:
    """Flatten lists among named outputs to ``"boxes.0"`` and so on, because signatures hold no lists."""
    flat = {}
    for name, value in outputs.items():
        is_list = isinstance(value, (list, tuple))
        flat |= {f"{name}.{index}": tensor for index, tensor in enumerate(value)} if is_list else {name: value}
    return flat


def as_channels_last(model: Any) -> Any:
    """Wrap a PyTorch model so that images and maps have channels last, (N, H, W, C)."""
    import torch

    def to_channels_last(x: Any) -> Any:
        if isinstance(x, dict):
            return {name: to_channels_last(value) for name, value in x.items()}
        if isinstance(x, (list, tuple)):
            return [to_channels_last(value) for value in x]
        return x.permute(0, 2, 3, 1) if x.dim() == 4 else x

    class ChannelsLast(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Any) -> Any:
            return to_channels_last(self.model(x.permute(0, 3, 1, 2)))

    return ChannelsLast().eval()
