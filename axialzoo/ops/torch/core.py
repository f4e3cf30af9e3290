"""From rows to what is retrieved for them, in training on the fused kernel, in one step that keeps as little as can be.

Kept for the backward pass are the rows and a number a softmax row. Queries, keys and values are normalised again, and of few channels,
where maps are large, projected again too: a fortieth of the time for a fifth of the memory.
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
from axialzoo.ops.torch.moments import add_gradients, logit_sums, plain_sums
from axialzoo.ops.torch.rows import gradients, product, takes
from axialzoo.ops.torch.training import plain_attend
from axialzoo.spec.attention import SIMILARITY_TERMS

ROWS: fused_norm.Form = (1, 0, False)
FEW = 128  # channels of which a projection is computed again rather than kept


class Core(NamedTuple):
    """Describes the layer that the rows belong to.

    Attributes:
        attributes: Of its attention, without a span.
        heads: G.
        terms: Terms of the logits, by name.
        epsilon: Of the norm of the projection.
        scale: ``scale(mean, variance, n, *parameters)`` returns the factor of each term of the logits, (terms, G), from moments of `n`
            values each, and updates the moving statistics; `parameters` replace the norm's own.
        frozen: Context in which `scale` leaves the moving statistics alone.
        order: Row of the projection at each place, (2K + V,).
        dtype: Type of the projection.
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
    def sums_form(self) -> logit_statistics.Form:
        return self.axis, self.heads, self.attributes.key_depth, self.attributes.content_similarity

    def scales(self, sums: Tensor, lines: int, length: int, *parameters: Tensor) -> Tensor:
        """Factors of the three terms of the logits, (3, G), zeros where there is no such term; updates the moving statistics."""
        mean, variance, n = moments(sums, lines * length**2)
        some = [SIMILARITY_TERMS.index(term) for term in self.terms]
        scale = self.scale(mean[some], variance[some], n, *parameters)  # (terms, G)
        return scale.new_zeros(3, scale.shape[1]).index_copy(0, torch.tensor(some), scale)


def moments(sums: Tensor, n: int) -> tuple[Tensor, Tensor, int]:
    """Mean and (biased) variance of the logits' terms, (3, G) floats, from their sums, (3, 2, G), of `n` values each."""
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
    """Projects and normalises rows, takes the statistics of their logits and attends along a whole axis.

    Args:
        x: (N, H, W, C).
        projection: (2K + V, C), head by head; None where x are queries, keys and values already, (N, H, W, 2K + V) floats, contiguous,
            the head index fastest.
        weight, bias: (2K + V,), of the norm of what is projected, the head index fastest.
        tables: Of queries, keys and values, (2P - 1, D), P at least the axis's length; None where not used.
        similarity: Weight and bias of the norm of the logits, (terms G,) each.
        core: Describes the layer.

    Returns:
        Contents, then positions retrieved, those that there are, (N, H, W, terms V), floats, the head index fastest; and mean and
        variance of the channels of what was projected.
    """
    x = x if x.stride(3) == 1 else x.contiguous()
    with torch.autocast(x.device.type, enabled=False):
        made = _Core.apply(x, projection, weight, bias, *tables, *similarity, core)
    return cast(tuple[Tensor, Tensor, Tensor], made)


