"""The state of a run in Keras as canonical tensors, and back."""

from __future__ import annotations

# pyright: reportArgumentType=false
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from axialzoo.checkpoint import CheckpointError, Tensors
from axialzoo.keras.weights import load_tensors, variables
from axialzoo.spec import Parameter
from axialzoo.train.keras_ema import EMA
from axialzoo.train.state import TrainState

SEED = "seed_generator_state"


def slots_of(model: keras.Model, optimizer: Any, kind: str) -> tuple[Mapping[str, Tensors], dict[str, int]]:
    """Return the tensors of the optimizer by slot and name, and of AdamW the number of steps, which is one for all tensors."""
    slots = {
        slot: {parameter.name: _canonical(parameter, values[index].value) for parameter, index in _trained(model)}
        for slot, values in _lists(optimizer, kind).items()
    }
    steps = int(ops.convert_to_numpy(optimizer.iterations))
    return slots, {parameter.name: steps for parameter, _ in _trained(model)} if kind == "adamw" else {}


def ema_of(model: keras.Model, ema: EMA | None) -> tuple[Tensors, int]:
    """Return the running average by name, and its number of updates."""
    if ema is None:
        return {}, 0
    return {parameter.name: _canonical(parameter, ema.tensors[index]) for parameter, index in _weights(model)}, ema.updates


def seeds_of(model: keras.Model) -> dict[str, list[int]]:
    """Return the state of each generator of random numbers by its path."""
    return {variable.path: np.asarray(ops.convert_to_numpy(variable.value)).tolist() for variable in _seeds(model)}


def take_state(state: TrainState, model: keras.Model, optimizer: Any, ema: EMA | None) -> None:
    """Take over a state of any framework.

    Raises:
        CheckpointError: where PyTorch counted the steps of some tensors apart, which Keras cannot.
    """
    kind, notes = state.notes.optimizer, state.notes
    apart = [parameter.name for parameter, _ in _trained(model) if notes.counts.get(parameter.name, -1) != notes.step]
    if kind == "adamw" and apart:
        raise CheckpointError(
            f"state: expected {notes.step} steps of every tensor, found others of {', '.join(apart[:5])}: AdamW in Keras counts one "
            "number for all; a run with gate_start goes on in PyTorch alone (--framework torch)"
        )
    load_tensors(model, state.model, verified=True)
    slots = state.slots if kind == "adamw" else {"velocity": state.velocities()} if state.slots else {}
    for slot, values in _lists(optimizer, kind).items():
        for parameter, index in _trained(model):
            array = slots.get(slot, {}).get(parameter.name)
            values[index].assign(ops.zeros_like(values[index]) if array is None else _keras(parameter, array))
    optimizer.iterations.assign(notes.step)
    for variable in _seeds(model):
        if variable.path in notes.seeds:
            variable.assign(np.asarray(notes.seeds[variable.path], variable.dtype))
    if ema is not None:
        ema.updates = notes.ema_updates
        for parameter, index in _weights(model):
            ema.tensors[index] = ops.convert_to_tensor(_keras(parameter, state.ema[parameter.name]))


def take_earlier(path: Path, model: keras.Model, optimizer: Any, ema: EMA | None) -> int:
    """Take over the state that an earlier version wrote, and return the number of steps that are done."""
    model.load_weights(path)
    if ema is not None:
        ema.load(path)
    return int(ops.convert_to_numpy(optimizer.iterations))


def _lists(optimizer: Any, kind: str) -> dict[str, list[keras.Variable]]:
    """Return the variables of each slot, in the order of the trained variables."""
    if kind == "adamw":
        return {"exp_avg": optimizer._momentums, "exp_avg_sq": optimizer._velocities}
    return {"velocity": optimizer.momentums} if optimizer.momentums else {}


def _trained(model: keras.Model) -> list[tuple[Parameter, int]]:
    """Return each trained parameter with its place among the trained variables."""
    places = {id(variable): index for index, variable in enumerate(model.trainable_variables)}
    return [(parameter, places[id(variable)]) for parameter, variable in variables(model) if id(variable) in places]


def _weights(model: keras.Model) -> list[tuple[Parameter, int]]:
    """Return each parameter with its place among the model's weights."""
    places = {id(variable): index for index, variable in enumerate(model.weights)}
    return [(parameter, places[id(variable)]) for parameter, variable in variables(model)]


def _seeds(model: keras.Model) -> list[keras.Variable]:
    return [variable for variable in model.variables if variable.path.endswith(SEED)]


def _canonical(parameter: Parameter, value: Any) -> np.ndarray:
    array = np.asarray(ops.convert_to_numpy(value))
    return array if parameter.keras_order is None else np.ascontiguousarray(array.transpose(np.argsort(parameter.keras_order)))


def _keras(parameter: Parameter, array: np.ndarray) -> np.ndarray:
    return np.array(array if parameter.keras_order is None else array.transpose(parameter.keras_order))
