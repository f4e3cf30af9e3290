"""Batch norms in training on the fused kernel, with the residual and the activation that follow: one pass for moments, one for the rest."""

from __future__ import annotations

import functools
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from axialzoo.ops.kernels.structures import AxialNorm
from axialzoo.ops.torch.dispatch import TYPES, data_ptr, double_backward, kernel_for

Form = tuple[int, int, bool]  # terms, heads, relu: see `normalised`


def normalised(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    epsilon: float,
    form: Form = (1, 0, False),
    *,
    residual: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows normalised by their own moments: ask :func:`axialzoo.ops.torch.dispatch.can_train_rows` before.

    Args:
        x: (..., terms C), floats or bfloat16.
        weight, bias: (terms C,), floats, in the order of x's channels.
        epsilon: Added to the variance.
        form: How many norms are summed, as of retrieved contents and positions; G, where channels of x lie with the head index fastest and
            the result's are to lie head by head, else 0; and whether the result is activated.
        residual: (..., C), added to the result.
        dtype: Of the result and of `residual`; x's where None.

    Returns:
        (..., C), and mean and biased variance of x's channels.
    """
    made = _Norm.apply(x.contiguous(), weight, bias, residual, epsilon, form, dtype or x.dtype)
    return cast(tuple[Tensor, Tensor, Tensor], made)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None, epsilon: float, form: Form, dtype: torch.dtype):
        mean, variance = moments_of(x)
        inverse = torch.rsqrt(variance + epsilon)  # (terms C,)
        if residual is not None:
            shape = (*x.shape[:-1], len(weight) // form[0])
            if residual.shape != shape:
                raise ValueError(f"normalised: expected a residual of shape {shape}, channels last, found {tuple(residual.shape)}")
            residual = residual.to(dtype).contiguous()
        y = applied(x, mean, weight * inverse, bias, form, dtype, residual)
        ctx.save_for_backward(x, weight, bias, mean, inverse, y if form[2] else None)
        ctx.form, ctx.dtype, ctx.epsilon, ctx.adds = form, dtype, epsilon, residual is not None
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, inverse, y = ctx.saved_tensors
        grad = grads[0]
        if torch.is_grad_enabled():
            grad = grad if y is None else grad * (y > 0)
            plain = functools.partial(_plain, epsilon=ctx.epsilon, form=ctx.form, dtype=ctx.dtype)
            found = double_backward(plain, (x, weight, bias), grad, ctx.needs_input_grad)
            return *found, grad if ctx.adds else None, None, None, None
        return *gradients(grad.contiguous(), x, weight, mean, inverse, ctx.form, y, ctx.adds), None, None, None


def moments_of(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of the channels of contiguous rows: (..., C) to (C,) each, floats."""
    mean, variance = x.new_empty((2, x.shape[-1]), dtype=torch.float32)
    _run("norm_moments", x, None, (1, 0, False), mean=mean, variance=variance)
    return mean, variance


def applied(x: Tensor, mean: Tensor, scale: Tensor, bias: Tensor, form: Form, dtype: torch.dtype, residual: Tensor | None = None) -> Tensor:
    """``(x - mean) scale + bias``, terms summed, and what follows: (..., terms C) to (..., C)."""
    y = x.new_empty((*x.shape[:-1], x.shape[-1] // form[0]), dtype=dtype)
    _run("norm_forward", x, y, form, mean=mean, scale=scale, bias=bias.contiguous(), residual=residual)
    return y


def gradients(
    grad: Tensor, x: Tensor, weight: Tensor, mean: Tensor, inverse: Tensor, form: Form, y: Tensor | None = None, adds: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Of x, weight, bias and, where there was one, the residual; y where it was activated."""
    grad_x, grad_weight, grad_bias = torch.empty_like(x), *weight.new_empty((2, len(weight)))
    masked = torch.empty_like(grad) if adds and y is not None else None
    _run(
        "norm_backward", x, y, form, grad.dtype, mean=mean, scale=weight * inverse, inverse=inverse, grad_y=grad, grad_x=grad_x,
        grad_residual=masked, grad_weight=grad_weight, grad_bias=grad_bias,
    )  # fmt: skip
    return grad_x, grad_weight, grad_bias, masked if masked is not None or not adds else grad


def _run(name: str, x: Tensor, y: Tensor | None, form: Form, dtype: torch.dtype | None = None, **tensors: Tensor | None) -> None:
    """Calls the kernel with these tensors, by the names of ``AxialNorm``; `dtype` is y's where there is none."""
    kernel = kernel_for()
    if kernel is None:
        raise RuntimeError(f"{name}: expected the kernel that the forward pass had, found none; see kernel_status()")
    terms, heads, relu = form
    dtype = y.dtype if y is not None else dtype or x.dtype
    if x.dtype not in TYPES or dtype not in TYPES:
        raise TypeError(f"{name}: expected rows of float32 or bfloat16, found {x.dtype} and {dtype}")
    arguments = AxialNorm(
        x.numel() // x.shape[-1], terms, x.shape[-1] // terms, heads, x.dtype == torch.bfloat16, dtype == torch.bfloat16, relu,
        x=data_ptr(x), y=data_ptr(y), **{name: data_ptr(tensor) for name, tensor in tensors.items()},
    )  # fmt: skip
    kernel.run(name, arguments, torch.get_num_threads())


def _plain(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float, form: Form, dtype: torch.dtype) -> Tensor:
    """The same of PyTorch's operations, before residual and activation."""
    terms, heads, _ = form
    y = F.batch_norm(x.flatten(0, -2).float(), None, None, weight, bias, True, eps=epsilon)  # (R, terms C)
    y = y.unflatten(1, (terms, -1)).sum(1)  # (R, C)
    y = y.unflatten(1, (-1, heads)).mT.flatten(1) if heads else y
    return y.to(dtype).unflatten(0, x.shape[:-1])
