"""Batch normalisation with the names and statistics of the canonical checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from axialzoo.spec import Norm


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """PyTorch's batch norm over dimension 1, less the count of batches, which nothing here reads.

    The moving variance is unbiased, epsilon and momentum come from the spec.

    Shapes:
        ``(N, C, ...)`` to the same.
    """

    _version = 2  # so that loading does not ask for the count

    def __init__(self, channels: int, norm: Norm):
        super().__init__(channels, eps=norm.epsilon, momentum=norm.momentum)
        self.num_batches_tracked = None

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"BatchNorm: expected (N, C, ...), found {tuple(input.shape)}")

    def _load_from_state_dict(self, *args) -> None:
        nn.Module._load_from_state_dict(self, *args)


def normalise_from_moments(norm: BatchNorm, mean: Tensor, variance: Tensor, n: int) -> Tensor:
    """The scale of a batch norm whose batch has these moments; updates the moving statistics.

    Args:
        norm: Holds the scale, the shift and the moving statistics, all (C,).
        mean, variance: (C,), biased, of `n` values each.

    Returns:
        (C,). The shift has no effect on a softmax; it keeps a gradient, of zero, so that every parameter has one.
    """
    with torch.no_grad():
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
        norm.running_var.lerp_((variance * (n / max(n - 1, 1))).to(norm.running_var.dtype), norm.momentum)
    return norm.weight * torch.rsqrt(variance.clamp(min=0) + norm.eps) + 0.0 * norm.bias
