"""Exported files as functions of arrays, with outputs in a fixed order for the comparison."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.spec import Model

Run = Callable[[np.ndarray], list[np.ndarray]]  # (N, H, W, C) to the outputs


class Original:
    """A live model as a function from images (N, H, W, C) to its outputs in their own layout.

    Attributes:
        channels: Number of image channels.
    """

    def __init__(self, run: Run, channels: int):
        self.run, self.channels = run, channels

    def __call__(self, x: np.ndarray) -> list[np.ndarray]:
        return self.run(x)


def flatten_outputs(outputs: Any, array: Callable[[Any], Any]) -> list[np.ndarray]:
    """Flatten a tensor, dictionary or list of outputs to arrays, sorted by name, because runtimes keep no other order."""
    if isinstance(outputs, Mapping):
        return [leaf for name in sorted(outputs, key=sort_key) for leaf in flatten_outputs(outputs[name], array)]
    if isinstance(outputs, (list, tuple)):
        return [leaf for value in outputs for leaf in flatten_outputs(value, array)]
    return [np.asarray(array(outputs))]


def names_of(outputs: Any, spec: Model) -> list[str]:
    """Return the name of each tensor of `outputs`, in their order: ``"semantic"``, ``"boxes.0"``."""
    if not isinstance(outputs, Mapping):
        return [] if spec.head is None else list(spec.head.outputs(spec.backbone))
    return [
        name if not isinstance(value, (list, tuple)) else f"{name}.{index}"
        for name, value in outputs.items()
        for index in range(len(value) if isinstance(value, (list, tuple)) else 1)
    ]


def load_exported(path: Path, suffix: str, exporter: str) -> Run:
    """Load an exported file in its own runtime.

    Args:
        path: The file or folder.
        suffix: A suffix of :data:`axialzoo.exports.export_matrix.FORMATS`.
        exporter: The framework that wrote it, which decides the layout of images: PyTorch channels first, Keras by its settings.
    """
    is_channels_last = channels_last(exporter)

    def to_layout(x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x if is_channels_last else x.transpose(0, 3, 1, 2))

    run = {".pt2": _torch, ".onnx": _onnx, ".tflite": _litert, "": _saved_model}[suffix](path)
    return lambda x: run(to_layout(x))


def channels_last(exporter: str) -> bool:
    """Return whether images and maps of an exporter have channels last, (N, H, W, C), as the settings of Keras may say."""
    if exporter == "torch":
        return False
    import keras

    return keras.config.image_data_format() == "channels_last"


def _torch(path: Path) -> Run:
    import torch

    module = torch.export.load(path).module()

    def run(x: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad():
            return flatten_outputs(module(torch.from_numpy(x)), lambda tensor: tensor.numpy())

    return run


def _onnx(path: Path) -> Run:
    onnxruntime = importlib.import_module("onnxruntime")

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(x: np.ndarray) -> list[np.ndarray]:
        outputs = dict(zip(names, session.run(None, {session.get_inputs()[0].name: x})))
        return [np.asarray(outputs[name]) for name in sorted(outputs, key=sort_key)]

    return run


def sort_key(name: str) -> tuple[str, int]:
    """Return a key that sorts ``"boxes.10"`` after ``"boxes.9"``."""
    base, _, level = name.partition(".")
    return base, int(level) if level.isdigit() else 0


def _litert(path: Path) -> Run:
    import tensorflow

    interpreter = tensorflow.lite.Interpreter(str(path))
    ((name, runner),) = [(key, interpreter.get_signature_runner(key)) for key in interpreter.get_signature_list()]
    (input_name,) = interpreter.get_signature_list()[name]["inputs"]

    def run(x: np.ndarray) -> list[np.ndarray]:
        outputs = runner(**{input_name: x})
        return [outputs[key] for key in sorted(outputs, key=sort_key)]

    return run


def _saved_model(path: Path) -> Run:
    import tensorflow

    loaded = tensorflow.saved_model.load(str(path))
    return lambda x: flatten_outputs(loaded.serve(x), np.asarray)
