"""What every head's module has, and which module computes which spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import keras

from axialzoo.spec import Backbone, Head, SpecError

M = TypeVar("M", bound="type[HeadModule]")
MODULES: dict[type[Head], Callable[..., HeadModule]] = {}


class HeadModule:
    """Features to outputs, of layers that become the model's own: a tensor, or a dictionary by the names of ``spec.outputs``.

    The same in training and in inference: losses are functions beside it, in ``axialzoo.keras.losses``. Its
    variables' paths begin with ``head/``; layers that give outputs have the dtype `output_dtype`, float32 where the policy is mixed.
    """

    def __init__(self, spec: Head, dtype: Any):
        self.spec = spec
        policy = keras.dtype_policies.get(dtype)
        self.output_dtype = policy.variable_dtype if policy.name.startswith("mixed_") else policy

    def __call__(self, features: Sequence[Any], pre_logits: bool = False) -> Any:
        """The outputs.

        Args:
            features: The endpoints that ``spec.reads`` names, each (N, H, W, C).
            pre_logits: Stop before the layers that tell classes apart.
        """
        raise NotImplementedError

    def get_classifier(self) -> Any:
        """The layer that tells classes apart."""
        raise NotImplementedError


def register_head(spec: type[Head]) -> Callable[[M], M]:
    """Says which module computes heads of the type `spec`; a decorator."""

    def register(module: M) -> M:
        MODULES[spec] = module
        return module

    return register


def make_head(spec: Head, backbone: Backbone, dtype: Any) -> HeadModule:
    """The module of a head on `backbone`, newly initialised."""
    if type(spec) not in MODULES:
        raise SpecError(f"head {spec.kind!r}: Keras has no module for it; decorate one with register_head({type(spec).__name__})")
    return MODULES[type(spec)](spec, backbone, dtype)
