"""Products of rows of channels in training on the fused kernel: 1x1 convolutions and projections."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from axialzoo.kernels.structures import AxialLinear, AxialWeightGradient
from axialzoo.torch.serving import can_train_rows, differentiable, pointer, serving_kernel

PANEL = 64  # outputs of a packed weight lie so many together


def packed(weight: Tensor) -> Tensor:
    """(outputs, inputs) as the kernel takes it: (panels, inputs, 64), zeros appended."""
    outputs, inputs = weight.shape
    padded = F.pad(weight, (0, 0, 0, -outputs % PANEL)) if outputs % PANEL else weight
    return padded.reshape(-1, PANEL, inputs).transpose(1, 2).contiguous()


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Rows of channels times a matrix: (N, H, W, I), of any strides but the last, and (O, I) to (N, H, W, O)."""
    kernel = serving_kernel(x, weight)
    assert kernel is not None  # see can_train_rows
    y, panels = x.new_empty((*x.shape[:3], len(weight))), packed(weight)
    arguments = AxialLinear(*x.shape[:3], *x.stride()[:3], x.shape[3], len(weight), pointer(x), pointer(panels), 0, 0, pointer(y), 0)
    kernel.run("linear", arguments, torch.get_num_threads())
    return y


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight)

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), grad = ctx.saved_tensors, grads[0]
        if torch.is_grad_enabled():
            return tuple(differentiable(F.linear, (x, weight), grad, ctx.needs_input_grad))
        grad = grad.contiguous()
        grad_x = product(grad, weight.T) if ctx.needs_input_grad[0] else None
        return grad_x, _weight_gradient(x, grad) if ctx.needs_input_grad[1] else None


def _weight_gradient(x: Tensor, grad: Tensor) -> Tensor:
    kernel = serving_kernel(x, grad)
    if kernel is None:
        raise RuntimeError("linear: expected the kernel that the forward pass had, found none; see kernel_status()")
    found = grad.new_empty((grad.shape[3], x.shape[3]))
    arguments = AxialWeightGradient(*x.shape[:3], *x.stride()[:3], x.shape[3], grad.shape[3], pointer(x), pointer(grad), pointer(found))
    kernel.run("weight_gradient", arguments, torch.get_num_threads())
    return found


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """A 1x1 convolution of rows: (N, H, W, I) and (O, I) to (N, H, W, O); floats with contiguous channels on the kernel."""
    autocast = torch.is_autocast_enabled(x.device.type)
    if autocast or x.dtype != torch.float32 or x.stride(3) != 1 or not can_train_rows(x, weight):
        return F.linear(x, weight)
    return _Linear.apply(x, weight)  # pyright: ignore[reportReturnType]  # PyTorch does not declare what it gives
