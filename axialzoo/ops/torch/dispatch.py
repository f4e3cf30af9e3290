"""Where the fused CPU kernel serves: for which tensors, and not where operations are recorded or transformed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd import forward_ad

from axialzoo.ops.kernels import Kernel
from axialzoo.ops.kernels import kernel as find_kernel


def kernel_for(*tensors: Tensor | None) -> Kernel | None:
    """The kernel, where it is there and can take these tensors: float32, on the CPU."""
    if any(x is not None and (x.dtype != torch.float32 or x.device.type != "cpu") for x in tensors):
        return None
    found = find_kernel()
    if found is not None:
        _share_threads(found)
    return found


@functools.cache
def _share_threads(found: Kernel) -> None:
    found.use_threads_of([str(path) for path in sorted((Path(torch.__file__).parent / "lib").glob("libgomp*"))])


TYPES = (torch.float32, torch.bfloat16)  # of rows that the kernel trains


def to_kernel_dtype(x: Tensor) -> Tensor:
    """`x` in a type of rows that the kernel takes: as it is, or in float32."""
    return x if x.dtype in TYPES else x.float()


def data_ptr(x: Tensor | None) -> int:
    """Return the address of a tensor's data; 0, a null pointer, for None."""
    return 0 if x is None else x.data_ptr()


def is_traced() -> bool:
    """Whether `torch.jit.trace` records what is computed."""
    return torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]  # public, though not declared so


def is_tracing() -> bool:
    """Whether operations are recorded to be run later, elsewhere, by torch.compile, torch.export or a trace."""
    return torch.compiler.is_compiling() or is_traced()


def in_functorch_transform() -> bool:
    """Whether derivatives are taken forward, or by torch.func: which the kernel's operations do not have."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def can_train_rows(x: Tensor, *parameters: Tensor) -> bool:
    """Whether the kernel takes rows of floats or bfloat16 and parameters of floats, to train them here and now."""
    if x.device.type != "cpu" or x.dtype not in TYPES or x.numel() == 0 or is_tracing() or in_functorch_transform():
        return False
    return kernel_for(*parameters) is not None


def double_backward(
    function: Callable[..., Tensor], inputs: Sequence[Tensor | None], grad: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    """Gradients of `function` that have gradients in turn, those that are wanted: for where the kernel has only the first."""
    inputs = [None if x is None else x.view_as(x) for x in inputs]  # by themselves, whatever one is made of
    some = [x for x, want in zip(inputs, wanted) if want and x is not None]
    made = iter(torch.autograd.grad(function(*inputs), some, grad, create_graph=True, materialize_grads=True))
    return [next(made) if want and x is not None else None for x, want in zip(inputs, wanted)]
