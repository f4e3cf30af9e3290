"""The state of a run in PyTorch as canonical tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from axialzoo.checkpoint import Tensors
from axialzoo.torch.weights import load_tensors
from axialzoo.train.state import SLOTS, TrainState
from axialzoo.train.torch_ema import EMA

COUNT, UPDATES = "step", "updates"


def slots_of(model: nn.Module, optimizer: Any, kind: str) -> tuple[Mapping[str, Tensors], dict[str, int]]:
    """Return the tensors of the optimizer by slot and name, and the number of steps of each tensor where it counts them."""
    names = [name for name in SLOTS[kind] if name != "velocity"]
    slots: dict[str, dict[str, np.ndarray]] = {name: {} for name in names}
    counts: dict[str, int] = {}
    for parameter, tensor in model.named_parameters():
        state = optimizer.state.get(tensor, {})
        for name in names:
            if isinstance(value := state.get(name), Tensor):
                slots[name][parameter] = value.detach().cpu().numpy()
        if COUNT in state:
            counts[parameter] = int(state[COUNT])
    return {name: arrays for name, arrays in slots.items() if arrays}, counts


def ema_of(ema: EMA | None) -> tuple[Tensors, int]:
    """Return the running average by name, and its number of updates."""
    if ema is None:
        return {}, 0
    return {name: tensor.cpu().numpy() for name, tensor in ema.tensors.items() if name != UPDATES}, int(ema.updates)


def take_state(state: TrainState, model: nn.Module, optimizer: torch.optim.Optimizer, ema: EMA | None) -> None:
    """Take over a state of any framework."""
    load_tensors(model, state.model, verified=True)
    slots = dict(state.slots) if state.notes.optimizer == "adamw" else {"momentum_buffer": state.momentum_buffers()} if state.slots else {}
    for group in optimizer.param_groups:
        group["lr"] = state.notes.rate
    for parameter, tensor in model.named_parameters():
        values = {name: _like(arrays[parameter], tensor) for name, arrays in slots.items() if parameter in arrays}
        if state.notes.optimizer == "adamw" and values:
            values[COUNT] = torch.tensor(float(state.notes.counts.get(parameter, state.notes.step)))
        if values:
            optimizer.state[tensor] = values
    if ema is not None:
        averages = {name: torch.from_numpy(np.array(array)) for name, array in state.ema.items()}
        ema.load({**averages, UPDATES: torch.tensor(state.notes.ema_updates)})


def take_earlier(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, ema: EMA | None) -> int:
    """Take over the state that an earlier version wrote, and return the number of steps that are done."""
    state = torch.load(path, weights_only=True, map_location="cpu")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    if ema is not None:
        ema.load(state["average"])
    return state["step"]


def _like(array: np.ndarray, tensor: Tensor) -> Tensor:
    """Return an array as a tensor with the place, dtype and layout in memory of `tensor`."""
    return torch.empty_like(tensor, requires_grad=False).copy_(torch.from_numpy(np.array(array)))
