"""The fused kernels of axial attention: for CPUs C++ behind a plain C interface, without a framework; for GPUs, in `gpu`, Triton."""

from axialzoo.kernels.bindings import binding_status
from axialzoo.kernels.build import BuildError, compile_library
from axialzoo.kernels.gpu import gpu_status
from axialzoo.kernels.library import Kernel, Status, kernel, kernel_status, needs_compiling, use_kernel

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
