"""Sub-layers that are exactly what a kernel computes; a layer calls every other one."""

from __future__ import annotations

import warnings
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


def kernel_obstacle(layer: keras.layers.Layer, kind: type[keras.layers.Layer], policy: Any) -> str:
    """Return how `layer` differs from what a kernel computes in its place, or "" where it does not.

    Args:
        layer: A sub-layer.
        kind: Class that it has to have.
        policy: Its dtype policy, that of the layer around it.
    """
    if type(layer) is not kind:
        return f"it is a {type(layer).__name__}, not a {kind.__name__}"
    state = layer.__dict__
    if "call" in state:
        return "its `call` was replaced"
    if kind in METHODS and METHODS[kind] != (kind.__call__, kind.call):
        return f"the `call` of {kind.__name__} was replaced"
    if state.get("_is_quantized"):
        return f"it is quantized to {layer.quantization_mode}"
    own_policy = state["_dtype_policy"]
    if own_policy is not policy and own_policy != policy:
        return f"its dtype policy is {own_policy.name}, not {policy.name}"
    if state.get("lora_enabled"):
        return f"it has an adapter of rank {layer.lora_rank} (enable_lora)"
    if state.get("activity_regularizer") is not None:
        return "it has an activity regularizer"
    if any(state.get(hooks) for hooks in HOOKS):
        return "it has a hook"
    return ""


def warn_once(layer: keras.layers.Layer, sublayer: keras.layers.Layer, reason: str) -> None:
    """Warn that `layer` calls `sublayer`, slower than the kernel: once for each layer and reason."""
    warned = _warned.setdefault(layer, set())
    text = f"{sublayer.path}: {reason}; {layer.path} calls it, on a plain and slower path"
    if text not in warned:
        warned.add(text)
        warnings.warn(text, stacklevel=2)
