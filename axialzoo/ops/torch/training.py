"""Attention for training on the fused kernel, without L x L tensors in the forward or the backward pass.

The forward pass saves q, k, v and one number per row, the logarithm of its sum of exponentials; the backward pass recomputes the
probabilities. On a CPU channels lie depth by depth with the head index fastest (``d * G + g``); :mod:`axialzoo.ops.torch.gpu` is the
implementation for GPUs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from axialzoo.ops.attributes import SCHEMA, TABLE_SCHEMA, AttentionAttributes
from axialzoo.ops.kernels.structures import AxialBackward, AxialForward
from axialzoo.ops.torch.dispatch import data_ptr, double_backward, kernel_for
from axialzoo.ops.torch.inference import LIBRARY, forward_arguments, reference_attention, resolve_tables_and_reach

Tables = Sequence[Tensor | None]  # tables of queries, keys and values
_TERMS = f"{TABLE_SCHEMA}, Tensor scales, {SCHEMA}"
LIBRARY.define(f"attend(Tensor qkv, {_TERMS}) -> (Tensor, Tensor)")
LIBRARY.define(f"attend_backward(Tensor grad, Tensor qkv, Tensor normaliser, {_TERMS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)")


def can_attend(*tensors: Tensor | None) -> bool:
    """Return whether the kernel is available and supports these tensors."""
    return kernel_for(*tensors) is not None


def attend(qkv: Tensor, tables: Tables, scales: Tensor, attributes: AttentionAttributes) -> tuple[Tensor, Tensor]:
    """Compute softmax attention with relative positions along one axis.

    Args:
        qkv: (N, H, W, 2K + V).
        tables: Tables of queries and keys, (2P - 1, Dk), and of values, (2P - 1, Dv); None where not used. Keys beyond their reach are
            masked.
        scales: (3, G): factors of the terms of the logits.
        attributes: Attributes of the attention; on a CPU channels must have the head index fastest.

    Returns:
        The retrieved contents, then positions, (N, H, W, terms V), and the normaliser of each row, (N, O, L, G).

    Raises:
        RuntimeError: if there is no kernel for these tensors; ask :func:`can_attend`.
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
    arguments.out, arguments.out_position_term = _term_pointers(out, tables, attributes)
    arguments.normaliser = data_ptr(normaliser)
    kernel.run("forward", arguments, torch.get_num_threads())
    return out, normaliser


def attend_backward(
    grad: Tensor, qkv: Tensor, normaliser: Tensor, tables: Tables, scales: Tensor, attributes: AttentionAttributes
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Compute the gradients of :func:`attend` by qkv, the tables (empty for a missing table) and the scales."""
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
        *_term_pointers(grad, tables, attributes),
        data_ptr(grad_qkv),
        *(0 if table is None else data_ptr(grad) for table, grad in zip(tables, grads)),
        data_ptr(grad_scales),
    )
    arguments.forward.normaliser = data_ptr(normaliser)
    kernel.run("backward", arguments, torch.get_num_threads())
    return grad_qkv, grads[0], grads[1], grads[2], grad_scales


def _results(qkv: Tensor, tables: Tables, scales: Tensor, attributes: AttentionAttributes) -> tuple[Tensor, Tensor]:
    """Create uninitialised tensors for the result, (N, H, W, terms V), and for the normalisers, (N, O, L, G)."""
    (n, h, w, channels), heads, axis = qkv.shape, scales.shape[1], attributes.axis
    values = channels - 2 * heads * attributes.key_depth
    out = qkv.new_empty((n, h, w, values * (attributes.content_value + (tables[2] is not None))))
    return out, qkv.new_empty((n, (h, w)[1 - axis], (h, w)[axis], heads), dtype=torch.float32)


def _term_pointers(x: Tensor, tables: Tables, attributes: AttentionAttributes) -> tuple[int, int]:
    """Return pointers to the contents and the positions in (N, H, W, terms V); 0 for a missing term."""
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
    """Adapt `function` to the flat arguments of ``torch.library``: `leading` tensors, three tables, scales, and attributes."""

    def flat(*arguments: Any) -> Any:
        first, tables, scales = arguments[:leading], arguments[leading : leading + 3], arguments[leading + 3]
        return function(*first, tables, scales, AttentionAttributes.from_flat(arguments[leading + 4 :]))

    return flat


LIBRARY.impl("attend", operator(attend, 1), "CPU")
LIBRARY.impl("attend_backward", operator(attend_backward, 3), "CPU")
torch.library.register_fake("axialzoo::attend", operator(_results, 1))


@torch.library.register_fake("axialzoo::attend_backward")
def _(grad, qkv, normaliser, *more):
    tables, scales = more[:3], more[3]
    grads = [qkv.new_empty(0) if table is None else table.new_empty(table.shape) for table in tables]
    return qkv.new_empty(qkv.shape), *grads, scales.new_empty(scales.shape)


def _setup(ctx, inputs, output) -> None:
    qkv, *tables, scales = inputs[:5]
    ctx.flags = inputs[5:]
    ctx.save_for_backward(qkv, *tables, scales, output[1])
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(True)


def _backward(ctx, grad, _):
    qkv, *tables, scales, normaliser = ctx.saved_tensors
    if torch.is_grad_enabled():  # double backward, which the kernel does not have
        return *_double_backward(grad, ctx.saved_tensors[:5], ctx.flags, ctx.needs_input_grad[:5]), *(None,) * len(ctx.flags)
    grad_qkv, *grads, grad_scales = torch.ops.axialzoo.attend_backward(grad, qkv, normaliser, *tables, scales, *ctx.flags)
    grads = (None if table is None else grad for table, grad in zip(tables, grads))
    return grad_qkv, *grads, grad_scales, *(None,) * len(ctx.flags)


def _double_backward(grad: Tensor, inputs: Sequence[Tensor | None], flags: Sequence, needs_grad: Sequence[bool]) -> list[Tensor | None]:
    """Compute the gradients with PyTorch's own operations and L x L logits, so that they are differentiable in turn."""
    attributes = AttentionAttributes.from_flat(tuple(flags))
    return double_backward(functools.partial(reference_attend, attributes=attributes), inputs, grad, needs_grad)


def reference_attend(qkv: Tensor, *inputs: Any, attributes: AttentionAttributes) -> Tensor:
    """Compute :func:`attend` with PyTorch's operations, which have derivatives of any order; `inputs` are the tables and the scales."""
    *tables, scales = inputs
    axis, head_fastest = attributes.axis, attributes.head_fastest
    _, reach = resolve_tables_and_reach(tables, qkv.shape[1 + axis], attributes)
    rows = qkv.transpose(1, 2) if axis == 0 else qkv  # (N, O, L, 2K+V)
    if not head_fastest:
        keys = scales.shape[1] * attributes.key_depth
        parts = rows.split((keys, keys, qkv.shape[3] - 2 * keys), 3)
        rows = torch.cat([part.unflatten(3, (scales.shape[1], -1)).mT.flatten(3) for part in parts], 3)
    retrieved = reference_attention(rows, tables, scales, reach, attributes)  # (N, O, G, L, Dv) each
    order = (0, 1, 3, 4, 2) if head_fastest else (0, 1, 3, 2, 4)
    out = torch.cat([term.permute(order).flatten(3) for term in retrieved if term is not None], 3)  # (N, O, L, terms V)
    return out.transpose(1, 2) if axis == 0 else out  # (N, H, W, terms V)


torch.library.register_autograd("axialzoo::attend", _backward, setup_context=_setup)
