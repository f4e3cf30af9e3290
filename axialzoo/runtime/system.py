"""The state of this machine and installation: versions, threads, and the paths of the kernels."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from pathlib import Path
from typing import Any

from axialzoo.ops.kernels import gpu_status, kernel, kernel_status
from axialzoo.ops.kernels.library import cores
from axialzoo.runtime.frameworks import BACKENDS, installed
from axialzoo.runtime.local import kernel_status_for

PACKAGES = ("torch", "keras", "tensorflow", "jax", "numpy")


def system() -> dict[str, Any]:
    """Return the report that ``axialzoo info --system --json`` prints, without the version of axialzoo.

    Returns:
        ``python``, ``platform``, ``processor``; ``cores`` that this process may use; ``threads`` that PyTorch will, or None without it;
        ``packages``: version of each, None where it is not installed; ``kernel``: ``path`` (``"avx512"``, ``"avx2"``, ``"portable"`` or
        ``"plain"``: the frameworks' own operations), ``reason``, ``library`` (its file or None), ``instruction_sets`` (usable here);
        ``keras``: ``path`` and ``reason`` of each installed back end in float32, in training
        too; ``gpu_kernel``: ``path`` (``"triton"`` or ``"plain"``: PyTorch's own operations) and ``reason``.

    Example:
        >>> system()["kernel"]["path"] in ("avx512", "avx2", "portable", "plain")
        True
    """
    status, library, on_gpu = kernel_status(), kernel(), gpu_status()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "processor": processor(),
        "cores": cores(),
        "threads": _threads(),
        "packages": {name: _version(name) for name in PACKAGES},
        "kernel": {
            "path": status.path,
            "reason": status.reason,
            "library": status.library,
            "instruction_sets": list(library.isas) if library is not None else [],
        },
        "keras": {backend: _in_keras(backend) for backend in BACKENDS if installed("keras") and installed(backend)},
        "gpu_kernel": {"path": on_gpu.path, "reason": on_gpu.reason},
    }


def processor() -> str:
    """Return the name of the processor, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def peak_memory(pid: int) -> int | None:
    """Return the peak memory of a process in bytes, since :func:`forget_peak` or its start; None where the system does not report it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def forget_peak(pid: int) -> None:
    """Reset the peak memory of a process, where Linux allows it."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _in_keras(backend: str) -> dict[str, str]:
    status = kernel_status_for(backend)
    return {"path": status.path, "reason": status.reason}


def _threads() -> int | None:
    if not installed("torch"):
        return None
    import torch

    return torch.get_num_threads()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
