"""Which frameworks and back ends are installed, and the logits of a checkpoint in one of them."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from axialzoo.spec import SpecError, did_you_mean

FRAMEWORKS = ("torch", "keras")
BACKENDS = ("tensorflow", "jax", "torch")
TITLES = {"torch": "PyTorch", "keras": "Keras"}


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def available() -> list[str]:
    """The frameworks that can compute something here, in order of preference."""
    keras = installed("keras") and any(installed(backend) for backend in BACKENDS)
    return [name for name, there in (("torch", installed("torch")), ("keras", keras)) if there]


def choose(wanted: str | None) -> list[str]:
    """The frameworks that ``--framework`` names (separated by commas), by default the first installed.

    Raises:
        SpecError: for an unknown one.
        ModuleNotFoundError: for one that is not installed, saying how to install it.
    """
    there = available()
    if wanted is None:
        if not there:
            raise ModuleNotFoundError(
                "neither PyTorch nor Keras is installed; pip install 'axialzoo[torch]' or 'axialzoo[keras-tensorflow]'"
            )
        return there[:1]
    names = list(dict.fromkeys(name.strip() for name in wanted.split(",")))
    for name in names:
        if name not in FRAMEWORKS:
            raise SpecError(f"--framework: expected torch, keras or torch,keras, found {name!r}{did_you_mean(name, FRAMEWORKS)}")
        if name not in there:
            extra = "torch" if name == "torch" else "keras-tensorflow"
            raise ModuleNotFoundError(f"{TITLES[name]} is not installed; pip install 'axialzoo[{extra}]'")
    return names


def prepare_keras() -> str:
    """Import Keras on the back end its user chose, else on the first installed, and say which."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    settings = os.path.join(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras"), "keras.json")
    if "KERAS_BACKEND" not in os.environ and not os.path.exists(settings):
        os.environ["KERAS_BACKEND"] = next(backend for backend in BACKENDS if installed(backend))
    with _native_messages_hidden():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow  # noqa: F401
    return keras.backend.backend()


@contextlib.contextmanager
def _native_messages_hidden() -> Iterator[None]:
    """TensorFlow's libraries write to stderr as they load, whatever is set; errors come as exceptions all the same."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def title(framework: str) -> str:
    """``"PyTorch"``, ``"Keras (tensorflow)"``."""
    return f"Keras ({prepare_keras()})" if framework == "keras" else TITLES[framework]


class Runner:
    """A checkpoint as a model in one framework.

    Args:
        framework: ``"torch"`` or ``"keras"``.
        spec, tensors: Of the checkpoint.
        precision: ``"float32"`` or ``"float64"``.
    """

    def __init__(self, framework: str, spec, tensors, precision: str = "float32"):
        if framework not in FRAMEWORKS:
            raise SpecError(f"framework: expected one of {', '.join(FRAMEWORKS)}, found {framework!r}{did_you_mean(framework, FRAMEWORKS)}")
        self.precision = np.dtype(precision)
        self.backend = prepare_keras() if framework == "keras" else None
        tensors = {name: np.asarray(tensor).astype(self.precision) for name, tensor in tensors.items()}
        self.model: Any = (self._torch if framework == "torch" else self._keras)(spec, tensors)

    def _torch(self, spec, tensors):
        from axialzoo.torch.models import build
        from axialzoo.torch.weights import load_tensors

        model = build(spec)
        model = model.double() if self.precision == np.float64 else model
        load_tensors(model, tensors)
        return model.eval()

    def _keras(self, spec, tensors):
        import keras

        from axialzoo.keras.models import build
        from axialzoo.keras.weights import load_tensors

        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.precision.name)
        try:
            model = build(spec)
        finally:
            keras.config.set_dtype_policy(before)
        load_tensors(model, tensors)
        return model

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Model inputs (N, C, H, W) to logits (N, classes)."""
        images = np.ascontiguousarray(images, self.precision)
        return self._run_torch(images) if self.backend is None else self._run_keras(images)

    def _run_torch(self, images: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            return self.model(torch.from_numpy(images)).numpy()

    def _run_keras(self, images: np.ndarray) -> np.ndarray:
        import keras

        if keras.config.image_data_format() == "channels_last":
            images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))  # (N, H, W, C)
        if self.backend == "torch":
            import torch

            with torch.no_grad():
                return np.asarray(keras.ops.convert_to_numpy(self.model(images, training=False)))
        if self.backend == "jax":
            return np.asarray(self.model.predict_on_batch(images))  # compiled once, and not operation by operation
        return np.asarray(keras.ops.convert_to_numpy(self.model(images, training=False)))
