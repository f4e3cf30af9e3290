"""Batch statistics of the logits in training on the fused kernel: sums of each term and of its squares, without L x L tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from axialzoo.ops.kernels.structures import AxialMoments
from axialzoo.ops.torch.dispatch import data_ptr, double_backward, kernel_for

MomentsAttributes = tuple[int, int, int, bool]  # axis, heads, depth of keys, whether there is q.k


def logit_sums(qkv: Tensor, tables: Sequence[Tensor | None], attributes: MomentsAttributes) -> tuple[Tensor, Tensor]:
    """Sum the logits of a whole axis, and their squares.

    Args:
        qkv: (N, H, W, 2K + V), contiguous floats, head index fastest.
        tables: Tables of queries and keys, (2P - 1, Dk), contiguous, P at least the axis's length; None where not used.
        attributes: Axis (0 for the height), heads, depth of keys, and whether there is q.k.

    Returns:
        (3, 2, G) doubles: for q.k, q.rq and k.rk the sum over batch, queries and keys, and the sum of squares; and the Gram matrices
        for :func:`add_gradients`.
    """
    axis, heads, depth, _ = attributes
    sums = qkv.new_zeros((3, 2, heads), dtype=torch.float64)
    grams = qkv.new_empty((2, qkv.shape[1 + axis], depth * (depth + 3) // 2, heads), dtype=torch.float64)
    _run("moments_forward", qkv, tables, attributes, sums=sums, grams=grams)
    return sums, grams


def add_gradients(
    grad: Tensor, grad_sums: Tensor, qkv: Tensor, tables: Sequence[Tensor | None], grams: Tensor, attributes: MomentsAttributes
) -> list[Tensor | None]:
    """Add the gradient of the sums by qkv to `grad` in place; return their gradients by the tables."""
    grad_tables = [None if table is None else torch.empty_like(table) for table in tables]
    _run(
        "moments_backward", qkv, tables, attributes, grams=grams, grad_sums=grad_sums.contiguous(), grad_x=grad,
        grad_query_table=grad_tables[0], grad_key_table=grad_tables[1],
    )  # fmt: skip
    return grad_tables


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(ctx, qkv: Tensor, query_table: Tensor | None, key_table: Tensor | None, attributes: MomentsAttributes):
        tables = [None if table is None else table.contiguous() for table in (query_table, key_table)]
        sums, grams = logit_sums(qkv, tables, attributes)
        ctx.save_for_backward(qkv, *tables, grams)
        ctx.attributes = attributes
        return qkv, sums

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad, grad_sums), (qkv, *tables, grams) = grads, ctx.saved_tensors
        if torch.is_grad_enabled():
            reference, needs_grad = (lambda qkv, *tables: reference_sums(qkv, tables, ctx.attributes)), ctx.needs_input_grad
            grad_qkv, *grad_tables = double_backward(reference, (qkv, *tables), grad_sums, needs_grad)
            return None if grad_qkv is None else grad_qkv + grad, *grad_tables, None
        grad = grad.clone(memory_format=torch.contiguous_format)
        return grad, *add_gradients(grad, grad_sums, qkv, tables, grams, ctx.attributes), None


def logit_moments(
    qkv: Tensor, query_table: Tensor | None, key_table: Tensor | None, attributes: MomentsAttributes
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute mean and biased variance of the logits, differentiably, for Keras on PyTorch: see :func:`logit_sums`.

    Returns:
        The input qkv, to attend with, so that its gradients add up in one place; and mean and variance of q.k, q.rq and k.rk over batch,
        queries and keys, (3, G) each.
    """
    qkv, sums = cast(tuple[Tensor, Tensor], _Moments.apply(qkv.contiguous(), query_table, key_table, attributes))
    mean, square = (sums / (qkv[..., 0].numel() * qkv.shape[1 + attributes[0]])).unbind(1)  # (3, G) each, doubles
    return qkv, mean.float(), (square - mean.square()).clamp(min=0).float()


def reference_sums(qkv: Tensor, tables: Sequence[Tensor | None], attributes: MomentsAttributes) -> Tensor:
    """Compute :func:`logit_sums` with PyTorch's operations, which have derivatives of any order but need L x L logits."""
    query_table, key_table = tables
    axis, heads, depth, content = attributes
    lines = qkv if axis == 1 else qkv.transpose(1, 2)  # (N, O, L, 2K+V)
    parts = lines[..., : 2 * heads * depth].double().chunk(2, 3)
    q, k = (part.unflatten(3, (depth, heads)).permute(4, 0, 1, 2, 3) for part in parts)  # (G, N, O, L, D)
    position = torch.arange(q.shape[3], device=q.device)
    distance = position - position[:, None]  # (T, S): key - query
    none = q.new_zeros(())
    rq, rk = (none if table is None else table.double()[distance + len(table) // 2] for table in (query_table, key_table))  # (T, S, D)
    terms = [
        q @ k.mT if content else none,
        none if query_table is None else torch.einsum("gnotd,tsd->gnots", q, rq),
        none if key_table is None else torch.einsum("gnosd,tsd->gnots", k, rk),
    ]
    zero = q.new_zeros(heads)
    return torch.stack([torch.stack([zero if x is none else y.flatten(1).sum(1) for y in (x, x.square())]) for x in terms])  # (3, 2, G)


def _run(name: str, qkv: Tensor, tables: Sequence[Tensor | None], attributes: MomentsAttributes, **tensors: Tensor | None) -> None:
    kernel = kernel_for(qkv, *tables)
    if kernel is None:
        raise RuntimeError(f"{name}: expected the kernel that the forward pass had, found none; see kernel_status()")
    axis, heads, depth, content = attributes
    other, attended = 2 - axis, 1 + axis
    rows = next((len(table) for table in tables if table is not None), 1)
    arguments = AxialMoments(
        qkv.shape[0], qkv.shape[other], qkv.shape[attended], heads, depth, rows // 2, data_ptr(qkv), qkv.stride(0), qkv.stride(other),
        qkv.stride(attended), *map(data_ptr, tables), content, **{name: data_ptr(tensor) for name, tensor in tensors.items()},
    )  # fmt: skip
    kernel.run(name, arguments, torch.get_num_threads())
