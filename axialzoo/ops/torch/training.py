"""Attention proper for training, on the fused kernel: no L x L tensor is written, none is kept for the backward pass.

What is kept is q, k, v and one number a row, the logarithm of its sum of exponentials; probabilities are computed again.
On a CPU channels lie depth by depth with the head index fastest (``d * G + g``); on a GPU :mod:`axialzoo.ops.torch.gpu` serves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from axialzoo.ops.attributes import SCHEMA, AttentionAttributes
from axialzoo.ops.kernels.structures import AxialBackward, AxialForward
from axialzoo.ops.torch.dispatch import data_ptr, double_backward, kernel_for
from axialzoo.ops.torch.inference import LIBRARY, forward_arguments, reference_attention, resolve_tables_and_reach

Tables = Sequence[Tensor | None]  # of queries, keys and values
_TERMS = f"Tensor? query_table, Tensor? key_table, Tensor? value_table, Tensor scales, {SCHEMA}"
LIBRARY.define(f"attend(Tensor qkv, {_TERMS}) -> (Tensor, Tensor)")
LIBRARY.define(f"attend_backward(Tensor grad, Tensor qkv, Tensor normaliser, {_TERMS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)")


def can_attend(*tensors: Tensor | None) -> bool:
    """Whether the kernel is there and takes these tensors."""
    return kernel_for(*tensors) is not None


def attend(qkv: Tensor, tables: Tables, scales: Tensor, attributes: AttentionAttributes) -> tuple[Tensor, Tensor]:
    """Softmax attention with relative positions along one axis.

    Args:
        qkv: (N, H, W, 2K + V).
        tables: Of queries and keys, (2P - 1, Dk), and of values, (2P - 1, Dv), of the axis's own length or shorter; None where not used.
        scales: (3, G): factors of q.k, q.rq and k.rk.
        attributes: Describe the attention; a CPU takes channels with the head index fastest alone.

    Returns:
        Contents, then positions retrieved, those that there are, (N, H, W, terms V), and the normaliser of each row.

    Raises:
        RuntimeError: where there is no kernel for these tensors; ask :func:`can_attend`.
    """
    kernel = kernel_for(qkv, *tables, scales)
    if kernel is None:
        raise RuntimeError(f"attend: expected float32 on a CPU that has the kernel, found {qkv.dtype} on {qkv.device}; see kernel_status()")
    if not attributes.head_fastest:
        raise RuntimeError("attend: expected channels with the head index fastest on a CPU, found head_fastest=False")
    qkv, scales = qkv.contiguous(), scales.contiguous()
    tables = _contiguous(*tables)
    out, normaliser = _results(qkv, tables, scales, attributes)
    arguments = _arguments(qkv, tables, scales, attributes)
    arguments.out, arguments.out_position_term = _terms(out, tables, attributes)
    arguments.normaliser = data_ptr(normaliser)
    kernel.run("forward", arguments, torch.get_num_threads())
    return out, normaliser


def attend_backward(
    grad: Tensor, qkv: Tensor, normaliser: Tensor, tables: Tables, scales: Tensor, attributes: AttentionAttributes
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of :func:`attend`: of qkv, the tables (empty where there is none) and the scales."""
    kernel = kernel_for(qkv, scales)
    if kernel is None or not attributes.head_fastest:
        raise RuntimeError("attend_backward: expected the kernel that the forward pass had, found none; see kernel_status()")
    qkv, scales = qkv.contiguous(), scales.contiguous()
    tables = _contiguous(*tables)
    grad = grad.contiguous()
    grad_qkv, grad_scales = torch.empty_like(qkv), torch.empty_like(scales)
    grads = [qkv.new_empty(0) if table is None else torch.empty_like(table) for table in tables]
    arguments = AxialBackward(
        _arguments(qkv, tables, scales, attributes),
        *_terms(grad, tables, attributes),
        data_ptr(grad_qkv),
        *(0 if table is None else data_ptr(grad) for table, grad in zip(tables, grads)),
        data_ptr(grad_scales),
    )
    arguments.forward.normaliser = data_ptr(normaliser)
    kernel.run("backward", arguments, torch.get_num_threads())
    return grad_qkv, grads[0], grads[1], grads[2], grad_scales


def _results(qkv: Tensor, tables: Tables, scales: Tensor, attributes: AttentionAttributes) -> tuple[Tensor, Tensor]:
    """Empty tensors for what is retrieved, (N, H, W, terms V), and for the normalisers, (N, O, L, G)."""
    (n, h, w, channels), heads, axis = qkv.shape, scales.shape[1], attributes.axis
    values = channels - 2 * heads * attributes.key_depth
    out = qkv.new_empty((n, h, w, values * (attributes.content_value + (tables[2] is not None))))
    return out, qkv.new_empty((n, (h, w)[1 - axis], (h, w)[axis], heads), dtype=torch.float32)


