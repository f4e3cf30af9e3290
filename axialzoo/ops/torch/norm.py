"""Batch norms in training on the fused kernel, with residual and activation: one pass for moments, one for the rest."""

from __future__ import annotations

import functools
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from axialzoo.ops.kernels.structures import AxialNorm
from axialzoo.ops.torch.dispatch import TYPES, data_ptr, double_backward, kernel_for

NormAttributes = tuple[int, int, bool]  # terms, heads, relu: see `normalised`


def normalised(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    epsilon: float,
    attributes: NormAttributes = (1, 0, False),
    *,
    residual: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise rows by their own moments; call only if :func:`axialzoo.ops.torch.dispatch.can_train_rows`.

    Args:
        x: (..., terms C), floats or bfloat16.
        weight, bias: (terms C,), floats, in the order of x's channels.
        epsilon: Added to the variance.
        attributes: Number of norms whose results are summed (retrieved contents and positions: 2); G if the channels of x lie with the
            head index fastest and those of the result head by head, else 0; and whether a ReLU follows.
        residual: (..., C), added to the result.
        dtype: Type of the result and of `residual`; None for that of x.

    Returns:
        (..., C), and mean and biased variance of x's channels.
    """
    outputs = _Norm.apply(x.contiguous(), weight, bias, residual, epsilon, attributes, dtype or x.dtype)
    return cast(tuple[Tensor, Tensor, Tensor], outputs)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        residual: Tensor | None,
        epsilon: float,
        attributes: NormAttributes,
        dtype: torch.dtype,
    ):
        mean, variance = moments_of(x)
        inverse = torch.rsqrt(variance + epsilon)  # (terms C,)
        if residual is not None:
            shape = (*x.shape[:-1], len(weight) // attributes[0])
            if residual.shape != shape:
                raise ValueError(f"normalised: expected a residual of shape {shape}, channels last, found {tuple(residual.shape)}")
            residual = residual.to(dtype).contiguous()
        y = apply_norm(x, mean, weight * inverse, bias, attributes, dtype, residual)
        ctx.save_for_backward(x, weight, bias, mean, inverse, y if attributes[2] else None)
        ctx.attributes, ctx.dtype, ctx.epsilon, ctx.adds = attributes, dtype, epsilon, residual is not None
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, inverse, y = ctx.saved_tensors
        grad = grads[0]
        if torch.is_grad_enabled():
            grad = grad if y is None else grad * (y > 0)
            reference = functools.partial(_reference, epsilon=ctx.epsilon, attributes=ctx.attributes, dtype=ctx.dtype)
            grad_inputs = double_backward(reference, (x, weight, bias), grad, ctx.needs_input_grad)
            return *grad_inputs, grad if ctx.adds else None, None, None, None
        return *gradients(grad.contiguous(), x, weight, mean, inverse, ctx.attributes, y, ctx.adds), None, None, None


def moments_of(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean and biased variance of the channels of contiguous rows: (..., C) to (C,) each, floats."""
    mean, variance = x.new_empty((2, x.shape[-1]), dtype=torch.float32)
    _run("norm_moments", x, None, (1, 0, False), mean=mean, variance=variance)
    return mean, variance


def apply_norm(
    x: Tensor, mean: Tensor, scale: Tensor, bias: Tensor, attributes: NormAttributes, dtype: torch.dtype, residual: Tensor | None = None
) -> Tensor:
    """Compute ``(x - mean) scale + bias``, sum over terms, add the residual and activate: (..., terms C) to (..., C)."""
    y = x.new_empty((*x.shape[:-1], x.shape[-1] // attributes[0]), dtype=dtype)
    _run("norm_forward", x, y, attributes, mean=mean, scale=scale, bias=bias.contiguous(), residual=residual)
    return y


def gradients(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    inverse: Tensor,
    attributes: NormAttributes,
    y: Tensor | None = None,
    adds: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Compute the gradients of x, weight, bias and, if there was one (`adds`), the residual. `y` is the activated result, else None."""
    grad_x, grad_weight, grad_bias = torch.empty_like(x), *weight.new_empty((2, len(weight)))
    masked = torch.empty_like(grad) if adds and y is not None else None
    _run(
        "norm_backward", x, y, attributes, grad.dtype, mean=mean, scale=weight * inverse, inverse=inverse, grad_y=grad, grad_x=grad_x,
        grad_residual=masked, grad_weight=grad_weight, grad_bias=grad_bias,
    )  # fmt: skip
    return grad_x, grad_weight, grad_bias, masked if masked is not None or not adds else grad


def _run(
    name: str, x: Tensor, y: Tensor | None, attributes: NormAttributes, dtype: torch.dtype | None = None, **tensors: Tensor | None
) -> None:
    """Call the kernel with these tensors, named as in ``AxialNorm``; without a y, `dtype` is its type."""
    kernel = kernel_for()
    if kernel is None:
        raise RuntimeError(f"{name}: expected the kernel that the forward pass had, found none; see kernel_status()")
    terms, heads, relu = attributes
    dtype = y.dtype if y is not None else dtype or x.dtype
    if x.dtype not in TYPES or dtype not in TYPES:
        raise TypeError(f"{name}: expected rows of float32 or bfloat16, found {x.dtype} and {dtype}")
    arguments = AxialNorm(
        x.numel() // x.shape[-1], terms, x.shape[-1] // terms, heads, x.dtype == torch.bfloat16, dtype == torch.bfloat16, relu,
        x=data_ptr(x), y=data_ptr(y), **{name: data_ptr(tensor) for name, tensor in tensors.items()},
    )  # fmt: skip
    kernel.run(name, arguments, torch.get_num_threads())


def _reference(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float, attributes: NormAttributes, dtype: torch.dtype) -> Tensor:
    """Compute the norm with PyTorch's operations, before residual and activation."""
    terms, heads, _ = attributes
    y = F.batch_norm(x.flatten(0, -2).float(), None, None, weight, bias, True, eps=epsilon)  # (R, terms C)
    y = y.unflatten(1, (terms, -1)).sum(1)  # (R, C)
    y = y.unflatten(1, (-1, heads)).mT.flatten(1) if heads else y
    return y.to(dtype).unflatten(0, x.shape[:-1])
