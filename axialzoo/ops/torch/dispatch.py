"""Checks of whether the fused CPU kernel supports tensors; it cannot run where operations are traced or transformed."""

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
    """Return the kernel if there is one and it supports these tensors: float32, on the CPU."""
    if any(x is not None and (x.dtype != torch.float32 or x.device.type != "cpu") for x in tensors):
        return None
    kernel = find_kernel()
    if kernel is not None:
        _share_threads(kernel)
    return kernel


@functools.cache
def _share_threads(kernel: Kernel) -> None:
    kernel.use_threads_of([str(path) for path in sorted((Path(torch.__file__).parent / "lib").glob("libgomp*"))])


TYPES = (torch.float32, torch.bfloat16)  # types of rows that the kernel can train


def to_kernel_dtype(x: Tensor) -> Tensor:
    """Return `x` if the kernel can train rows of its type, else convert it to float32."""
    return x if x.dtype in TYPES else x.float()


def data_ptr(x: Tensor | None) -> int:
    """Return the address of a tensor's data; 0, a null pointer, for None."""
    return 0 if x is None else x.data_ptr()


def is_traced() -> bool:
    """Return whether `torch.jit.trace` is running."""
    return torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]  # public, though not declared so


def is_tracing() -> bool:
    """Return whether torch.compile, torch.export or torch.jit.trace is recording operations, to run them later and elsewhere."""
    return torch.compiler.is_compiling() or is_traced()


def in_functorch_transform() -> bool:
    """Return whether forward-mode or torch.func derivatives are active, which the kernel's operations do not have."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def can_train_rows(x: Tensor, *parameters: Tensor) -> bool:
    """Return whether the kernel can train these rows, of floats or bfloat16, with these parameters, of floats, here and now."""
    if x.device.type != "cpu" or x.dtype not in TYPES or x.numel() == 0 or is_tracing() or in_functorch_transform():
        return False
    return kernel_for(*parameters) is not None


def double_backward(
    function: Callable[..., Tensor], inputs: Sequence[Tensor | None], grad: Tensor, needs_grad: Sequence[bool]
) -> list[Tensor | None]:
    """Compute gradients of `function` that are differentiable in turn; the kernel itself has only first derivatives.

    Returns:
        A gradient for each input; None for inputs that are None or that `needs_grad` does not ask for.
    """
    inputs = [None if x is None else x.view_as(x) for x in inputs]  # views, so that one input does not depend on another
    variables = [x for x, needed in zip(inputs, needs_grad) if needed and x is not None]
    grads = iter(torch.autograd.grad(function(*inputs), variables, grad, create_graph=True, materialize_grads=True))
    return [next(grads) if needed and x is not None else None for x, needed in zip(inputs, needs_grad)]
