"""Models in this process, built from the tensors of a checkpoint and called with arrays. Functions import the frameworks."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from axialzoo.checkpoint import Checkpoint, Tensors
from axialzoo.ops.kernels import Status, binding_status, kernel_status
from axialzoo.ops.kernels.library import cores
from axialzoo.runtime.device import AUTO, DeviceError, find_device, is_cpu, keras_device, without_tf32
from axialzoo.runtime.frameworks import NATIVE, TITLES, available, has_accelerator, prepare_keras
from axialzoo.spec import Model, SpecError

Outputs = dict[str, np.ndarray | list[np.ndarray]]
PRECISIONS = ("float32", "float64")


def build_model(
    framework: str,
    checkpoint: Checkpoint,
    precision: str = "float32",
    *,
    compiled: bool = False,
    optimize: bool = False,
    device: str = AUTO,
    allow_tf32: bool = True,
) -> InProcessModel | NativeModel:
    """Build the model of a checkpoint in this process; arguments as of :class:`axialzoo.runtime.Runner`."""
    if framework == NATIVE:
        return NativeModel(checkpoint.config.spec, checkpoint.tensors, precision, device)
    make = {"torch": torch_model, "keras": keras_model}[framework]
    backend = prepare_keras() if framework == "keras" else None
    place = find_device(device, backend, precision)
    optimized = optimize and optimizable(backend, precision, place)
    if backend is not None and place == find_device(AUTO, backend):
        place = None  # Keras takes it by default
    model = make(checkpoint.config.spec, checkpoint.tensors, precision, optimized, place)
    return InProcessModel(model, precision, compiled, place, optimized=optimized, allow_tf32=allow_tf32)


def default_framework(spec: Model, device: str, optimize: bool, log: Callable[[str], None]) -> str:
    """Return the framework that predicts unless the user names one: the native runtime on a CPU, where it can run the network.

    Args:
        spec: The network.
        device: Device that the user named, or ``"auto"``, which is a GPU where this machine has one.
        optimize: Whether faster forms for inference may run.
        log: Gets a line where another framework has to run it.

    Raises:
        NoPlan: where the native runtime cannot run it and no framework is installed.
    """
    from axialzoo.native import NoPlan, check_plan

    frameworks = available()
    if frameworks and (not optimize or device not in (AUTO, "cpu", "cpu:0") or (device == AUTO and has_accelerator())):
        return frameworks[0]
    try:
        check_plan(spec)
    except NoPlan as error:
        if not frameworks:
            raise
        log(f"{str(error).partition(';')[0]}: {TITLES[frameworks[0]]} runs it")
        return frameworks[0]
    return NATIVE


def torch_model(spec: Model, tensors: Tensors, precision: str = "float32", optimize: bool = False, device: str | None = None):
    """Build a PyTorch model of `spec` with `tensors`, in evaluation; with `optimize` its inference form, where that is faster."""
    from axialzoo.torch.factory import build
    from axialzoo.torch.weights import load_tensors

    model = build(spec)
    model = model.double() if precision == "float64" else model
    load_tensors(model, _as(tensors, precision), verified=True)
    if optimize and optimizable(None, precision, device or "cpu"):
        from axialzoo.torch.inference import optimize_for_inference

        return optimize_for_inference(model)
    return model.eval().to(device or "cpu")


def optimizable(backend: str | None, precision: str, device: str = "cpu") -> bool:
    """Return whether models have a faster inference form: in float32 on a CPU that the fused kernel supports."""
    return precision == "float32" and is_cpu(device) and kernel_status_for(backend).path != "plain"


def kernel_status_for(backend: str | None = None) -> Status:
    """Return the path of the kernel that inference takes in PyTorch, or on a back end of Keras, and the reason."""
    return kernel_status() if backend is None else binding_status(backend)


def keras_model(spec: Model, tensors: Tensors, precision: str = "float32", optimize: bool = False, device: str | None = None):
    """Build a Keras model of `spec` with `tensors`, on the back end of this process; with `optimize` its inference form, where that is
    faster."""
    backend = prepare_keras()
    from axialzoo.keras.factory import build
    from axialzoo.keras.weights import load_tensors

    with keras_device(device, backend):
        model = build(spec, dtype=precision)
        load_tensors(model, _as(tensors, precision), verified=True)
        if optimize and optimizable(backend, precision, device or "cpu"):
            from axialzoo.keras.inference import fold

            fold(model)
    return model


def is_keras(model: Any) -> bool:
    """Return whether `model` is a Keras model; on the torch back end a Keras model is a PyTorch module too."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Model)


class NativeModel:
    """A network on the native runtime as a function of arrays.

    Args:
        spec, tensors: The network and its canonical tensors.
        precision, device: ``"float32"``, and ``"auto"`` or ``"cpu"``.

    Raises:
        NoPlan: naming a part of the network that the native runtime cannot run.
        SpecError: for another precision or device.
    """

    device, optimized = "cpu", True

    def __init__(self, spec: Model, tensors: Tensors, precision: str = "float32", device: str = AUTO):
        if precision != "float32":
            raise SpecError(f"precision: the native runtime expected float32, found {precision!r}; use framework='torch'")
        if device not in (AUTO, "cpu", "cpu:0"):
            raise DeviceError(f"device: the native runtime expected auto or cpu, found {device!r}; use framework='torch'")
        from axialzoo.native import Engine

        self.model = Engine(spec, tensors, native_threads())

    def outputs(self, x: np.ndarray) -> Outputs:
        """Return the outputs by name of inputs (N, H, W, C), maps as (N, H, W, C)."""
        return self.model.outputs(np.asarray(x, np.float32))


