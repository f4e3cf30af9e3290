"""Batch normalisation with the names and statistics of the canonical checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from axialzoo.spec import Norm


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """PyTorch's batch norm over dimension 1, less the count of batches, which nothing here reads.

    The moving variance is unbiased, epsilon and momentum come from the spec.

    Shapes:
        ``(N, C, ...)`` to the same.
    """

    running_mean: Tensor
    running_var: Tensor
    momentum: float  # pyright: ignore[reportIncompatibleVariableOverride]
    _version = 2  # so that loading does not ask for the count
    frozen = False  # whether the moving statistics stay as they are in training

    def __init__(self, channels: int, norm: Norm):
        super().__init__(channels, eps=norm.epsilon, momentum=norm.momentum)
        self.num_batches_tracked = None

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.frozen:  # copies take the update: recomputing must save as many tensors as computing did
            mean, variance = self.running_mean.clone(), self.running_var.clone()
            return nn.functional.batch_norm(x, mean, variance, self.weight, self.bias, True, self.momentum, self.eps)
        return super().forward(x)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"BatchNorm: expected (N, C, ...), found {tuple(input.shape)}")

    def _load_from_state_dict(self, *args) -> None:
        nn.Module._load_from_state_dict(self, *args)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Scale and shift, (C,) each, that it amounts to in evaluation."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale, self.bias - self.running_mean * scale


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Norms of `module` leave their moving statistics alone: for computing again what has updated them already."""
    norms = [norm for norm in module.modules() if isinstance(norm, BatchNorm)]
    for norm in norms:
        norm.frozen = True
    try:
        yield
    finally:
        for norm in norms:
            norm.frozen = False


def recomputed(block: nn.Module, x: Tensor) -> Tensor:
    """`block(x)`, computed again in the backward pass rather than kept; its moving statistics are updated once."""
    return checkpoint(block, x, use_reentrant=False, context_fn=lambda: (nullcontext(), frozen_statistics(block)))


def normalise_from_moments(norm: BatchNorm, mean: Tensor, variance: Tensor, n: int) -> Tensor:
    """The scale of a batch norm whose batch has these moments; updates the moving statistics.

    Args:
        norm: Holds the scale, the shift and the moving statistics, all (C,).
        mean, variance: (C,), biased, of `n` values each.

    Returns:
        (C,). The shift has no effect on a softmax; it keeps a gradient, of zero, so that every parameter has one.
    """
    if not norm.frozen:
        with torch.no_grad():
            norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
            norm.running_var.lerp_((variance * (n / max(n - 1, 1))).to(norm.running_var.dtype), norm.momentum)
    return norm.weight * torch.rsqrt(variance + norm.eps) + 0.0 * norm.bias
