"""From projected rows to what is retrieved, in training on the fused kernel, in one step that keeps as little as can be.

Kept for the backward pass are the rows as they were projected, what was retrieved and a number a softmax row; normalised queries, keys
and values are computed again from the rows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from axialzoo.spec.attention import SIMILARITY_TERMS
from axialzoo.torch import fused_moments, fused_norm
from axialzoo.torch.fused_moments import add_gradients, logit_sums, plain_sums
from axialzoo.torch.fused_training import plain_attend
from axialzoo.torch.norm import frozen_statistics
from axialzoo.torch.projection import PositionAttention
from axialzoo.torch.serving import differentiable

ROWS: fused_norm.Form = (1, 0, False)


class Core(NamedTuple):
    """A layer and the axis that it attends along, 0 for the height."""

    layer: PositionAttention
    axis: int

    @property
    def sums_form(self) -> fused_moments.Form:
        spec = self.layer.spec
        return self.axis, spec.heads, spec.key_depth, "content" in spec.similarity

    @property
    def flags(self) -> tuple[int, int, int, bool, bool, bool]:
        spec = self.layer.spec
        return self.axis, spec.key_depth, 0, "content" in spec.similarity, "content" in spec.value, True

    def scales(self, sums: Tensor, lines: int, length: int, *parameters: Tensor) -> Tensor:
        """Factors of the three terms of the logits, (3, G), zeros where there is no such term; updates the moving statistics."""
        mean, variance, n = moments(sums, lines * length**2)
        some = [SIMILARITY_TERMS.index(term) for term in self.layer.spec.similarity]
        scale = self.layer.scale_from_moments(mean[some], variance[some], n, *parameters)  # (terms, G)
        return scale.new_zeros(3, scale.shape[1]).index_copy(0, torch.tensor(some), scale)


def moments(sums: Tensor, n: int) -> tuple[Tensor, Tensor, int]:
    """Mean and (biased) variance of the logits' terms, (3, G) floats, from their sums, (3, 2, G), of `n` values each."""
    mean, square = (sums / n).unbind(1)
    return mean.float(), (square - mean.square()).clamp(min=0).float(), n


def retrieve(
    rows: Tensor, weight: Tensor | None, bias: Tensor | None, tables: list[Tensor | None], layer: PositionAttention, axis: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalises rows, takes the statistics of their logits and attends along a whole axis.

    Args:
        rows: (N, H, W, 2K + V), contiguous floats or bfloat16, the head index fastest.
        weight, bias: (2K + V,), of the norm of the rows, in their order; None where they are normalised already.
        tables: Of queries, keys and values, (2P - 1, D), P at least the axis's length; None where not used.
        layer: What the rows are of.
        axis: 0 attends along the height, 1 along the width.

    Returns:
        Contents, then positions retrieved, those that there are, (N, H, W, terms V), floats; and mean and variance of the rows' channels.
    """
    norm = layer.norm_similarity
    return _Core.apply(rows, weight, bias, *tables, norm.weight, norm.bias, Core(layer, axis))  # pyright: ignore[reportReturnType]


class _Core(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows: Tensor, weight: Tensor | None, bias: Tensor | None, *more):
        (*tables, scale_weight, scale_bias, core), none = more, rows.new_empty(0, dtype=torch.float32)
        tables = [None if table is None else table.contiguous() for table in tables]
        mean = variance = inverse = none
        if weight is not None:
            mean, variance = fused_norm.moments_of(rows)
            inverse = torch.rsqrt(variance + core.layer.norm_qkv.eps)
        qkv = _normalised(rows, weight, bias, mean, inverse)
        sums, grams = logit_sums(qkv, tables[:2], core.sums_form)
        with torch.enable_grad(), saved_tensors_hooks(_as_it_is, _as_it_is):  # a graph of its own, of a few numbers
            sums.requires_grad_()
            scales = core.scales(sums, *lines_of(rows, core.axis), scale_weight, scale_bias)  # (3, G)
        out, normaliser = torch.ops.axialzoo.attend(qkv, *tables, scales.detach(), *core.flags)
        ctx.save_for_backward(rows, weight, bias, *tables, scale_weight, scale_bias, mean, inverse, grams, normaliser)
        ctx.core, ctx.sums, ctx.scales = core, sums, scales
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, mean, inverse, grams, normaliser = ctx.saved_tensors
        core, grad = ctx.core, grads[0]
        if torch.is_grad_enabled():
            return *differentiable(lambda *some: _plain(*some, core), inputs, grad, ctx.needs_input_grad), None
        rows, weight, bias, *tables, scale_weight, scale_bias = inputs
        qkv = _normalised(rows, weight, bias, mean, inverse)
        grad_qkv, *grad_tables, grad_scales = torch.ops.axialzoo.attend_backward(
            grad, qkv, normaliser, *tables, ctx.scales.detach(), *core.flags
        )
        by = (ctx.sums, scale_weight, scale_bias)
        grad_sums, *grad_parameters = torch.autograd.grad(ctx.scales, by, grad_scales, retain_graph=True, materialize_grads=True)
        more = add_gradients(grad_qkv, grad_sums, qkv, tables[:2], grams, core.sums_form)
        grad_tables = [None if table is None else found for table, found in zip(tables, grad_tables)]
        for index, found in enumerate(more):
            if found is not None:
                grad_tables[index] += found
        if weight is None:
            return grad_qkv, None, None, *grad_tables, *grad_parameters, None
        grad_rows, grad_weight, grad_bias, _ = fused_norm.gradients(grad_qkv, rows, weight, mean, inverse, ROWS)
        return grad_rows, grad_weight, grad_bias, *grad_tables, *grad_parameters, None


def _as_it_is(x: Tensor) -> Tensor:
    return x


def lines_of(rows: Tensor, axis: int) -> tuple[int, int]:
    """How many lines are attended along, and their length."""
    return rows.shape[0] * rows.shape[2 - axis], rows.shape[1 + axis]


def _normalised(rows: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, inverse: Tensor) -> Tensor:
    """Queries, keys and values, floats; the rows themselves where there is no norm."""
    if weight is None or bias is None:
        return rows
    return fused_norm.applied(rows, mean, weight * inverse, bias, ROWS, torch.float32)


def _plain(rows, weight, bias, query_table, key_table, value_table, scale_weight, scale_bias, core: Core) -> Tensor:
    """The same of PyTorch's operations, which have derivatives of any order; L x L logits and all. Updates nothing."""
    qkv = rows.float()
    if weight is not None:
        qkv = F.batch_norm(qkv.flatten(0, 2), None, None, weight, bias, True, eps=core.layer.norm_qkv.eps).unflatten(0, rows.shape[:3])
    sums = plain_sums(qkv, (query_table, key_table), core.sums_form)
    with frozen_statistics(core.layer):
        scales = core.scales(sums, *lines_of(rows, core.axis), scale_weight, scale_bias)
    return plain_attend(qkv, query_table, key_table, value_table, scales, flags=core.flags)
