"""`Runner`: a checkpoint as a function of arrays and of pictures, in any framework."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, overload

import numpy as np

from axialzoo.checkpoint import Checkpoint, Config
from axialzoo.hub import fetch_checkpoint
from axialzoo.native import NoPlan
from axialzoo.runtime.device import AUTO, DeviceError
from axialzoo.runtime.frameworks import BACKENDS, FRAMEWORKS, NATIVE, TITLES, choose, installed, process_backend
from axialzoo.runtime.ipc import WorkerError
from axialzoo.runtime.local import PRECISIONS, InProcessModel, Outputs, build_model, is_keras, optimizable
from axialzoo.runtime.predict import BATCH, Picture, predict
from axialzoo.runtime.process import Worker
from axialzoo.spec import SpecError, did_you_mean
from axialzoo.tasks import task_of
from axialzoo.tasks.results import RESULTS, Result
from axialzoo.tasks.tta import TTAOptions, tta_from_options

if TYPE_CHECKING:
    import typing_extensions

    R = typing_extensions.TypeVar("R", bound=Result, default=Any)  # of Python 3.13, with a default
else:
    R = TypeVar("R")


class Runner(Generic[R]):
    """Runs a checkpoint in one framework.

    Type checkers know the type of its results where :func:`load_runner` is told it.

    A Keras back end other than this process's own runs in a worker process, which ends with the runner (`close`, or a
    ``with`` block). So does float64 on JAX, which JAX enables only at its start.

    Args:
        checkpoint: A checkpoint, as :func:`axialzoo.hub.fetch_checkpoint` returns it.
        framework: ``"torch"``, ``"keras"`` or ``"native"``, the runtime of this package, which imports neither; default the first
            framework that is installed, else ``"native"``.
        backend: Back end of Keras: ``"tensorflow"``, ``"jax"`` or ``"torch"``; default this process's.
        precision: ``"float32"`` or ``"float64"``; the native runtime has float32 alone.
        compiled: Run Keras on TensorFlow as one graph: faster for many batches of one size, and equal within rounding.
        optimize: Run the inference form of the model (``optimize_for_inference``) where it is faster: in float32 on a CPU that the
            fused kernel supports (``axialzoo info --system``). Its outputs are equal within rounding.
        device: Device that computes: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``. ``"auto"`` is the accelerator that
            the framework finds, else the CPU.
        allow_tf32: Whether a GPU may multiply float32 in TF32, as the framework is set; False for outputs that agree with a CPU's.
        worker: Run in this worker process.

    Attributes:
        config: Config of the checkpoint.
        framework, backend, precision: The choices in use; `backend` is None in PyTorch.
        device: Name of the device that computes, as ``"cpu"`` or ``"cuda:0"``.
        optimized: Whether the inference form of the model runs.
        title: ``"PyTorch"``, ``"Keras (jax)"``.

    Raises:
        SpecError: for a framework, back end or precision that does not exist.
        DeviceError: for a device that the framework does not find; the message lists the devices that it finds.
        ModuleNotFoundError: for a framework that is not installed; the message says how to install it.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        framework: str | None = None,
        backend: str | None = None,
        precision: str = "float32",
        *,
        compiled: bool = False,
        optimize: bool = True,
        device: str = AUTO,
        allow_tf32: bool = True,
        worker: Worker | None = None,
    ):
        _require("precision", precision, PRECISIONS)
        if worker is None:
            if framework is not None:
                _require("framework", framework, (*FRAMEWORKS, NATIVE))
            framework = choose(framework, native=True)[0]
            backend = _backend(framework, backend)
        self.config, self.framework, self.backend, self.precision = checkpoint.config, framework or "torch", backend, precision
        self._own, self._model = None, None
        if worker is None and backend is not None and (backend != process_backend() or _needs_x64(backend, precision)):
            worker = self._own = Worker(self.framework, backend)
        self._worker = worker
        optimize = optimize and (self.framework == NATIVE or optimizable(backend, precision))
        options: dict[str, Any] = {"compiled": compiled, "optimize": optimize, "device": device, "allow_tf32": allow_tf32}
        if worker is not None:
            self.device, self.optimized = self._load(worker, checkpoint, options)
        else:
            self._model = build_model(self.framework, checkpoint, precision, **options)
            self.device, self.optimized = self._model.device, self._model.optimized

    def _load(self, worker: Worker, checkpoint: Checkpoint, options: dict[str, Any]) -> tuple[str, bool]:
        try:
            loaded = worker.load(checkpoint.folder, checkpoint.config.digest, self.precision, **options)
        except WorkerError as error:
            self.close()
            if error.kind == DeviceError.__name__:
                raise DeviceError(str(error)) from error
            if error.kind == NoPlan.__name__:
                raise NoPlan(str(error).partition(": ")[2] or str(error)) from error
            raise
        return loaded["device"], loaded["optimized"]

    @classmethod
    def of_model(cls, model: Any, config: Config, precision: str = "float32") -> Self:
        """Return a runner of a live model, such as a model in training; the runner shares its weights, so it follows the training.

        The model is in evaluation mode while it runs, and then returns to its former mode.
        """
        runner = cls.__new__(cls)
        runner.framework, runner.backend = ("keras", process_backend()) if is_keras(model) else ("torch", None)
        runner.config, runner.precision, runner.optimized, runner._own, runner._worker = config, precision, False, None, None
        runner._model = InProcessModel(model, precision, compiled=True)
        runner.device = runner._model.device
        return runner

    @property
    def title(self) -> str:
        return TITLES[self.framework] + (f" ({self.backend})" if self.backend else "")

    @property
    def pid(self) -> int:
        """Id of the process that computes: this process or the worker."""
        return os.getpid() if self._worker is None else self._worker.pid

    @property
    def model(self) -> Any:
        """The framework's model, where it is in this process; optimised for inference unless `optimize` is False.

        An optimised model has its spec, config and preprocessing, but neither the checkpoint's parameters nor gradients. To train,
        inspect or save a model, use ``load_model`` of its framework, or a runner with ``optimize=False``.
        """
        if self._model is None:
            raise AttributeError(f"{self.title}: its model is in another process; use outputs() or predict()")
        return self._model.model

    def outputs(self, x: np.ndarray) -> Outputs:
        """Return the outputs by name of model inputs.

        Args:
            x: (N, H, W, C), preprocessed as :attr:`config` says.

        Returns:
            A classifier returns ``{"logits": (N, classes)}``; other models return their maps, (N, H, W, C), in any framework.
        """
        x = np.asarray(x)
        channels = self.config.spec.backbone.in_channels
        if x.ndim != 4 or x.shape[-1] != channels:
            raise ValueError(f"x: expected (N, H, W, {channels}), found {x.shape}")
        x = x.astype(self.precision, copy=False)
        if self._worker is not None:
            return self._worker.outputs(self.precision, x)
        assert self._model is not None
        return self._model.outputs(x)

    @overload
    def predict(self, pictures: Picture, batch_size: int = BATCH, **tta: Unpack[TTAOptions]) -> R: ...
    @overload
    def predict(self, pictures: Sequence[Picture], batch_size: int = BATCH, **tta: Unpack[TTAOptions]) -> list[R]: ...
    def predict(self, pictures: Any, batch_size: int = BATCH, **tta: Unpack[TTAOptions]) -> Any:
        """Predict a picture, or each of several.

        Args:
            pictures: A path, a Pillow image, an array (H, W, 3) or (H, W); or a list of these. Arrays hold 0 to 255, or uint16; a
                model that stretches each picture to its own range accepts any numbers from 0 on.
            batch_size: Pictures computed at once.
            tta: ``tile``, ``overlap``, ``hflip``, ``scales``: see :func:`axialzoo.tasks.tta_from_options`. By default the
                whole image once.

        Returns:
            A result of :mod:`axialzoo.tasks.results`, or a list of them.

        Raises:
            ImageError: naming a picture that cannot be read.
            SpecError: for test-time augmentation that the model's task does not support.

        Example:
            >>> import axialzoo
            >>> axialzoo.load_runner("axial_resnet_cifar10").predict("docs/photos/chelsea.jpg").label
            'cat'
        """
        many = isinstance(pictures, (list, tuple))
        results = predict(self, pictures if many else [pictures], batch_size, tta_from_options(**tta))
        return results if many else results[0]

    def __repr__(self) -> str:
        where = f"{self.title} on {self.device}, {self.precision}{', optimised' if self.optimized else ''}"
        return f"Runner({self.config.model}: {self.config.spec.task}, {self.config.spec.num_labels} classes; {where})"

    def close(self) -> None:
        """End the worker process, if there is one."""
        if self._own is not None:
            self._own.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.close()


