"""Fused kernels of axial attention: C++ with a C interface for CPUs, Triton for GPUs (`gpu`); independent of frameworks."""

from axialzoo.ops.kernels.bindings import binding_status
from axialzoo.ops.kernels.build import BuildError, compile_library
from axialzoo.ops.kernels.gpu import gpu_status
from axialzoo.ops.kernels.library import Kernel, Status, kernel, kernel_status, needs_compiling, use_kernel

__all__ = [
    "BuildError",
    "Kernel",
    "Status",
    "binding_status",
    "compile_library",
    "gpu_status",
    "kernel",
    "kernel_status",
    "needs_compiling",
    "use_kernel",
]
