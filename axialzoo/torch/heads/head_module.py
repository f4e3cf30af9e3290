"""Base class of the heads' modules, and the registry of the module for each spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from axialzoo.spec import Backbone, Head
from axialzoo.spec.heads.head import HeadRegistry
from axialzoo.spec.neighbours import is_last_layer, refuse_last_layer

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

    def __setattr__(self, name: str, value: Any) -> None:
        if is_last_layer(name) and name in self._modules and _outputs(value) not in (None, self.spec.num_classes):
            refuse_last_layer(f"head.{name}", self.spec.num_classes)
        super().__setattr__(name, value)

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


def _outputs(layer: Any) -> int | None:
    """Return the number of outputs of the last linear layer of a module, or None."""
    linear = [module for module in layer.modules() if isinstance(module, nn.Linear)] if isinstance(layer, nn.Module) else []
    return linear[-1].out_features if linear else None


def make_head(spec: Head, backbone: Backbone) -> HeadModule[Any]:
    """Build the module of a head on `backbone`, newly initialised."""
    return MODULES.of(spec)(spec, backbone)
