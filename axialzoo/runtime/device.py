"""Devices of the frameworks: their names, running on a device, and float32 without TF32.

Devices have PyTorch's names in every framework: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, ``"tpu:0"``. ``"auto"`` is the accelerator
that a framework finds, else the CPU.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from axialzoo.runtime.frameworks import TITLES
from axialzoo.spec import SpecError, did_you_mean

AUTO = "auto"
NO_FLOAT64 = ("mps",)  # kinds of devices that cannot compute in float64


class DeviceError(SpecError):
    """A device that does not exist; the message lists the existing devices."""


def list_devices(backend: str | None = None) -> list[str]:
    """Return the devices of a framework in this process, as ``"cpu"``, ``"cuda:0"``, ``"cuda:1"``.

    Args:
        backend: Back end of Keras: ``"tensorflow"``, ``"jax"`` or ``"torch"``; None for PyTorch.
    """
    numbered = {"tensorflow": _tensorflow_devices, "jax": _jax_devices}.get(backend or "torch", _torch_devices)()
    processors = sum(kind == "cpu" for kind, _ in numbered)
    return ["cpu" if kind == "cpu" and processors == 1 else f"{kind}:{index}" for kind, index in numbered]


def find_device(device: str = AUTO, backend: str | None = None, precision: str = "float32") -> str:
    """Return the name of `device` as :func:`list_devices` has it.

    Args:
        device: ``"auto"``, or a device with or without its number; without one it is the framework's current device of that kind.
        backend: As for :func:`list_devices`.
        precision: ``"float32"`` or ``"float64"``.

    Raises:
        DeviceError: for a device that the framework does not find, with the list of its devices; for float64 on a device without it.
    """
    devices = list_devices(backend)
    if device == AUTO:
        usable = [name for name in devices if precision != "float64" or name.partition(":")[0] not in NO_FLOAT64]
        kinds = [name.partition(":")[0] for name in usable]
        accelerator = next((kind for kind in kinds if kind != "cpu"), None)
        return usable[0] if accelerator is None else _current(accelerator, usable, backend)
    kind, colon, index = str(device).lower().partition(":")
    name = f"{kind}:{index}" if colon else _current(kind, devices, backend)
    name = {"cpu:0": "cpu"}.get(name, name) if "cpu" in devices else name
    if name not in devices:
        title = TITLES["torch"] if backend is None else f"{TITLES['keras']} ({backend})"
        known = (AUTO, *dict.fromkeys(part for name in devices for part in (name.partition(":")[0], name)))
        raise DeviceError(f"device: {title} expected one of {', '.join(known)}, found {device!r}{did_you_mean(str(device), known)}")
    if precision == "float64" and kind in NO_FLOAT64:
        raise DeviceError(f"device: {kind} does not compute in float64; expected cpu, or precision float32, found {device!r}")
    return name


def is_cpu(device: str) -> bool:
    """Return whether a device is a CPU."""
    return device.partition(":")[0] == "cpu"


@contextlib.contextmanager
def keras_device(device: str | None, backend: str) -> Iterator[None]:
    """Build and run Keras models on a device of :func:`find_device`; None stands for the default device of Keras."""
    if device is None:
        yield
        return
    import keras

    kind, _, index = device.partition(":")
    if backend != "torch":
        kind, index = {"cuda": "gpu", "mps": "gpu"}.get(kind, kind), index or "0"
    with keras.device(f"{kind}:{index}" if index else kind):
        yield


@contextlib.contextmanager
def without_tf32(backend: str | None = None) -> Iterator[None]:
    """Multiply in full float32 on a GPU, not in TF32 with its 10-bit mantissa; results then agree with those of a CPU."""
    if backend == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
    elif backend == "tensorflow":
        from tensorflow import config

        allowed = config.experimental.tensor_float_32_execution_enabled()
        config.experimental.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            config.experimental.enable_tensor_float_32_execution(allowed)
    else:
        import torch

        convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.backends.cudnn.allow_tf32 = convolutions
            torch.set_float32_matmul_precision(products)


def _current(kind: str, devices: list[str], backend: str | None) -> str:
    """Return the device of a kind without a number: PyTorch's current device, elsewhere the first."""
    if kind in devices:
        return kind
    index = 0
    if backend in (None, "torch") and kind != "cpu":
        import torch

        accelerator = torch.accelerator.current_accelerator(check_available=True)
        index = torch.accelerator.current_device_index() if accelerator is not None and accelerator.type == kind else 0
    return f"{kind}:{index}"


def _torch_devices() -> list[tuple[str, int]]:
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return [("cpu", 0), *((accelerator.type, index) for index in range(torch.accelerator.device_count()) if accelerator is not None)]


def _jax_devices() -> list[tuple[str, int]]:
    import jax

    devices = [*jax.local_devices(backend="cpu"), *jax.local_devices()]
    kinds = [("cuda" if device.platform == "gpu" else device.platform, device.id) for device in devices]
    return list(dict.fromkeys(kinds))


def _tensorflow_devices() -> list[tuple[str, int]]:
    from tensorflow import config

    gpu = "mps" if sys.platform == "darwin" else "cuda"
    kinds = ((device.device_type.lower(), int(device.name.rpartition(":")[2])) for device in config.list_logical_devices())
    return [(gpu if kind == "gpu" else kind, index) for kind, index in kinds]
