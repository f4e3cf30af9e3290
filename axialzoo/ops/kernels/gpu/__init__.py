"""Fused kernel of axial attention for GPUs, in Triton.

``tile.py`` computes one tile, ``forward.py`` and ``backward.py`` are the kernels, ``settings.py`` chooses the sizes of tiles for a shape,
and ``launch.py`` starts the kernels for :mod:`axialzoo.ops.torch.gpu`. Importing this package does not import Triton.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util

from axialzoo.ops.kernels.library import Status, is_disabled

LEAST_CAPABILITY = (8, 0)  # bfloat16 and Triton require it


def gpu_status() -> Status:
    """Report whether the GPU kernel is in use, and why.

    Returns:
        A status whose path is ``"triton"``, or ``"plain"`` for PyTorch's own operations.

    Example:
        >>> gpu_status().path in ("triton", "plain")
        True
    """
    if is_disabled():
        return Status("plain", "asked for by use_kernel('plain')")
    return _detect()


@functools.cache
def _detect() -> Status:
    if importlib.util.find_spec("torch") is None:
        return Status("plain", "PyTorch is not installed")
    import torch

    if not torch.cuda.is_available():
        return Status("plain", "PyTorch finds no GPU")
    if importlib.util.find_spec("triton") is None:
        return Status("plain", "Triton is not installed: pip install 'axialzoo[triton]'")
    if torch.version.hip is not None:
        return Status("plain", "expected GPUs of NVIDIA, for which the kernel compiles; found a PyTorch for ROCm")
    for index in range(torch.cuda.device_count()):
        capability = torch.cuda.get_device_capability(index)
        if capability < LEAST_CAPABILITY:
            return Status("plain", f"expected GPUs of capability 8.0 or later, found {torch.cuda.get_device_name(index)} with {capability}")
    version = importlib.import_module("triton").__version__
    return Status("triton", f"Triton {version} on {torch.cuda.get_device_name()}")
