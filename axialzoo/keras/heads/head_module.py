"""Base class of the heads' modules, and the registry of the module for each spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from axialzoo.spec import Backbone, Head
from axialzoo.spec.heads.head import HeadRegistry
from axialzoo.spec.neighbours import is_last_layer, refuse_last_layer

MODULES: HeadRegistry[Callable[..., HeadModule]] = HeadRegistry("Keras has no module for it; decorate one with register_head")
register_head = MODULES.register


class HeadModule:
    """Features to outputs, of layers that become the model's own: a tensor, or a dictionary by the names of ``spec.outputs``.

    It computes the same in training and in inference; losses are functions in ``axialzoo.keras.losses``. Its variables' paths begin
    with ``head/``; its last layers have the dtype `output_dtype`, float32 where the policy is mixed.
    """

    def __init__(self, spec: Head, dtype: Any):
        self.spec = spec
        policy = keras.dtype_policies.get(dtype)
        self.output_dtype = policy.variable_dtype if policy.name.startswith("mixed_") else policy

    def __setattr__(self, name: str, value: Any) -> None:
        if is_last_layer(name) and getattr(self, name, None) is not None:  # its graph has the layer that it was built with
            refuse_last_layer(f"head.{name}", self.spec.num_classes)
        super().__setattr__(name, value)

    def __call__(self, features: Sequence[Any], pre_logits: bool = False) -> Any:
        """Compute the outputs.

        Args:
            features: Features of the endpoints ``spec.endpoints(backbone)``, each (N, H, W, C).
            pre_logits: Return the pre-logits instead of the class logits.
        """
        raise NotImplementedError

    def get_classifier(self) -> Any:
        """Return the last layer, which computes the class logits."""
        raise NotImplementedError


def make_head(spec: Head, backbone: Backbone, dtype: Any) -> HeadModule:
    """Build the module of a head on `backbone`, newly initialised."""
    return MODULES.of(spec)(spec, backbone, dtype)
