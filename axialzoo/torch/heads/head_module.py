"""Base class of the heads' modules, and the registry of the module for each spec."""

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

    It computes the same in training and in inference; losses are functions in ``axialzoo.torch.losses``.
    """

    def __init__(self, spec: Head):
        super().__init__()
        self.spec = spec

    def forward(self, features: Sequence[Tensor], pre_logits: bool = False) -> Y:
        """Compute the outputs.

        Args:
            features: Features of the endpoints ``spec.endpoints(backbone)``, each (N, C, H, W).
            pre_logits: Return the pre-logits instead of the class logits.
        """
        raise NotImplementedError

    def get_classifier(self) -> nn.Module:
        """Return the last layer, which computes the class logits."""
        raise NotImplementedError


def make_head(spec: Head, backbone: Backbone) -> HeadModule[Any]:
    """Build the module of a head on `backbone`, newly initialised."""
    return MODULES.of(spec)(spec, backbone)
