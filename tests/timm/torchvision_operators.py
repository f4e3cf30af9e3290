"""A torchvision built for another PyTorch registers no operators and does not import: they are declared here, and never called."""

from __future__ import annotations

import sys

import torch

OPERATORS = ("nms", "qnms")
KEPT: list[torch.library.Library] = []  # an operator lasts as long as its library


def declare() -> None:
    """Lets ``import torchvision`` pass where its own library does not load; where it does, nothing changes."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "does not exist" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        KEPT.append(torch.library.Library("torchvision", "FRAGMENT"))
        for operator in OPERATORS:
            KEPT[-1].define(f"{operator}(Tensor boxes, Tensor scores, float overlap) -> Tensor")
