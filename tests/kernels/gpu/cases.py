"""One call of attention and its gradients: by the kernel for GPUs, and by PyTorch's own operations in any precision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from axialzoo.ops.attributes import AttentionAttributes
from axialzoo.ops.torch import gpu as ops_gpu
from axialzoo.ops.torch.training import reference_attend
from axialzoo.spec.attention import SIMILARITY_TERMS, VALUE_TERMS

NOISE = 3e-7  # a difference of the last bit or two that says nothing of either; four times that of gradients, which are sums that cancel
NAMES = ("qkv", "query_table", "key_table", "value_table", "scales")


@dataclass(frozen=True)
class Case:
    """A shape; `positions` is the reach of the tables, by default the length."""

    length: int = 7
    heads: int = 2
    key_depth: int = 4
    value_depth: int = 8
    axis: int = 0
    span: int = 0
    positions: int | None = None
    similarity: tuple[str, ...] = SIMILARITY_TERMS
    value: tuple[str, ...] = VALUE_TERMS
    batch: int = 1
    others: int = 2
    head_fastest: bool = False

    def inputs(self, seed: int = 0) -> list[Tensor | None]:
        """qkv, (N, H, W, 2K + V), three tables and the scales: float32."""
        drawn = torch.Generator().manual_seed(seed)
        size = (self.length, self.others) if self.axis == 0 else (self.others, self.length)
        qkv = torch.randn(self.batch, *size, self.heads * (2 * self.key_depth + self.value_depth), generator=drawn)
        there = ("query" in self.similarity, "key" in self.similarity, "position" in self.value)
        rows, depths = 2 * (self.positions or self.length) - 1, (self.key_depth, self.key_depth, self.value_depth)
        tables = [torch.randn(rows, depth, generator=drawn) if item else None for item, depth in zip(there, depths)]
        return [qkv, *tables, torch.randn(3, self.heads, generator=drawn) * self.key_depth**-0.5]

    @property
    def attributes(self) -> AttentionAttributes:
        content = "content" in self.similarity, "content" in self.value
        return AttentionAttributes(self.axis, self.key_depth, self.span, *content, self.head_fastest)

    def cotangent(self) -> Tensor:
        size = (self.length, self.others) if self.axis == 0 else (self.others, self.length)
        width = len(self.value) * self.heads * self.value_depth
        return torch.randn(self.batch, *size, width, generator=torch.Generator().manual_seed(1))


def plain(case: Case, inputs: list[Tensor | None]) -> Tensor:
    """Attention, (N, H, W, terms V), with L x L logits."""
    qkv, *tables, scales = inputs
    assert qkv is not None and scales is not None
    return reference_attend(qkv, *tables, scales, attributes=case.attributes)


def of_plain(case: Case, inputs: list[Tensor | None], dtype: torch.dtype) -> dict[str, Tensor]:
    """Output and gradients, computed in `dtype`."""
    built = [None if x is None else x.to(dtype).requires_grad_() for x in inputs]
    out = plain(case, built)
    some = {name: x for name, x in zip(NAMES, built) if x is not None}
    grads = torch.autograd.grad(out, list(some.values()), case.cotangent().to(dtype))
    return {"out": out.detach(), **dict(zip(some, grads))}


def of_kernel(case: Case, inputs: list[Tensor | None], dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Attention by the kernel; queries, keys and values in `dtype`."""
    qkv, *tables, scales = inputs
    assert qkv is not None and scales is not None
    qkv = qkv.to(dtype)
    out, normaliser = ops_gpu.attend(qkv, tables, scales, case.attributes)
    grads = ops_gpu.attend_backward(case.cotangent().to(dtype), qkv, normaliser, tables, scales, case.attributes)
    return {"out": out, **{name: grad for name, grad, x in zip(NAMES, grads, inputs) if x is not None}}


def errors(case: Case, dtype: torch.dtype = torch.float32) -> dict[str, tuple[float, float, float]]:
    """Relative norms of the differences of output and gradients: kernel and plain, kernel and float64, plain and float64.

    Gradients far smaller than the largest are measured by a hundredth of that. In another type, what float64 computes of
    is the inputs as that type holds them.
    """
    inputs = case.inputs()
    inputs = [None if x is None else x.to(dtype).float() for x in inputs[:-1]] + inputs[-1:]
    ours, theirs, exact = of_kernel(case, inputs, dtype), of_plain(case, inputs, dtype), of_plain(case, inputs, torch.float64)
    floor = 1e-2 * max(float(x.norm()) for x in exact.values())

    def apart(a: Tensor, b: Tensor, size: Tensor) -> float:
        return float((a.double() - b.double()).norm()) / max(float(size.norm()), floor)

    return {name: (apart(ours[name], theirs[name], x), apart(ours[name], x, x), apart(theirs[name], x, x)) for name, x in exact.items()}


def check(**fields: Any) -> None:
    """The kernel is as near to the plain form, and to float64, as it has to be."""
    case = Case(**fields)
    for name, (apart, ours, theirs) in errors(case).items():
        assert apart <= (1e-5 if name == "out" else 1e-4), (case, name, apart)
        assert ours <= 2 * theirs + (NOISE if name == "out" else 4 * NOISE), (case, name, ours, theirs)


def wide(case: Case, seed: int = 0) -> list[Tensor | None]:
    """Its inputs with qkv cut out of a wider and longer map: other strides, the same shape."""
    qkv = replace(case, length=2 * case.length).inputs(seed)[0]
    assert qkv is not None
    padded = torch.cat([qkv, qkv[..., :3]], 3)
    cut = padded[:, ::2] if case.axis == 0 else padded[:, :, ::2]
    return [cut[..., : qkv.shape[3]], *case.inputs(seed)[1:]]
