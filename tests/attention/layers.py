"""Layers with parameters and statistics away from their initial values, in float64."""

from __future__ import annotations

import torch
from torch import nn

from axialzoo.spec import Attention, Norm
from axialzoo.torch.attention import AxialAttention

CHANNELS = 6


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Scales near 1, shifts and means near 0, variances above one half: everything that a norm does shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor.dtype)
            if name.endswith("running_var"):
                tensor.copy_(0.5 + noise.abs())
            elif name.endswith(("running_mean", "bias")):
                tensor.copy_(0.3 * noise)
            elif tensor.dim() == 1:
                tensor.copy_(1 + 0.2 * noise)
    return module


def make(axis: int = 0, training: bool = False, seed: int = 0, **fields) -> AxialAttention:
    """A float64 layer of 6 channels to 8, 2 heads, tables of 7 positions where `fields` do not say otherwise."""
    torch.manual_seed(seed)
    spec = Attention(**{"key_channels": 4, "value_channels": 8, "heads": 2, "max_length": 7, **fields})
    return randomise(AxialAttention(CHANNELS, spec, Norm(), axis).double(), seed).train(training)


def image(height: int, width: int, batch: int = 2, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, CHANNELS, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