class _Core(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, projection: Tensor | None, weight: Tensor, bias: Tensor, *more):
        *tables, scale_weight, scale_bias, core = more
        tables = [None if table is None else table.contiguous() for table in tables]
        mean = inverse = variance = weight.new_empty(0)
        qkv = rows = projected(x, projection, core)
        if projection is not None:
            mean, variance = fused_norm.moments_of(rows)
            inverse = torch.rsqrt(variance + core.epsilon)
            qkv = fused_norm.applied(rows, mean, weight * inverse, bias, ROWS, torch.float32)
        sums, grams = logit_sums(qkv, tables[:2], core.sums_form)
        with torch.enable_grad(), saved_tensors_hooks(_as_it_is, _as_it_is):  # a graph of its own, of a few numbers
            sums.requires_grad_()
            scales = core.scales(sums, *lines_of(qkv, core.axis), scale_weight, scale_bias)  # (3, G)
        out, normaliser = torch.ops.axialzoo.attend(qkv, *tables, scales.detach(), *core.attributes.flat())
        kept = None if projection is None or x.shape[3] <= FEW else rows
        ctx.save_for_backward(x, projection, weight, bias, *tables, scale_weight, scale_bias, kept, mean, inverse, grams, normaliser)
        ctx.core, ctx.sums, ctx.scales = core, sums, scales
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, rows, mean, inverse, grams, normaliser = ctx.saved_tensors
        core, wanted = ctx.core, ctx.needs_input_grad
        if torch.is_grad_enabled():
            return *double_backward(functools.partial(_plain, core=core), inputs, grads[0], wanted), None
        x, projection, weight, bias, *tables, scale_weight, scale_bias = inputs
        qkv = rows = projected(x, projection, core) if rows is None else rows
        if projection is not None:
            qkv = fused_norm.applied(rows, mean, weight * inverse, bias, ROWS, torch.float32)
        grad, *grad_tables, grad_scales = torch.ops.axialzoo.attend_backward(
            grads[0], qkv, normaliser, *tables, ctx.scales.detach(), *core.attributes.flat()
        )
        by = (ctx.sums, scale_weight, scale_bias)
        grad_sums, *grad_parameters = torch.autograd.grad(ctx.scales, by, grad_scales, retain_graph=True, materialize_grads=True)
        more = [*add_gradients(grad, grad_sums, qkv, tables[:2], grams, core.sums_form), None]
        found = zip(tables, grad_tables, more)
        grad_tables = [None if table is None else one if other is None else one + other for table, one, other in found]
        if projection is None:
            return grad, None, None, None, *grad_tables, *grad_parameters, None
        grad, grad_weight, grad_bias, _ = fused_norm.gradients(grad, rows, weight, mean, inverse, ROWS)
        grad_x, grad_projection = projection_gradients(x, projection, grad, core, wanted[:2])
        return grad_x, grad_projection, grad_weight, grad_bias, *grad_tables, *grad_parameters, None


def projected(x: Tensor, projection: Tensor | None, core: Core) -> Tensor:
    """(N, H, W, C) to (N, H, W, 2K + V), the head index fastest, computed in the type of the core: floats or bfloat16."""
    if projection is None:
        return x
    matrix = projection[core.order]
    if takes(x) and core.dtype == x.dtype:
        return product(x, matrix)
    return to_kernel_dtype(F.linear(x.to(core.dtype), matrix.to(core.dtype)))


def projection_gradients(
    x: Tensor, projection: Tensor, grad: Tensor, core: Core, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Of :func:`projected`, those that are wanted."""
    matrix = projection[core.order]
    if takes(x) and core.dtype == x.dtype:
        grad_x, found = gradients(x, matrix, grad, wanted)
    else:
        grad = grad.to(core.dtype)
        grad_x = F.linear(grad, matrix.T.to(core.dtype)).to(x.dtype) if wanted[0] else None
        found = (grad.flatten(0, 2).T @ x.to(core.dtype).flatten(0, 2)).to(projection.dtype) if wanted[1] else None
    if found is None:
        return grad_x, None
    grad_projection = torch.empty_like(projection)
    grad_projection[core.order] = found
    return grad_x, grad_projection


def _as_it_is(x: Tensor) -> Tensor:
    return x


def lines_of(rows: Tensor, axis: int) -> tuple[int, int]:
    """How many lines are attended along, and their length."""
    return rows.shape[0] * rows.shape[2 - axis], rows.shape[1 + axis]


def _plain(*inputs: Tensor | None, core: Core) -> Tensor:
    """Compute the same of PyTorch's operations, which have derivatives of any order; L x L logits and all. Updates nothing."""
    x, projection, weight, bias, query_table, key_table, value_table, scale_weight, scale_bias = inputs
    assert x is not None and scale_weight is not None and scale_bias is not None
    qkv = x if projection is None else F.linear(x.to(core.dtype), projection[core.order].to(core.dtype)).float()
    if projection is not None:
        qkv = F.batch_norm(qkv.flatten(0, 2), None, None, weight, bias, True, eps=core.epsilon).unflatten(0, x.shape[:3])
    sums = plain_sums(qkv, (query_table, key_table), core.sums_form)
    with core.frozen():
        scales = core.scales(sums, *lines_of(qkv, core.axis), scale_weight, scale_bias)
    return plain_attend(qkv, query_table, key_table, value_table, scales, attributes=core.attributes)
