"""Tells whether the sub-layers of a layer are exactly what a fused kernel computes; where one is not, the layer calls them.

Adapters, quantization, hooks and replaced layers take effect only in a layer that is called.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import keras

Kind = TypeVar("Kind", bound=type[keras.layers.Layer])
METHODS: dict[type, tuple[Any, Any]] = {}  # class -> its `__call__` and `call` as they were written
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")  # of PyTorch's modules, on that back end
_warned: WeakKeyDictionary[keras.layers.Layer, set[str]] = WeakKeyDictionary()


def kernel_computes(kind: Kind) -> Kind:
    """Register a class of sub-layers that a kernel computes; a decorator."""
    METHODS[kind] = (kind.__call__, kind.call)
    return kind


for _kind in (keras.layers.Conv2D, keras.layers.DepthwiseConv2D):
    kernel_computes(_kind)


def obstacle(layer: keras.layers.Layer, kind: type[keras.layers.Layer], policy: Any) -> str | None:
    """Return why a kernel cannot stand in for calling `layer`, or None where it is exactly a `kind` with plain weights.

    Args:
        layer: A sub-layer.
        kind: Class that it has to have.
        policy: Dtype policy that it has to have, that of the layer around it.
    """
    if type(layer) is not kind:
        return f"is a {type(layer).__name__}, not the {kind.__name__} that the kernel computes"
    state = layer.__dict__
    if "call" in state or (kind in METHODS and METHODS[kind] != (kind.__call__, kind.call)):
        return "has another call method"
    if state.get("_is_quantized"):
        return f"is quantized to {layer.quantization_mode}"
    if state["_dtype_policy"] is not policy and state["_dtype_policy"] != policy:
        return f"has the dtype policy {state['_dtype_policy'].name}, not {policy.name}"
    if state.get("lora_enabled"):
        return f"has an adapter of rank {layer.lora_rank} (enable_lora)"
    if state.get("activity_regularizer") is not None:
        return "has an activity regularizer"
    if any(state.get(name) for name in HOOKS):
        return "has hooks"
    return None


def calls_sublayers(layer: keras.layers.Layer, kinds: Mapping[str, type[keras.layers.Layer]]) -> bool:
    """Return True where `layer` has to call its sub-layers, and warn once a layer and reason.

    Args:
        layer: An attention layer, or a convolution with its norm.
        kinds: Class of each sub-layer that the kernel computes, by its name in `layer`.
    """
    obstacles = {name: obstacle(getattr(layer, name), kind, layer._dtype_policy) for name, kind in kinds.items()}
    reasons = [f"{name} {reason}" for name, reason in obstacles.items() if reason is not None]
    warned = _warned.setdefault(layer, set()) if reasons else set()
    for reason in reasons:
        if reason not in warned:
            warned.add(reason)
            text = f"{layer.path}: its sub-layer {reason}; this layer calls its sub-layers one by one, on the plain path, which is slower"
            warnings.warn(text, stacklevel=3)
    return bool(reasons)
