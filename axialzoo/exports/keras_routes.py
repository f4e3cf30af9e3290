"""What Keras writes: SavedModel and LiteRT on TensorFlow, SavedModel on JAX; on PyTorch what PyTorch writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.checkpoint import Config
from axialzoo.exports import torch_routes
from axialzoo.exports.run import Original, flat


def prepared(model: Any, suffix: str, config: Config, size: tuple[int, int] | None) -> tuple[Original, Callable]:
    """The model as a function of arrays, and what writes it to a path: see :func:`axialzoo.exports.torch_routes.prepared`."""
    import keras

    if keras.backend.backend() == "torch":
        model.eval()
        return torch_routes.prepared(model, suffix, config, size, last=model.data_format == "channels_last")
    channels = config.spec.backbone.in_channels
    last = model.data_format == "channels_last"

    def run(x: np.ndarray) -> list[np.ndarray]:
        return flat(model(torch_routes.laid_out(x, last), training=False), np.asarray)

    def write(path: Path) -> None:
        height, width = size or (None, None)
        shape = (None, height, width, channels) if last else (None, channels, height, width)
        signature = [keras.InputSpec(dtype="float32", shape=shape, name="images")]
        exported = keras.Model(model.input, unnested(model.output)) if isinstance(model.output, dict) else model
        kind = "litert" if suffix == ".tflite" else "tf_saved_model"
        exported.export(str(path), format=kind, input_signature=signature, verbose=False)

    return Original(run, channels), write


def unnested(outputs: dict[str, Any]) -> dict[str, Any]:
    """Outputs by name, those of several levels as ``"boxes.0"`` and so on: signatures hold no lists."""
    found = {}
    for name, value in outputs.items():
        several = isinstance(value, (list, tuple))
        found |= {f"{name}.{index}": one for index, one in enumerate(value)} if several else {name: value}
    return found
