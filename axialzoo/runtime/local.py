"""Models of this process: built from a checkpoint's tensors, called with arrays. Frameworks are imported where they are needed."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from axialzoo.checkpoint import Tensors
from axialzoo.ops.kernels import Status, binding_status, kernel_status
from axialzoo.runtime.frameworks import prepare_keras
from axialzoo.spec import Model

Outputs = dict[str, np.ndarray | list[np.ndarray]]
PRECISIONS = ("float32", "float64")


def torch_model(spec: Model, tensors: Tensors, precision: str = "float32", optimize: bool = False):
    """A PyTorch model of `spec` with `tensors`, in evaluation; with `optimize` its inference form, where that is faster."""
    from axialzoo.torch.models import build
    from axialzoo.torch.weights import load_tensors

    model = build(spec)
    model = model.double() if precision == "float64" else model
    load_tensors(model, _as(tensors, precision), verified=True)
    if optimize and optimizable(None, precision):
        from axialzoo.torch.inference import optimize_for_inference

        return optimize_for_inference(model)
    return model.eval()


def optimizable(backend: str | None, precision: str) -> bool:
    """Whether models have an inference form that is faster here: in float32, where the fused kernel serves."""
    return precision == "float32" and serving(backend).path != "plain"


def serving(backend: str | None = None) -> Status:
    """Which path of the kernel serves in inference in PyTorch, or on a back end of Keras, and why."""
    return kernel_status() if backend is None else binding_status(backend)


def keras_model(spec: Model, tensors: Tensors, precision: str = "float32", optimize: bool = False):
    """A Keras model of `spec` with `tensors`, on the back end of this process; with `optimize` its inference form, where that is faster."""
    backend = prepare_keras()
    from axialzoo.keras.models import build
    from axialzoo.keras.weights import load_tensors

    model = build(spec, dtype=precision)
    load_tensors(model, _as(tensors, precision), verified=True)
    if optimize and optimizable(backend, precision):
        from axialzoo.keras.inference import fold

        fold(model)
    return model


def is_keras(model: Any) -> bool:
    """Whether `model` is Keras's; on its torch back end, such a model is PyTorch's too."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Model)


class Network:
    """A live model as a function of arrays.

    Args:
        model: Of PyTorch or Keras. One of PyTorch is run in evaluation, and left in the mode that it was in.
        precision: Of its inputs.
        compiled: Run Keras on TensorFlow as one graph: twice as fast from the second batch of a size on, and the same within
            rounding. On JAX it always is.
    """

    def __init__(self, model: Any, precision: str = "float32", compiled: bool = False):
        self.model, self.precision, self.compiled, self.lone = model, np.dtype(precision), compiled, _lone(model.spec)
        self.run = self._keras if is_keras(model) else self._torch

    def outputs(self, x: np.ndarray) -> Outputs:
        """Inputs (N, H, W, C) to outputs by name, maps as (N, H, W, C)."""
        return self.run(np.asarray(x, self.precision))

    def _torch(self, x: np.ndarray) -> Outputs:
        import torch

        training, device = self.model.training, next(itertools.chain(self.model.parameters(), self.model.buffers())).device
        images = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).to(device)  # (N, C, H, W)
        self.model.eval()
        try:
            with torch.inference_mode():
                found = self.model(images)
        finally:
            self.model.train(training)

        def array(tensor: torch.Tensor) -> np.ndarray:
            tensor = tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
            return tensor.detach().cpu().numpy()

        return _named(found, array, True, self.lone)

    @cached_property
    def _program(self) -> Callable[..., Any]:
        """A call of a Keras model on JAX, compiled; `predict_on_batch` would do more besides, a fifth of a small model's time."""
        import jax

        variables = self.model.trainable_variables, self.model.non_trainable_variables  # finding them takes long too
        program = jax.jit(lambda *given: self.model.stateless_call(*given, training=False)[0])
        return lambda images: program(*([one.value for one in several] for several in variables), images)

    def _keras(self, x: np.ndarray) -> Outputs:
        import keras

        first = keras.config.image_data_format() == "channels_first"
        images = np.ascontiguousarray(x.transpose(0, 3, 1, 2) if first else x)

        def array(tensor: Any) -> np.ndarray:
            return np.asarray(keras.ops.convert_to_numpy(tensor))

        if keras.backend.backend() == "torch":
            import torch

            with torch.no_grad():
                return _named(self.model(images, training=False), array, first, self.lone)
        if keras.backend.backend() == "jax":  # which is slow operation by operation
            return _named(self._program(images), array, first, self.lone)
        if self.compiled:
            return _named(self.model.predict_on_batch(images), np.asarray, first, self.lone)
        return _named(self.model(images, training=False), array, first, self.lone)


def _lone(spec: Model) -> str:
    """What the only output of a model is called: as its head says."""
    return "features" if spec.head is None else next(iter(spec.head.outputs(spec.backbone)))


def _named(found: Any, array: Any, channels_first: bool, lone: str = "features") -> Outputs:
    """What a forward pass gave, by name; an array or a list alone is called `lone`."""

    def turned(tensor: Any) -> np.ndarray:
        made = array(tensor)
        return np.ascontiguousarray(made.transpose(0, 2, 3, 1)) if channels_first and made.ndim == 4 else made

    if isinstance(found, Mapping):
        return {
            name: [turned(one) for one in value] if isinstance(value, (list, tuple)) else turned(value) for name, value in found.items()
        }
    if isinstance(found, (list, tuple)):
        return {lone: [turned(one) for one in found]}
    return {lone: turned(found)}


def _as(tensors: Tensors, precision: str) -> Tensors:
    return {name: np.asarray(tensor).astype(precision, copy=False) for name, tensor in tensors.items()}
