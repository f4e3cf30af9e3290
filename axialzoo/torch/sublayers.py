"""Tells whether the sub-layers of a layer are exactly what a fused kernel computes; where one is not, the layer calls them all.

Adapters, hooks, pruning, parametrizations, quantization and replaced layers take effect only in a layer that is called.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.modules import module as globally

from axialzoo.ops.torch.dispatch import is_tracing

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
PLAIN = (nn.Parameter, Tensor, FakeTensor)
M = TypeVar("M", bound=Callable[..., Any])


def obstacle(module: nn.Module | None, kind: type[nn.Module]) -> str | None:
    """Return why a kernel cannot stand in for calling `module`, or None where it is exactly a `kind` with plain parameters."""
    if type(module) is not kind:
        return f"is a {type(module).__name__}, not the {kind.__name__} that the kernel computes"
    state = module.__dict__
    if any(state[name] for name in HOOKS):
        return "has hooks"
    if "forward" in state:
        return "has a forward method of its own"
    for name, parameter in state["_parameters"].items():
        if parameter is None:
            if name == "weight" or kind not in _BIASED_BY_NONE:
                return f"computes its {name} or has none"
        elif type(parameter) not in PLAIN:
            return f"has a {name} of type {type(parameter).__name__}"
        elif name == "bias" and kind in _BIASED_BY_NONE:
            return "has a bias"
    if "weight" not in state["_parameters"]:
        return "computes its weight"
    if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
        return "keeps no moving statistics"
    return None


_BIASED_BY_NONE = (nn.Linear, nn.Conv2d)  # where the kernel knows of no bias


def calls_sublayers(layer: nn.Module, kinds: Mapping[str, type[nn.Module]]) -> bool:
    """Return True where `layer` has to call its sub-layers, and warn once of each reason.

    Args:
        layer: An attention layer, or a convolution with its norm.
        kinds: Class of each sub-layer that the kernel computes, by its name in `layer`.
    """
    modules = layer.__dict__["_modules"]
    for name, kind in kinds.items():
        reason = obstacle(modules.get(name), kind)
        if reason is not None:
            _warn(f"{type(layer).__name__}: its sub-layer {name} {reason}")
            return True
    if globally._has_any_global_hook():
        _warn(f"{type(layer).__name__}: hooks of all modules are registered")
        return True
    return False


def _warn(reason: str) -> None:
    if not is_tracing():
        _warn_once(f"{reason}; this layer calls its sub-layers one by one, on the plain path, which is slower")


@functools.cache
def _warn_once(message: str) -> None:
    warnings.warn(message, stacklevel=6)


def graph_step(module: nn.Module, x: Any) -> Any:
    """Record a call of `module` on the proxy `x` as one step of a graph of ``torch.fx``."""
    return x.tracer.create_proxy("call_module", x.tracer.path_of_module(module), (x,), {})


def leaf_of_graph(forward: M) -> M:
    """Make a module one step of a graph of ``torch.fx``: its forward method asks for sizes and modes, which a recording has not."""

    @functools.wraps(forward)
    def recording(self: nn.Module, x: Any, *args: Any, **kwargs: Any) -> Any:
        return graph_step(self, x) if isinstance(x, torch.fx.Proxy) else forward(self, x, *args, **kwargs)

    return recording  # pyright: ignore[reportReturnType]  # of the parameters and result of `forward`
