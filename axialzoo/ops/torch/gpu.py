"""CUDA implementation of the operators in :mod:`axialzoo.ops.torch.inference` and :mod:`axialzoo.ops.torch.training`, on the GPU kernel.

It takes float32, bfloat16 and float16; logits, softmax and sums are float32. Without Triton (:func:`axialzoo.ops.kernels.gpu_status`)
layers train with PyTorch's own operations, and so does the operator of inference.
On a GPU the channels of q, k and v lie head by head (``g * D + d``), so that each program reads contiguous memory.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from axialzoo.ops.attributes import AttentionAttributes
from axialzoo.ops.kernels import gpu_status
from axialzoo.ops.kernels.gpu.settings import Settings, chunks, settings
from axialzoo.ops.torch import inference
from axialzoo.ops.torch.inference import LIBRARY, Folded, channels_last, resolve_tables_and_reach, unpack_panels
from axialzoo.ops.torch.training import Tables, operator

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def supports(*tensors: Tensor | None) -> bool:
    """Return whether the kernel is available and supports these tensors."""
    return all(x is None or (x.device.type == "cuda" and x.dtype in DTYPES) for x in tensors) and gpu_status().path == "triton"


def attend(qkv: Tensor, tables: Tables, scales: Tensor, attributes: AttentionAttributes) -> tuple[Tensor, Tensor]:
    """Compute :func:`axialzoo.ops.torch.training.attend` on a GPU; the normalisers are float32."""
    from axialzoo.ops.kernels.gpu.forward import forward_kernel

    call = Call(qkv, tables, scales, attributes)
    out = qkv.new_empty((*qkv.shape[:3], call.terms * call.values))
    normaliser = call.scales.new_empty((call.batch, call.others, call.length, call.heads))
    tiling = call.settings()
    call.launch(
        forward_kernel, (call.lines * (call.heads // tiling.heads), call.tiles(tiling)), tiling,
        call.x, *call.tables, call.scales, call.scales, call.scales, out, normaliser,
        *call.layout(out, attributes.head_fastest), FOLDED=False, RELU=False,
    )  # fmt: skip
    return out, normaliser


def attend_backward(
    grad: Tensor, qkv: Tensor, normaliser: Tensor, tables: Tables, scales: Tensor, attributes: AttentionAttributes
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Compute :func:`axialzoo.ops.torch.training.attend_backward` on a GPU, deterministically."""
    from axialzoo.ops.kernels.gpu import backward

    call = Call(qkv.contiguous(), tables, scales, attributes)
    tiling, grad = call.settings(), grad.contiguous()
    grad_qkv = torch.empty_like(call.x)
    tiles, groups = call.tiles(tiling), call.heads // tiling.heads
    grad_scales = call.scales.new_zeros((3, call.lines, tiles, call.heads))
    delta = torch.empty_like(normaliser)
    shared = (call.x, *call.tables, call.scales, normaliser, grad, delta, grad_qkv, grad_scales)
    layout = call.layout(grad, attributes.head_fastest)
    if not tiling.whole:
        for kernel in (backward.queries_kernel, backward.keys_kernel):
            call.launch(kernel, (call.lines * groups, tiles), tiling, *shared, *layout)
    windows = 1 if tiling.whole else 2 * min(-(-call.reach // tiling.tile), tiles - 1) + 1
    widths = (tiling.key_width, tiling.key_width, tiling.value_width)
    programs = chunks(call.lines, windows * groups, 2 * tiling.tile * sum(widths)) * groups
    shapes = [(programs, windows, 2 * tiling.tile, width) for width in widths]
    sums = [call.scales.new_empty(shape if has_table else 0) for has_table, shape in zip(call.has_table, shapes)]
    if tiling.whole or any(call.has_table):
        call.launch(backward.tables_kernel, (programs, windows), tiling, *shared, *sums, call.lines, *layout, WHOLE=tiling.whole)
    grads = [qkv.new_empty(0) if table is None else _sum_windows(x, table, call.reach) for x, table in zip(sums, tables)]
    return grad_qkv, grads[0], grads[1], grads[2], grad_scales.sum((1, 2)).to(scales.dtype)


def axial_attention(x: Tensor, *arguments: Any) -> Tensor:
    """Compute :func:`axialzoo.ops.torch.inference.axial_attention` on a GPU: PyTorch projects, one kernel does the rest, in `x.dtype`."""
    folded, attributes = Folded(*arguments[:8]), AttentionAttributes.from_flat(arguments[8:])
    if not supports(x, *folded):
        return inference.axial_attention(x, folded, attributes)
    from axialzoo.ops.kernels.gpu.forward import forward_kernel

    scales, shift, position_scale = folded.scales, folded.shift, folded.position_scale
    heads, values = scales.shape[1], shift.shape[0]
    tables, _ = resolve_tables_and_reach(folded.tables, x.shape[2 + attributes.axis], attributes)
    keys = heads * attributes.key_depth
    rows = unpack_panels(folded.weight, 2 * keys + values), folded.bias[: 2 * keys + values]
    weight, bias = (_head_by_head(part, keys, values, heads).to(x.dtype) for part in rows)
    with torch.autocast(x.device.type, enabled=False):
        qkv = F.linear(x.permute(0, 2, 3, 1), weight, bias)  # (N, H, W, 2K+V)
    call = Call(qkv, tables, scales, replace(attributes, head_fastest=False))
    tiling, y = call.settings(), qkv.new_empty((*qkv.shape[:3], values))
    call.launch(
        forward_kernel, (call.lines * (heads // tiling.heads), call.tiles(tiling)), tiling,
        call.x, *call.tables, call.scales, torch.ones_like(shift) if position_scale is None else position_scale, shift, y, call.scales,
        *call.layout(y, attributes.head_fastest), FOLDED=True, RELU=attributes.relu,
    )  # fmt: skip
    return y.permute(0, 3, 1, 2)


def _head_by_head(x: Tensor, keys: int, values: int, heads: int) -> Tensor:
    """Reorder rows of queries, keys and values from head fastest to head by head: (2K + V, ...) to (2K + V, ...)."""
    parts = x.split((keys, keys, values))
    return torch.cat([part.unflatten(0, (-1, heads)).transpose(0, 1).flatten(0, 1) for part in parts])


def _sum_windows(sums: Tensor, table: Tensor, reach: int) -> Tensor:
    """Compute the gradient of a table, (rows, D), from the programs' sums for its windows: (programs, windows, 2B, width)."""
    windows, size = sums.shape[1], sums.shape[2] // 2
    near, far = sums.sum(0).chunk(2, 1)  # (windows, B, width) each: the second half of a window is the first half of the next
    rows = F.pad(near.flatten(0, 1), (0, 0, 0, size)) + F.pad(far.flatten(0, 1), (0, 0, size, 0))  # ((windows + 1) B, width)
    middle, centre = (windows // 2 + 1) * size - 1, len(table) // 2  # rows of distance 0
    reach = min(reach, middle)
    grad = torch.zeros_like(table)
    grad[centre - reach : centre + reach + 1] = rows[middle - reach : middle + reach + 1, : table.shape[1]].to(table.dtype)
    return grad


class Call:
    """Common arguments of the kernels in :mod:`axialzoo.ops.kernels.gpu`.

    Args:
        qkv: (N, H, W, 2K + V).
        tables: Tables of queries, keys and values; None where not used.
        scales, attributes: See :func:`axialzoo.ops.torch.training.attend`.
    """

    def __init__(self, qkv: Tensor, tables: Tables, scales: Tensor, attributes: AttentionAttributes):
        axis, key_depth = attributes.axis, attributes.key_depth
        other, attended = 2 - axis, 1 + axis
        self.axis, self.x = axis, qkv if qkv.stride(3) == 1 else qkv.contiguous()
        self.batch, self.others, self.length, self.heads = qkv.shape[0], qkv.shape[other], qkv.shape[attended], scales.shape[1]
        self.lines, self.scales = self.batch * self.others, scales.float().contiguous()
        self.key_depth, self.values = key_depth, qkv.shape[3] - 2 * self.heads * key_depth
        self.value_depth = self.values // self.heads
        _, self.reach = resolve_tables_and_reach(tables, self.length, attributes)
        self.has_table = [table is not None for table in tables]
        self.terms = int(attributes.content_value) + (tables[2] is not None)
        self.has_term = (attributes.content_similarity, *self.has_table[:2], attributes.content_value, self.has_table[2])
        self.tables = [self.scales if table is None else table.contiguous() for table in tables]
        far = next((len(table) // 2 for table in tables if table is not None), 0)
        self.sizes = (self.others, self.length, self.reach, far, *(self.x.stride(i) for i in (0, other, attended)))
        strides = (self.heads, 1, 1) if attributes.head_fastest else (1, key_depth, self.value_depth)  # of D, G in keys and G in values
        self.constants = (self.heads, key_depth, self.value_depth, *strides)

    def layout(self, out: Tensor, head_fastest: bool) -> tuple[int | bool, ...]:
        """Return the arguments that follow the tensors; `out` is the result, (N, H, W, terms V), or its gradient."""
        strides = (out.stride(0), out.stride(2 - self.axis), out.stride(1 + self.axis))
        depth_and_head = (self.heads, 1) if head_fastest else (1, self.value_depth)
        positions_at = self.values * int(self.has_term[3])  # after the contents
        return (*self.sizes, *strides, *self.constants, *depth_and_head, positions_at, *self.has_term)

    def settings(self) -> Settings:
        return settings(self.length, self.heads, self.key_depth, self.value_depth, self.x.element_size())

    def tiles(self, tiling: Settings) -> int:
        return -(-self.length // tiling.tile)

    def launch(self, kernel: Any, grid: tuple[int, int], tiling: Settings, *arguments: object, **flags: bool) -> None:
        from axialzoo.ops.kernels.gpu.launch import launch

        exact = torch.get_float32_matmul_precision() == "highest"
        with torch.cuda.device_of(self.x):  # the tensors need not be on the current device
            launch(kernel, grid, tiling, str(self.x.dtype).removeprefix("torch."), exact, *arguments, **flags)


LIBRARY.impl("attend", operator(attend, 1), "CUDA")
LIBRARY.impl("attend_backward", operator(attend_backward, 3), "CUDA")
LIBRARY.impl("axial_attention", channels_last(axial_attention), "CUDA")
