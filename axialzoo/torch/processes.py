"""Statistics of norms over the batches of several processes."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, distributed


def is_synced(norm: Any) -> bool:
    """Return True if `norm` sums its statistics over processes, and there are several."""
    return norm.synchronised and distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


class _SumOverProcesses(torch.autograd.Function):
    """Sum over processes. Each process uses the sum in a loss of its own; the gradient of a part is the sum of their gradients."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.contiguous().clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> Tensor:
        return sum_over_processes(gradients[0])


def sum_over_processes(x: Tensor) -> Tensor:
    """Return the sum of every process's `x`, equal on each; differentiable, where the loss is the sum of the processes' losses."""
    return cast(Tensor, _SumOverProcesses.apply(x))


def moments_over_processes(norm: Any, mean: Tensor, variance: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor | int]:
    """Return the moments of all processes' values from those of this process; unchanged where `norm` is not synchronised.

    Args:
        norm: A norm, which says whether it is synchronised.
        mean, variance: (C,), biased, of `n` values each.

    Returns:
        Mean, variance and number of all values together.
    """
    if not is_synced(norm):
        return mean, variance, n
    sums = sum_over_processes(torch.cat([n * mean, mean.new_tensor([n])]))  # (C + 1,)
    total = sums[-1].detach()  # ()
    total_mean = sums[:-1] / total  # (C,)
    squares = sum_over_processes(n * (variance + (mean - total_mean).square()))  # (C,), centred first, which loses no digits
    return total_mean, squares / total, total
