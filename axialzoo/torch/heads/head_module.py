"""What every head's module has, and which module computes which spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from axialzoo.spec import Backbone, Head
from axialzoo.spec.heads.head import HeadRegistry

Y = TypeVar("Y")
MODULES: HeadRegistry[Callable[..., HeadModule[Any]]] = HeadRegistry("PyTorch has no module for it; decorate one with register_head")
register_head = MODULES.register


class HeadModule(nn.Module, Generic[Y]):
    """Features to outputs: a tensor, or a dictionary of tensors by the names of ``spec.outputs``.

    The same in training and in inference: losses are functions beside it, in ``axialzoo.torch.losses``.
    """

    def __init__(self, spec: Head):
        super().__init__()
        self.spec = spec

    def forward(self, features: Sequence[Tensor], pre_logits: bool = False) -> Y:
        """The outputs.

        Args:
            features: The endpoints that ``spec.reads`` names, each (N, C, H, W).
            pre_logits: Stop before the layers that tell classes apart.
        """
        raise NotImplementedError

    def get_classifier(self) -> nn.Module:
        """Return the last layer, which computes the class logits."""
        raise NotImplementedError


def make_head(spec: Head, backbone: Backbone) -> HeadModule[Any]:
    """The module of a head on `backbone`, newly initialised."""
    return MODULES.of(spec)(spec, backbone)
