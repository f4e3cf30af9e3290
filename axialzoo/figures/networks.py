"""The networks that are measured and explained, in PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from axialzoo.figures.cases import Case
from axialzoo.torch.models import build


def prepare(case: Case, device: str = "cpu") -> Callable[[], None]:
    """A call of `case` on random input: one forward pass, or one training step without the optimiser."""
    model = build(case.spec)
    network = (model if case.layer is None else attention_pair(model.stages[0].blocks[0])).to(device)  # pyright: ignore
    network.train(case.train)
    x = torch.randn(case.batch, case.spec.backbone.in_channels, *case.size, device=device)  # (N, C, H, W)

    def forward() -> None:
        with torch.inference_mode():
            network(x)
        synchronise(device)

    def step() -> None:
        network.zero_grad(set_to_none=True)
        network(x).sum().backward()
        synchronise(device)

    return step if case.train else forward


def attention_pair(block: nn.Module) -> nn.Module:
    """What attends in a block: height then width, or the one layer of another kind."""
    if block.spec.kind == "axial":  # pyright: ignore
        return nn.Sequential(block.height, block.width)  # pyright: ignore
    return block.attention  # pyright: ignore


def synchronise(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


