"""A checkpoint as a function of arrays and of pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, Self, Unpack, overload

import numpy as np

from axialzoo.checkpoint import Checkpoint, Config
from axialzoo.hub import fetch_checkpoint
from axialzoo.runtime.device import AUTO, DeviceError
from axialzoo.runtime.frameworks import BACKENDS, FRAMEWORKS, TITLES, choose, installed, process_backend
from axialzoo.runtime.ipc import WorkerError
from axialzoo.runtime.local import PRECISIONS, InProcessModel, Outputs, build_model, is_keras, optimizable
from axialzoo.runtime.predict import BATCH, Picture, predict
from axialzoo.runtime.process import Worker
from axialzoo.spec import SpecError, did_you_mean
from axialzoo.tasks.results import Result
from axialzoo.tasks.tta import TTAOptions, tta_from_options


class Runner:
    """A checkpoint in a framework, as a function.

    A Keras back end that is not this process's own runs in a worker process, which ends with the runner (`close`, or a
    ``with`` block). So does float64 on JAX, which has to be told before it starts.

    Args:
        checkpoint: Of :func:`axialzoo.hub.fetch_checkpoint`.
        framework: ``"torch"`` or ``"keras"``; default the first installed.
        backend: Of Keras: ``"tensorflow"``, ``"jax"`` or ``"torch"``; default this process's.
        precision: ``"float32"`` or ``"float64"``.
        compiled: Run Keras on TensorFlow as one graph: faster for many batches of one size, and the same within rounding.
        optimize: Run the model's inference form where it is faster, the same within rounding: in float32 on a CPU, where the fused
            kernel serves (``axialzoo info --system``), ``optimize_for_inference`` of it.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``: where it computes. ``"auto"`` is the accelerator that the
            framework finds, else the CPU.
        allow_tf32: Whether a GPU may multiply float32 in TF32, as the framework is set; False for outputs that agree with a CPU's.
        worker: Run in that process, whatever it is.

    Attributes:
        config: The checkpoint's.
        framework, backend, precision: As they are; `backend` is None in PyTorch.
        device: Name of the device that computes, as ``"cpu"`` or ``"cuda:0"``.
        optimized: Whether it is the model's inference form that runs.
        title: ``"PyTorch"``, ``"Keras (jax)"``.

    Raises:
        SpecError: for a framework, back end or precision that does not exist.
        DeviceError: for a device that the framework does not find, listing those that it finds.
        ModuleNotFoundError: for a framework that is not installed, saying how to install it.
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
                _require("framework", framework, FRAMEWORKS)
            framework = choose(framework)[0]
            backend = _backend(framework, backend)
        self.config, self.framework, self.backend, self.precision = checkpoint.config, framework or "torch", backend, precision
        self._own, self._model = None, None
        if worker is None and backend is not None and (backend != process_backend() or _needs_x64(backend, precision)):
            worker = self._own = Worker(self.framework, backend)
        self._worker = worker
        optimize = optimize and optimizable(backend, precision)
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
            raise
        return loaded["device"], loaded["optimized"]

    @classmethod
    def of_model(cls, model: Any, config: Config, precision: str = "float32") -> Self:
        """A runner of a live model, such as one in training: of it itself, so that it follows what is learned.

        It is in evaluation while it runs, and as it was afterwards.
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
        """The number of the process that computes: this one's, or its worker's."""
        return os.getpid() if self._worker is None else self._worker.pid

    @property
    def model(self) -> Any:
        """The framework's model, where it is in this process; optimised for inference unless `optimize` was off.

        An optimised one has its spec, config and preprocessing, but neither the checkpoint's parameters nor gradients:
        to train, take apart or save a model use ``load_model`` of its framework, or a runner with ``optimize=False``.
        """
        if self._model is None:
            raise AttributeError(f"{self.title}: its model is in another process; use outputs() or predict()")
        return self._model.model

    def outputs(self, x: np.ndarray) -> Outputs:
        """Model inputs to outputs by name.

        Args:
            x: (N, H, W, C), as :attr:`config`'s preprocessing makes it.

        Returns:
            Of a model with classes alone ``{"logits": (N, classes)}``; of others their maps, (N, H, W, C), in any framework.
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
    def predict(self, pictures: Sequence[Picture], batch_size: int = BATCH, **tta: Unpack[TTAOptions]) -> list[Result]: ...
    @overload
    def predict(self, pictures: Picture, batch_size: int = BATCH, **tta: Unpack[TTAOptions]) -> Result: ...
    def predict(self, pictures, batch_size=BATCH, **tta):
        """What is in a picture, or in each of several.

        Args:
            pictures: A path, a Pillow image, an array (H, W, 3) or (H, W); or a list of these. Arrays hold 0 to 255, or uint16; where
                the model stretches each picture to its own range, any numbers from 0 on.
            batch_size: Pictures computed at once.
            tta: ``tile``, ``overlap``, ``hflip``, ``scales``: see :func:`axialzoo.tasks.tta_from_options`. By default the
                whole image once.

        Returns:
            A result of :mod:`axialzoo.tasks.results`, or a list of them.

        Raises:
            ImageError: naming a picture that cannot be read.
            SpecError: for looks that the model's task does not understand.

        Example:
            >>> import axialzoo
            >>> axialzoo.load_runner("axial_resnet_cifar10").predict("docs/photos/chelsea.jpg").label
            'cat'
        """
        many = isinstance(pictures, (list, tuple))
        results = predict(self, pictures if many else [pictures], batch_size, tta_from_options(**tta))
        return results if many else results[0]

    def close(self) -> None:
        """Ends the worker process, if there is one."""
        if self._own is not None:
            self._own.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def load_runner(
    source: str | os.PathLike,
    framework: str | None = None,
    backend: str | None = None,
    precision: str = "float32",
    *,
    optimize: bool = True,
    device: str = AUTO,
) -> Runner:
    """A checkpoint as a function of pictures and arrays: see :class:`Runner`.

    Args:
        source: A folder, ``"name.tag"`` (``"name"`` for its first tag), or ``"org/repo[@revision]"`` on the Hub.
        framework, backend, precision, optimize, device: As of :class:`Runner`.

    Raises:
        CheckpointError: where the weights are not whole.
        SpecError: for an unknown name, framework, back end or precision, and a device that is not there.

    Example:
        >>> import axialzoo
        >>> runner = axialzoo.load_runner("axial_resnet_cifar10", framework="torch")
        >>> runner.outputs(np.zeros((2, 32, 32, 3)))["logits"].shape
        (2, 10)
    """
    return Runner(fetch_checkpoint(source), framework, backend, precision, optimize=optimize, device=device)


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
