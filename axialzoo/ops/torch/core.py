"""Projection, norm, statistics and attention in training on the fused kernel, as one function that saves little memory for backward.

It saves the rows and one number per softmax row. The backward pass normalises queries, keys and values again. With few channels, where
maps are large, it also projects them again: this costs 1/40 of the time and saves 1/5 of the memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from axialzoo.ops.attributes import AttentionAttributes
from axialzoo.ops.torch import moments as logit_statistics
from axialzoo.ops.torch import norm as fused_norm
from axialzoo.ops.torch.dispatch import double_backward, to_kernel_dtype
from axialzoo.ops.torch.moments import add_gradients, logit_sums, reference_sums
from axialzoo.ops.torch.rows import can_multiply, gradients, product
from axialzoo.ops.torch.training import reference_attend
from axialzoo.spec.attention import SIMILARITY_TERMS

ROWS: fused_norm.NormAttributes = (1, 0, False)
FEW = 128  # up to so many channels the backward pass recomputes the projection


class Core(NamedTuple):
    """Settings of the layer that the rows belong to.

    Attributes:
        attributes: Attributes of its attention, without a span.
        heads: G.
        terms: Names of the terms of the logits.
        epsilon: Epsilon of the projection's norm.
        scale: ``scale(mean, variance, n, *parameters)`` returns the factor of each term of the logits, (terms, G), from moments of `n`
            values each, and updates the moving statistics; `parameters` replace the norm's own.
        frozen: Context in which `scale` leaves the moving statistics alone.
        order: Order of the projection's rows with the head index fastest, (2K + V,).
        dtype: Type that the projection is computed in.
    """

    attributes: AttentionAttributes
    heads: int
    terms: tuple[str, ...]
    epsilon: float
    scale: Callable[..., Tensor]
    frozen: Callable[[], AbstractContextManager[None]]
    order: Tensor
    dtype: torch.dtype

    @property
    def axis(self) -> int:
        return self.attributes.axis

    @property
    def moments_attributes(self) -> logit_statistics.MomentsAttributes:
        return self.axis, self.heads, self.attributes.key_depth, self.attributes.content_similarity

    def scales(self, sums: Tensor, lines: int, length: int, *parameters: Tensor) -> Tensor:
        """Return the factors of the three terms of the logits, (3, G), zero for a missing term; updates the moving statistics."""
        mean, variance, n = moments(sums, lines * length**2)
        indices = [SIMILARITY_TERMS.index(term) for term in self.terms]
        scale = self.scale(mean[indices], variance[indices], n, *parameters)  # (terms, G)
        return scale.new_zeros(3, scale.shape[1]).index_copy(0, torch.tensor(indices), scale)


def moments(sums: Tensor, n: int) -> tuple[Tensor, Tensor, int]:
    """Compute mean and biased variance of the logits' terms, (3, G) floats, from their sums, (3, 2, G), of `n` values each."""
    mean, square = (sums / n).unbind(1)
    return mean.float(), (square - mean.square()).clamp(min=0).float(), n


def retrieve(
    x: Tensor,
    projection: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    tables: list[Tensor | None],
    similarity: tuple[Tensor, Tensor],
    core: Core,
) -> tuple[Tensor, Tensor, Tensor]:
    """Project and normalise rows, compute the statistics of their logits and attend along a whole axis.

    Args:
        x: (N, H, W, C).
        projection: (2K + V, C), head by head; None where x holds queries, keys and values already: (N, H, W, 2K + V) floats, contiguous,
            head index fastest.
        weight, bias: (2K + V,), of the norm after the projection, head index fastest.
        tables: Tables of queries, keys and values, (2P - 1, D), P at least the axis's length; None where not used.
        similarity: Weight and bias of the norm of the logits, (terms G,) each.
        core: Settings of the layer.

    Returns:
        The retrieved contents, then positions, (N, H, W, terms V) floats, head index fastest; and mean and variance of the projected
        channels.
    """
    x = x if x.stride(3) == 1 else x.contiguous()
    with torch.autocast(x.device.type, enabled=False):
        outputs = _Core.apply(x, projection, weight, bias, *tables, *similarity, core)
    return cast(tuple[Tensor, Tensor, Tensor], outputs)


