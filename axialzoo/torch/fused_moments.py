"""Batch statistics of the logits in training on the fused kernel: sums of each term and of its squares, without L x L tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from axialzoo.kernels.structures import AxialMoments
from axialzoo.torch.serving import differentiable, pointer, serving_kernel


def logit_sums(
    qkv: Tensor, query_table: Tensor | None, key_table: Tensor | None, axis: int, heads: int, key_depth: int, content: bool
) -> tuple[Tensor, Tensor]:
    """Sums of the logits of a whole axis, for a kernel on a CPU: ask :func:`axialzoo.torch.fused_training.can_attend` before.

    Args:
        qkv: (N, H, W, 2K + V), floats, the head index fastest.
        query_table, key_table: (2P - 1, Dk), P at least the axis's length; None where not used.
        axis: 0 attends along the height, 1 along the width.
        heads, key_depth: G, Dk.
        content: Whether there is q.k.

    Returns:
        qkv as it came, for what attends, so that its gradient is added up in one place; and (3, 2, G) doubles: of q.k, q.rq and k.rk
        the sum over batch, queries and keys, and that of squares.
    """
    return _Sums.apply(qkv.contiguous(), query_table, key_table, (axis, heads, key_depth, content))  # pyright: ignore[reportReturnType]


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx, qkv: Tensor, query_table: Tensor | None, key_table: Tensor | None, form: tuple[int, int, int, bool]):
        axis, heads, depth, _ = form
        tables = [None if table is None else table.contiguous() for table in (query_table, key_table)]
        sums = qkv.new_zeros((3, 2, heads), dtype=torch.float64)
        grams = qkv.new_empty((2, qkv.shape[1 + axis], depth * (depth + 3) // 2, heads), dtype=torch.float64)
        _run("moments_forward", qkv, tables, form, sums=sums, grams=grams)
        ctx.save_for_backward(qkv, *tables, grams)
        ctx.form = form
        return qkv, sums

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad, grad_sums), (qkv, *tables, grams) = grads, ctx.saved_tensors
        if torch.is_grad_enabled():
            found = differentiable(lambda *inputs: _plain(*inputs, ctx.form), (qkv, *tables), grad_sums, ctx.needs_input_grad)
            return None if found[0] is None else found[0] + grad, *found[1:], None
        grad = grad.contiguous()  # of what attends alone, so that more can be added to it
        grad_tables = [None if table is None else torch.empty_like(table) for table in tables]
        _run(
            "moments_backward", qkv, tables, ctx.form, grams=grams, grad_sums=grad_sums.contiguous(), grad_x=grad,
            grad_query_table=grad_tables[0], grad_key_table=grad_tables[1],
        )  # fmt: skip
        return grad, *grad_tables, None


def _run(name: str, qkv: Tensor, tables: list[Tensor | None], form, **tensors: Tensor | None) -> None:
    kernel = serving_kernel(qkv, *tables)
    if kernel is None:
        raise RuntimeError(f"{name}: expected the kernel that the forward pass had, found none; see kernel_status()")
    axis, heads, depth, content = form
    other, attended = 2 - axis, 1 + axis
    rows = next((len(table) for table in tables if table is not None), 1)
    arguments = AxialMoments(
        qkv.shape[0], qkv.shape[other], qkv.shape[attended], heads, depth, rows // 2, pointer(qkv), qkv.stride(0), qkv.stride(other),
        qkv.stride(attended), *map(pointer, tables), content, **{name: pointer(tensor) for name, tensor in tensors.items()},
    )  # fmt: skip
    kernel.run(name, arguments, torch.get_num_threads())


def _plain(qkv: Tensor, query_table: Tensor | None, key_table: Tensor | None, form: tuple[int, int, int, bool]) -> Tensor:
    """The same sums of PyTorch's operations; L x L logits and all."""
    axis, heads, depth, content = form
    lines = qkv if axis == 1 else qkv.transpose(1, 2)  # (N, O, L, 2K+V)
    q, k = (part.unflatten(3, (depth, heads)).permute(4, 0, 1, 2, 3).double() for part in lines.split(heads * depth, 3)[:2])  # (G, N, O, L, D)
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
    return torch.stack(
        [torch.stack([zero if x is none else y.flatten(1).sum(1) for y in (x, x.square())]) for x in terms]
    )  # (3, 2, G)
