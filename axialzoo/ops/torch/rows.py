"""Products of rows of channels in training on the fused kernel: 1x1 convolutions and projections."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from axialzoo.ops.folding import PANEL
from axialzoo.ops.kernels.structures import AxialLinear, AxialWeightGradient
from axialzoo.ops.torch.dispatch import can_train_rows, data_ptr, double_backward, kernel_for


def pack_weight(weight: Tensor) -> Tensor:
    """Pack a weight for the kernel: (outputs, inputs) to (panels, inputs, 64), padded with zeros."""
    outputs, inputs = weight.shape
    padded = F.pad(weight, (0, 0, 0, -outputs % PANEL)) if outputs % PANEL else weight
    return padded.reshape(-1, PANEL, inputs).transpose(1, 2).contiguous()


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply rows of channels by a matrix: (N, H, W, I), contiguous in channels alone, and (O, I) to (N, H, W, O)."""
    kernel = kernel_for(x, weight)
    assert kernel is not None  # see can_train_rows
    if x.shape[3] != weight.shape[1]:
        raise ValueError(
            f"product: expected rows of {weight.shape[1]} channels for a weight of {tuple(weight.shape)}, found {tuple(x.shape)}"
        )
    y, panels = x.new_empty((*x.shape[:3], len(weight))), pack_weight(weight)
    arguments = AxialLinear(*x.shape[:3], *x.stride()[:3], x.shape[3], len(weight), data_ptr(x), data_ptr(panels), 0, 0, data_ptr(y), 0)
    kernel.run("linear", arguments, torch.get_num_threads())
    return y


def gradients(x: Tensor, weight: Tensor, grad: Tensor, needs_grad: tuple[bool, bool]) -> tuple[Tensor | None, Tensor | None]:
    """Compute the gradients of :func:`product` by rows and matrix; None for those that `needs_grad` does not ask for."""
    kernel = kernel_for(x, weight, grad)
    if kernel is None:
        raise RuntimeError("linear: expected the kernel that the forward pass had, found none; see kernel_status()")
    grad = grad.contiguous()
    grad_x, grad_weight = product(grad, weight.T) if needs_grad[0] else None, None
    if needs_grad[1]:
        grad_weight = torch.empty_like(weight, memory_format=torch.contiguous_format)  # the matrix itself may be transposed
        arguments = AxialWeightGradient(
            *x.shape[:3], *x.stride()[:3], x.shape[3], grad.shape[3], data_ptr(x), data_ptr(grad), data_ptr(grad_weight)
        )
        kernel.run("weight_gradient", arguments, torch.get_num_threads())
    return grad_x, grad_weight


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight)

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        if torch.is_grad_enabled():
            return tuple(double_backward(F.linear, (x, weight), grads[0], ctx.needs_input_grad))
        return gradients(x, weight, grads[0], ctx.needs_input_grad)


def can_multiply(x: Tensor) -> bool:
    """Return whether :func:`product` supports such rows; it also needs the kernel."""
    return x.dtype == torch.float32 and x.stride(3) == 1 and not torch.is_autocast_enabled(x.device.type)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """Compute a 1x1 convolution of rows, on the kernel where possible: (N, H, W, I) and (O, I) to (N, H, W, O)."""
    if not can_multiply(x) or not can_train_rows(x, weight):
        return F.linear(x, weight)
    return cast(Tensor, _Linear.apply(x, weight))