def _terms(x: Tensor, tables: Tables, attributes: AttentionAttributes) -> tuple[int, int]:
    """Where the contents and the positions of (N, H, W, terms V) begin; 0 for none."""
    content, position = attributes.content_value, tables[2] is not None
    values = x.shape[3] // (content + position)
    return data_ptr(x) if content else 0, data_ptr(x) + 4 * values * content if position else 0


def _contiguous(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if x is None else x.contiguous() for x in tensors]


def _arguments(qkv: Tensor, tables: Tables, scales: Tensor, attributes: AttentionAttributes) -> AxialForward:
    heads = scales.shape[1]
    _, reach = resolve_tables_and_reach(tables, qkv.shape[1 + attributes.axis], attributes)
    depth = qkv.shape[3] // heads - 2 * attributes.key_depth
    row = heads * depth * (attributes.content_value + (tables[2] is not None))  # contents and positions of a row lie side by side
    strides = [row * stride // qkv.shape[3] for stride in qkv.stride()]
    return forward_arguments(qkv, tables, scales, attributes, reach=reach, value_depth=depth, strides=strides)


def operator(function: Callable[..., Any], leading: int) -> Callable[..., Any]:
    """Return `function` as ``torch.library`` calls it: `leading` tensors, three tables, scales, and flat attributes."""

    def flat(*arguments: Any) -> Any:
        first, tables, scales = arguments[:leading], arguments[leading : leading + 3], arguments[leading + 3]
        return function(*first, tables, scales, AttentionAttributes.from_flat(arguments[leading + 4 :]))

    return flat


LIBRARY.impl("attend", operator(attend, 1), "CPU")
LIBRARY.impl("attend_backward", operator(attend_backward, 3), "CPU")
torch.library.register_fake("axialzoo::attend", operator(_results, 1))


@torch.library.register_fake("axialzoo::attend_backward")
def _(grad, qkv, normaliser, query_table, key_table, value_table, scales, *flags):
    tables = (query_table, key_table, value_table)
    grads = [qkv.new_empty(0) if table is None else table.new_empty(table.shape) for table in tables]
    return qkv.new_empty(qkv.shape), *grads, scales.new_empty(scales.shape)


def _setup(ctx, inputs, output) -> None:
    qkv, *tables, scales = inputs[:5]
    ctx.flags = inputs[5:]
    ctx.save_for_backward(qkv, *tables, scales, output[1])
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(True)


def _backward(ctx, grad, _):
    qkv, query_table, key_table, value_table, scales, normaliser = ctx.saved_tensors
    if torch.is_grad_enabled():  # gradients of these gradients are wanted, which the kernel does not have
        return *_differentiable(grad, ctx.saved_tensors[:5], ctx.flags, ctx.needs_input_grad[:5]), *(None,) * len(ctx.flags)
    grad_qkv, *tables, grad_scales = torch.ops.axialzoo.attend_backward(
        grad, qkv, normaliser, query_table, key_table, value_table, scales, *ctx.flags
    )
    grads = (None if table is None else grad for table, grad in zip((query_table, key_table, value_table), tables))
    return grad_qkv, *grads, grad_scales, *(None,) * len(ctx.flags)


def _differentiable(grad: Tensor, inputs: Sequence[Tensor | None], flags: Sequence, wanted: Sequence[bool]) -> list[Tensor | None]:
    """The same gradients of PyTorch's own operations, which have gradients in turn; L x L logits and all."""
    attributes = AttentionAttributes.from_flat(tuple(flags))
    return double_backward(lambda *some: plain_attend(*some, attributes=attributes), inputs, grad, wanted)


def plain_attend(qkv: Tensor, query_table, key_table, value_table, scales: Tensor, *, attributes: AttentionAttributes) -> Tensor:
    """:func:`attend` of PyTorch's operations, which have derivatives of any order."""
    tables = (query_table, key_table, value_table)
    axis, head_fastest = attributes.axis, attributes.head_fastest
    _, reach = resolve_tables_and_reach(tables, qkv.shape[1 + axis], attributes)
    rows = qkv.transpose(1, 2) if axis == 0 else qkv  # (N, O, L, 2K+V)
    if not head_fastest:
        keys = scales.shape[1] * attributes.key_depth
        parts = rows.split((keys, keys, qkv.shape[3] - 2 * keys), 3)
        rows = torch.cat([part.unflatten(3, (scales.shape[1], -1)).mT.flatten(3) for part in parts], 3)
    found = reference_attention(rows, tables, scales, reach, attributes)  # (N, O, G, L, Dv) each
    order = (0, 1, 3, 4, 2) if head_fastest else (0, 1, 3, 2, 4)
    out = torch.cat([term.permute(order).flatten(3) for term in found if term is not None], 3)  # (N, O, L, terms V)
    return out.transpose(1, 2) if axis == 0 else out  # (N, H, W, terms V)


torch.library.register_autograd("axialzoo::attend", _backward, setup_context=_setup)
