"""What Keras writes: SavedModel and LiteRT on TensorFlow, SavedModel on JAX; on PyTorch what PyTorch writes.

Of any height and width, Keras on PyTorch asks of each size how it is to be padded, which no recording leaves open: what is written is
PyTorch's own model of the same weights, laid out as Keras lays it out and compared with Keras's model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.checkpoint import Checkpoint
from axialzoo.exports import torch_routes
from axialzoo.exports.run import Original, flatten_outputs
from axialzoo.runtime.local import torch_model


def original_and_writer(model: Any, suffix: str, checkpoint: Checkpoint, size: tuple[int, int] | None) -> tuple[Original, Callable]:
    """The model as a function of arrays, and what writes it to a path: see :func:`axialzoo.exports.torch_routes.original_and_writer`."""
    import keras

    config, channels_last = checkpoint.config, model.data_format == "channels_last"
    if keras.backend.backend() == "torch":
        original, write = torch_routes.original_and_writer(model.eval(), suffix, config, size, channels_last=channels_last)
        if size is None:
            twin = torch_model(config.spec, checkpoint.tensors)
            _, write = torch_routes.original_and_writer(as_channels_last(twin) if channels_last else twin, suffix, config, size, channels_last=channels_last)
        return original, write
    channels = config.spec.backbone.in_channels

    def run(x: np.ndarray) -> list[np.ndarray]:
        return flatten_outputs(model(torch_routes.to_layout(x, channels_last), training=False), np.asarray)

    def write(path: Path) -> None:
        height, width = size or (None, None)
        shape = (None, height, width, channels) if channels_last else (None, channels, height, width)
        signature = [keras.InputSpec(dtype="float32", shape=shape, name="images")]
        exported = keras.Model(model.input, flatten_levels(model.output)) if isinstance(model.output, dict) else model
        kind = "litert" if suffix == ".tflite" else "tf_saved_model"
        exported.export(str(path), format=kind, input_signature=signature, verbose=False)

    return Original(run, channels), write


def flatten_levels(outputs: dict[str, Any]) -> dict[str, Any]:
    """Outputs by name, those of several levels as ``"boxes.0"`` and so on: signatures hold no lists."""
    flat = {}
    for name, value in outputs.items():
        is_list = isinstance(value, (list, tuple))
        flat |= {f"{name}.{index}": tensor for index, tensor in enumerate(value)} if is_list else {name: value}
    return flat


def as_channels_last(model: Any) -> Any:
    """A PyTorch model whose images and maps have channels last, (N, H, W, C)."""
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
