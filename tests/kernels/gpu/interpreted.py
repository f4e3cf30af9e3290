"""The kernel for GPUs run by Triton's interpreter, on tensors of the CPU; why not, where it cannot be."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from axialzoo.ops.kernels.library import is_disabled
from axialzoo.ops.torch import gpu as ops_gpu
from axialzoo.ops.torch.training import operator

HERE = importlib.util.find_spec("triton") is not None
REASON = "needs TRITON_INTERPRET=1, as `make test-triton` sets it" if HERE else "Triton is not installed; `make test-triton` installs it"
needs_interpreter = pytest.mark.skipif(not HERE or os.environ.get("TRITON_INTERPRET") != "1", reason=REASON)


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Within it the operators do on a CPU what they do on a GPU, and layers take it for one; ``use_kernel("plain")`` is obeyed."""
    library, honest = torch.library.Library("axialzoo", "IMPL"), ops_gpu.supports
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the CPU's own are hidden, which is what is wanted
        library.impl("attend", operator(ops_gpu.attend, 1), "CPU", allow_override=True)
        library.impl("attend_backward", operator(ops_gpu.attend_backward, 3), "CPU", allow_override=True)
        library.impl("axial_attention", ops_gpu.axial_attention, "CPU", allow_override=True)
    ops_gpu.supports = lambda *tensors: not is_disabled() and all(x is None or x.dtype in ops_gpu.DTYPES for x in tensors)
    try:
        yield
    finally:
        ops_gpu.supports = honest
        library._destroy()