def native_threads() -> int:
    """Return the threads of the native runtime: as many as cores, or as OMP_NUM_THREADS allows, which worker processes set."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores(), int(limit)) if limit.isdigit() and int(limit) > 0 else cores()


class InProcessModel:
    """A live model as a function of arrays.

    Args:
        model: A model of PyTorch or Keras. A PyTorch model runs in evaluation mode and then returns to its former mode.
        precision: Data type of its inputs.
        compiled: Run Keras on TensorFlow as one graph: twice as fast from the second batch of a size on, and equal within
            rounding. Keras on JAX always compiles.
        device: Device on which a Keras model was built; default the back end's own. A PyTorch model runs where its tensors are.
        optimized: Whether the model is an inference form.
        allow_tf32: Whether a GPU may multiply float32 in TF32, as the framework is set.
    """

    def __init__(
        self,
        model: Any,
        precision: str = "float32",
        compiled: bool = False,
        device: str | None = None,
        *,
        optimized: bool = False,
        allow_tf32: bool = True,
    ):
        self.model, self.precision, self.compiled, self.single_name = model, np.dtype(precision), compiled, _single_output_name(model.spec)
        self.optimized, self.allow_tf32, self._place = optimized, allow_tf32, device
        self.backend = prepare_keras() if is_keras(model) else None
        self.run, self._process = self._torch if self.backend is None else self._keras, os.getpid()

    @property
    def device(self) -> str:
        """Name of the device that computes."""
        if self._place is not None:
            return self._place
        return find_device(backend=self.backend) if self.backend is not None else str(self._torch_device)

    def outputs(self, x: np.ndarray) -> Outputs:
        """Return the outputs by name of inputs (N, H, W, C), maps as (N, H, W, C)."""
        x = np.asarray(x, self.precision)
        if self.allow_tf32:
            return self.run(x)
        with without_tf32(self.backend):
            return self.run(x)

    @property
    def _torch_device(self) -> Any:
        return next(itertools.chain(self.model.parameters(), self.model.buffers())).device

    def _torch(self, x: np.ndarray) -> Outputs:
        import torch

        if os.getpid() != self._process:  # a fork has none of its parent's threads, for which OpenMP would wait for ever
            torch.set_num_threads(1)
            self._process = os.getpid()
        training = self.model.training
        images = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).to(self._torch_device)  # (N, C, H, W)
        self.model.eval()
        try:
            with torch.inference_mode():
                outputs = self.model(images)
        finally:
            self.model.train(training)
        return _name_outputs(outputs, torch_array, True, self.single_name)

    @cached_property
    def _program(self) -> Callable[..., Any]:
        """Compiled call of a Keras model on JAX. `predict_on_batch` has an overhead of a fifth of the time of a small model."""
        import jax

        variables = self.model.trainable_variables, self.model.non_trainable_variables  # collecting them takes long too
        program = jax.jit(lambda *values: self.model.stateless_call(*values, training=False)[0])
        return lambda images: program(*([variable.value for variable in several] for several in variables), images)

    def _keras(self, x: np.ndarray) -> Outputs:
        import keras

        assert self.backend is not None
        first = keras.config.image_data_format() == "channels_first"
        images = np.ascontiguousarray(x.transpose(0, 3, 1, 2) if first else x)
        with keras_device(self._place, self.backend):
            return _name_outputs(self._call(images), keras_array, first, self.single_name)

    def _call(self, images: np.ndarray) -> Any:
        """Call a Keras model in the fastest way of its back end."""
        if self.backend == "torch":
            import torch

            with torch.no_grad():
                return self.model(images, training=False)
        if self.backend == "jax":  # slow without compilation
            return self._program(images)
        if self.compiled:
            return self.model.predict_on_batch(images)
        return self.model(images, training=False)


def torch_array(tensor: Any) -> np.ndarray:
    """Return a PyTorch tensor as an array, halves as float32."""
    import torch

    tensor = tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
    return tensor.detach().cpu().numpy()


def keras_array(tensor: Any) -> np.ndarray:
    """Return a Keras tensor, or the array that `predict_on_batch` gives, as an array."""
    import keras

    return tensor if isinstance(tensor, np.ndarray) else np.asarray(keras.ops.convert_to_numpy(tensor))


def _single_output_name(spec: Model) -> str:
    """Return the name of a single output of a model, from its head."""
    return "features" if spec.head is None else next(iter(spec.head.outputs(spec.backbone)))


def _name_outputs(outputs: Any, array: Any, channels_first: bool, single_name: str = "features") -> Outputs:
    """Return the outputs of a forward pass by name, maps with channels last; a single array or list gets the name `single_name`."""

    def to_channels_last(tensor: Any) -> np.ndarray:
        values = array(tensor)
        return np.ascontiguousarray(values.transpose(0, 2, 3, 1)) if channels_first and values.ndim == 4 else values

    if isinstance(outputs, Mapping):
        return {
            name: [to_channels_last(tensor) for tensor in value] if isinstance(value, (list, tuple)) else to_channels_last(value)
            for name, value in outputs.items()
        }
    if isinstance(outputs, (list, tuple)):
        return {single_name: [to_channels_last(tensor) for tensor in outputs]}
    return {single_name: to_channels_last(outputs)}


def _as(tensors: Tensors, precision: str) -> Tensors:
    return {name: np.asarray(tensor).astype(precision, copy=False) for name, tensor in tensors.items()}