class _Core(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, projection: Tensor | None, weight: Tensor, bias: Tensor, *more):
        *tables, scale_weight, scale_bias, core = more
        tables = [None if table is None else table.contiguous() for table in tables]
        mean = inverse = variance = weight.new_empty(0)
        qkv = rows = project(x, projection, core)
        if projection is not None:
            mean, variance = fused_norm.moments_of(rows)
            inverse = torch.rsqrt(variance + core.epsilon)
            qkv = fused_norm.apply_norm(rows, mean, weight * inverse, bias, ROWS, torch.float32)
        sums, grams = logit_sums(qkv, tables[:2], core.moments_attributes)
        with torch.enable_grad(), saved_tensors_hooks(_identity, _identity):  # a small graph of its own
            sums.requires_grad_()
            scales = core.scales(sums, *lines_of(qkv, core.axis), scale_weight, scale_bias)  # (3, G)
        out, normaliser = torch.ops.axialzoo.attend(qkv, *tables, scales.detach(), *core.attributes.flat())
        saved_rows = None if projection is None or x.shape[3] <= FEW else rows
        ctx.save_for_backward(x, projection, weight, bias, *tables, scale_weight, scale_bias, saved_rows, mean, inverse, grams, normaliser)
        ctx.core, ctx.sums, ctx.scales = core, sums, scales
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, rows, mean, inverse, grams, normaliser = ctx.saved_tensors
        core, needs_grad = ctx.core, ctx.needs_input_grad
        if torch.is_grad_enabled():
            return *double_backward(functools.partial(_reference, core=core), inputs, grads[0], needs_grad), None
        x, projection, weight, bias, *tables, scale_weight, scale_bias = inputs
        qkv = rows = project(x, projection, core) if rows is None else rows
        if projection is not None:
            qkv = fused_norm.apply_norm(rows, mean, weight * inverse, bias, ROWS, torch.float32)
        grad, *grad_tables, grad_scales = torch.ops.axialzoo.attend_backward(
            grads[0], qkv, normaliser, *tables, ctx.scales.detach(), *core.attributes.flat()
        )
        parameters = (ctx.sums, scale_weight, scale_bias)
        grad_sums, *grad_parameters = torch.autograd.grad(ctx.scales, parameters, grad_scales, retain_graph=True, materialize_grads=True)
        from_sums = [*add_gradients(grad, grad_sums, qkv, tables[:2], grams, core.moments_attributes), None]
        by_table = zip(tables, grad_tables, from_sums)
        grad_tables = [None if table is None else a if b is None else a + b for table, a, b in by_table]
        if projection is None:
            return grad, None, None, None, *grad_tables, *grad_parameters, None
        grad, grad_weight, grad_bias, _ = fused_norm.gradients(grad, rows, weight, mean, inverse, ROWS)
        grad_x, grad_projection = projection_gradients(x, projection, grad, core, needs_grad[:2])
        return grad_x, grad_projection, grad_weight, grad_bias, *grad_tables, *grad_parameters, None


def project(x: Tensor, projection: Tensor | None, core: Core) -> Tensor:
    """Project rows: (N, H, W, C) to (N, H, W, 2K + V), head index fastest, in `core.dtype`; the result is of floats or bfloat16."""
    if projection is None:
        return x
    matrix = projection[core.order]
    if can_multiply(x) and core.dtype == x.dtype:
        return product(x, matrix)
    return to_kernel_dtype(F.linear(x.to(core.dtype), matrix.to(core.dtype)))


def projection_gradients(
    x: Tensor, projection: Tensor, grad: Tensor, core: Core, needs_grad: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Compute the gradients of :func:`project` by `x` and `projection`; None for those that `needs_grad` does not ask for."""
    matrix = projection[core.order]
    if can_multiply(x) and core.dtype == x.dtype:
        grad_x, grad_matrix = gradients(x, matrix, grad, needs_grad)
    else:
        grad = grad.to(core.dtype)
        grad_x = F.linear(grad, matrix.T.to(core.dtype)).to(x.dtype) if needs_grad[0] else None
        grad_matrix = (grad.flatten(0, 2).T @ x.to(core.dtype).flatten(0, 2)).to(projection.dtype) if needs_grad[1] else None
    if grad_matrix is None:
        return grad_x, None
    grad_projection = torch.empty_like(projection)
    grad_projection[core.order] = grad_matrix
    return grad_x, grad_projection


def _identity(x: Tensor) -> Tensor:
    return x


def lines_of(rows: Tensor, axis: int) -> tuple[int, int]:
    """Return the number of lines that are attended along, and their length."""
    return rows.shape[0] * rows.shape[2 - axis], rows.shape[1 + axis]


def _reference(*inputs: Tensor | None, core: Core) -> Tensor:
    """Compute :func:`retrieve` with PyTorch's operations, which have derivatives of any order but need L x L logits. Updates nothing."""
    x, projection, weight, bias, *tables, scale_weight, scale_bias = inputs
    assert x is not None and scale_weight is not None and scale_bias is not None
    qkv = x if projection is None else F.linear(x.to(core.dtype), projection[core.order].to(core.dtype)).float()
    if projection is not None:
        qkv = F.batch_norm(qkv.flatten(0, 2), None, None, weight, bias, True, eps=core.epsilon).unflatten(0, x.shape[:3])
    sums = reference_sums(qkv, tables[:2], core.moments_attributes)
    with core.frozen():
        scales = core.scales(sums, *lines_of(qkv, core.axis), scale_weight, scale_bias)
    return reference_attend(qkv, *tables, scales, attributes=core.attributes)