@overload
def load_runner(
    source: str | os.PathLike[str],
    framework: str | None = None,
    backend: str | None = None,
    precision: str = "float32",
    *,
    optimize: bool = True,
    device: str = AUTO,
    result: type[R],
) -> Runner[R]: ...
@overload
def load_runner(
    source: str | os.PathLike[str],
    framework: str | None = None,
    backend: str | None = None,
    precision: str = "float32",
    *,
    optimize: bool = True,
    device: str = AUTO,
    result: None = None,
) -> Runner[Any]: ...
def load_runner(
    source: str | os.PathLike[str],
    framework: str | None = None,
    backend: str | None = None,
    precision: str = "float32",
    *,
    optimize: bool = True,
    device: str = AUTO,
    result: type[Any] | None = None,
) -> Runner[Any]:
    """Load a checkpoint as a function of pictures and arrays: see :class:`Runner`.

    Args:
        source: A folder, ``"name.tag"`` (``"name"`` for its first tag), or ``"org/repo[@revision]"`` on the Hub.
        framework, backend, precision, optimize, device: As of :class:`Runner`.
        result: Type of results to expect, of :mod:`axialzoo.tasks.results`: type checkers then know it, and a model of another task is
            refused. Default any.

    Raises:
        CheckpointError: where the weights are damaged or incomplete.
        SpecError: for an unknown name, framework, back end, precision or device, and for a model whose results are not of type `result`.

    Example:
        >>> import axialzoo
        >>> runner = axialzoo.load_runner("axial_resnet_cifar10", framework="torch")
        >>> runner.outputs(np.zeros((2, 32, 32, 3)))["logits"].shape
        (2, 10)
    """
    checkpoint = fetch_checkpoint(source)
    if result is not None and (own := RESULTS[task_of(checkpoint.config.spec.head).annotation_type]) is not result:
        raise SpecError(f"result: expected {own.__name__}, which {checkpoint.config.model!r} gives, found {result.__name__}")
    return Runner(checkpoint, framework, backend, precision, optimize=optimize, device=device)


def _backend(framework: str, backend: str | None) -> str | None:
    if framework != "keras":
        if backend is not None:
            raise SpecError(f"backend: {TITLES[framework]} has none; leave it out, found {backend!r}")
        return None
    if backend is None:
        return process_backend()
    _require("backend", backend, BACKENDS)
    if not installed(backend):
        raise ModuleNotFoundError(f"the back end {backend} is not installed; pip install {backend}", name=backend)
    return backend


def _needs_x64(backend: str, precision: str) -> bool:
    if backend != "jax" or precision != "float64":
        return False
    jax = sys.modules.get("jax")
    return not (jax.config.jax_enable_x64 if jax else os.environ.get("JAX_ENABLE_X64", "").lower() in ("1", "true"))


def _require(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise SpecError(f"{name}: expected one of {', '.join(known)}, found {value!r}{did_you_mean(str(value), known)}")
