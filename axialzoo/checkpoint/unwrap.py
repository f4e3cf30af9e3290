"""Weights inside of what other code saves: dictionaries around a state dict, and prefixes that wrappers put before names."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from axialzoo.checkpoint.checkpoint_error import CheckpointError
from axialzoo.checkpoint.config import Config
from axialzoo.spec import Model, SpecError, adapt, parameters

AROUND = (  # keys of dictionaries around a state dict: averages of the weights first
    "state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "average", "model_state_dict", "state_dict", "model", "module",
    "net", "network", "weights", "params",
)  # fmt: skip
INSIDE = ("_orig_mod.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module.")  # parts of names that wrappers put anywhere
COUNTERS = ("n_averaged", "updates")  # of averages of the weights


def inner_state(state: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the state dict in a dictionary of training state, or `state` itself; a warning says which of several is taken."""
    around = [key for key in AROUND if isinstance(state.get(key), Mapping) and state[key]]
    if not around:
        return state
    if len(around) > 1:
        warnings.warn(f"{where}: holds {', '.join(around)}; {around[0]} is taken; save another one alone to take it", stacklevel=3)
    return inner_state(state[around[0]], where)


def unwrap(state: Mapping[str, Any], names: Collection[str], where: str) -> Mapping[str, Any]:
    """Return the values of a state dict by the names of a model, without the prefix that a wrapper put before them.

    Args:
        state: By name: ``module.`` of data parallelism, ``_orig_mod.`` of compilation, ``model.`` of Lightning, any other prefix. A state
            dict without a prefix, or of another model, is returned as it is.
        names: Names of the model's tensors.
        where: File or model, for messages.

    Raises:
        CheckpointError: where two prefixes lead to whole sets of weights; the message says how to choose.
    """
    if set(names) <= set(state):
        counted = [name for name in COUNTERS if name in state and name not in names]
        return {name: state[name] for name in state if name not in counted} if counted else state
    values = {str(name): value for name, value in state.items()}
    for part in INSIDE:
        values = {name.replace(part, ""): value for name, value in values.items()}
    known, prefixes = set(names), Counter[str]()
    for name in values:
        ends = [0, *(index + 1 for index, letter in enumerate(name) if letter == ".")]
        prefixes.update(name[:end] for end in ends if name[end:] in known)
    if not prefixes:
        return state
    (prefix, count), *others = prefixes.most_common(2)
    if others and others[0][1] == count:
        rivals = [prefix, others[0][0]]
        choice = f"{{name.removeprefix({rivals[0]!r}): value for name, value in state.items() if name.startswith({rivals[0]!r})}}"
        raise CheckpointError(f"{where}: weights of several models, under {' and '.join(map(repr, rivals))}; keep one of them: {choice}")
    left = [name for name in values if not name.startswith(prefix) and name not in COUNTERS]
    if prefix and left:
        warnings.warn(f"{where}: left out what is not under {prefix!r}: {', '.join(left[:8])}{', ...' if left[8:] else ''}", stacklevel=3)
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix) and name not in COUNTERS}


def with_classes_of(spec: Model, shapes: Mapping[str, tuple[int, ...]]) -> Model:
    """Return the spec with the number of classes that tensors of `shapes` have, or the spec itself where none fits."""
    differing = [p.name for p in parameters(spec) if p.name in shapes and shapes[p.name] != p.shape]
    if not differing or not all(name.startswith("head.") for name in differing):
        return spec
    for count in sorted({shapes[name][0] for name in differing if shapes[name]}):
        try:
            other = adapt(spec, num_classes=count)
        except SpecError:
            continue
        if {p.name: p.shape for p in parameters(other)} == dict(shapes):
            return other
    return spec


def names_of(spec: Model) -> list[str]:
    """Return the names of the tensors of a spec."""
    return [parameter.name for parameter in parameters(spec)]


def fit_config(config: Config, tensors: Mapping[str, Any]) -> Config:
    """Return a config that came from a model's name, with the number of classes of the tensors."""
    spec = with_classes_of(config.spec, {name: tuple(array.shape) for name, array in tensors.items()})
    return config if spec == config.spec else replace(config, spec=spec)
