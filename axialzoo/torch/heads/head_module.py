"""What every head's module has, and which module computes which spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from axialzoo.spec import Backbone, Head, SpecError

Y = TypeVar("Y")
M = TypeVar("M", bound="type[HeadModule[Any]]")
MODULES: dict[type[Head], Callable[..., HeadModule[Any]]] = {}


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
        """The layer that tells classes apart."""
        raise NotImplementedError


def register_head(spec: type[Head]) -> Callable[[M], M]:
    """Says which module computes heads of the type `spec`; a decorator."""

    def register(module: M) -> M:
        MODULES[spec] = module
        return module

    return register


def make_head(spec: Head, backbone: Backbone) -> HeadModule[Any]:
    """The module of a head on `backbone`, newly initialised."""
    if type(spec) not in MODULES:
        raise SpecError(f"head {spec.kind!r}: PyTorch has no module for it; decorate one with register_head({type(spec).__name__})")
    return MODULES[type(spec)](spec, backbone)
