"""The state of a run, from which either framework goes on: one safetensors file whose metadata hold the rest as JSON.

Tensors are canonical: names of the spec, PyTorch's layout. ``model/NAME`` are the weights, ``ema/NAME`` their running average, and
``SLOT/NAME`` the optimizer's. SGD has one slot. PyTorch's is ``momentum_buffer``, a sum of gradients. Keras's is ``velocity``, which holds
the learning rates of its steps and the other sign: ``velocity = -rate * momentum_buffer``. AdamW has ``exp_avg`` and ``exp_avg_sq`` in
both, and PyTorch counts the steps of each tensor. Each framework writes its own slot of SGD, so that a run that stays in its framework goes
on bit by bit. Batches follow from the step.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.checkpoint import CheckpointError, Tensors, digest, read_safetensors, strict_json, write_safetensors
from axialzoo.spec import Model, parameters
from axialzoo.train.recipe import Recipe

FILE, KEY, VERSION = "state.safetensors", "axialzoo_state", 1
EARLIER = {"torch": "state.pth", "keras": "state.weights.h5"}  # files of versions before this one, each of one framework
SLOTS = {"sgd": ("momentum_buffer", "velocity"), "adamw": ("exp_avg", "exp_avg_sq")}
MAX_BYTES = 4 << 20  # of the JSON
ADVICE = "train in another folder, or put back a copy of this file"


@dataclass(frozen=True)
class Notes:
    """Contents of a state besides tensors.

    Attributes:
        step: Number of steps that are done.
        framework: ``"torch"`` or ``"keras"``, which wrote it.
        optimizer: ``"sgd"`` or ``"adamw"``.
        rate: Learning rate of the last step.
        counts: Of AdamW: number of steps of each tensor.
        ema_updates: Number of updates of the running average.
        seeds: Of Keras: the state of each generator of random numbers.
        seconds: Time spent on training so far.
        frameworks: Step until which each framework trained, in order.
        digest: Of all tensors.
    """

    step: int
    framework: str
    optimizer: str
    rate: float
    counts: Mapping[str, int] = field(default_factory=dict)
    ema_updates: int = 0
    seeds: Mapping[str, list[int]] = field(default_factory=dict)
    seconds: float = 0.0
    frameworks: tuple[tuple[str, int], ...] = ()
    digest: str = ""


@dataclass(frozen=True)
class TrainState:
    """The state of a run.

    Attributes:
        notes: Numbers.
        model: Weights by canonical name.
        slots: Tensors of the optimizer, by slot and canonical name.
        ema: Running average of the weights; empty without.
    """

    notes: Notes
    model: Tensors
    slots: Mapping[str, Tensors]
    ema: Tensors = field(default_factory=dict)

    def velocities(self) -> Tensors:
        """Return SGD's slot as Keras has it."""
        if "velocity" in self.slots:
            return self.slots["velocity"]
        return {name: -self.notes.rate * array for name, array in self.slots["momentum_buffer"].items()}

    def momentum_buffers(self) -> Tensors:
        """Return SGD's slot as PyTorch has it, for the learning rate of the last step."""
        if "momentum_buffer" in self.slots:
            return self.slots["momentum_buffer"]
        return {name: -array / self.notes.rate for name, array in self.slots["velocity"].items()}


def counted(notes: Notes, framework: str, step: int, rate: float, seconds: float) -> Notes:
    """Return the notes of a run after more steps.

    Args:
        notes: Those that it was resumed from.
        framework: It has trained in this one since.
        step, rate: Number of steps that are done, and the learning rate of the last.
        seconds: Time since it was resumed.
    """
    frameworks = notes.frameworks[:-1] if notes.frameworks and notes.frameworks[-1][0] == framework else notes.frameworks
    seconds = round(notes.seconds + seconds, 3)
    return Notes(step, framework, notes.optimizer, rate, seconds=seconds, frameworks=(*frameworks, (framework, step)))


def write_state(path: Path, state: TrainState) -> None:
    """Write a state, whole or not at all; a file of an earlier version is removed after that."""
    tensors = {f"{part}/{name}": array for part, arrays in _parts(state).items() for name, array in arrays.items()}
    notes = replace(state.notes, digest=digest(tensors))
    write_safetensors(path, tensors, {KEY: json.dumps({"version": VERSION, **asdict(notes)})})
    for name in EARLIER.values():
        path.with_name(name).unlink(missing_ok=True)


def read_state(path: Path, spec: Model, recipe: Recipe) -> TrainState:
    """Read a state and check that it is one of this model and recipe.

    Raises:
        CheckpointError: naming what is damaged or does not fit.
    """
    tensors, notes = _read(path)
    if digest(tensors) != notes.digest:
        raise CheckpointError(f"{path}: damaged: its tensors are not those that were written; {ADVICE}")
    parts: dict[str, dict[str, np.ndarray]] = {}
    for key, array in tensors.items():
        part, _, name = key.partition("/")
        parts.setdefault(part, {})[name] = array
    if notes.optimizer != recipe.optimizer:
        raise CheckpointError(f"{path}: expected the state of the optimizer {recipe.optimizer!r}, found {notes.optimizer!r}; {ADVICE}")
    if bool(recipe.ema_decay) != ("ema" in parts):
        has = "a running average" if "ema" in parts else "none"
        raise CheckpointError(f"{path}: expected {'a' if recipe.ema_decay else 'no'} running average of the weights, found {has}; {ADVICE}")
    model, ema = parts.pop("model", {}), parts.pop("ema", {})
    shapes = {parameter.name: parameter.shape for parameter in parameters(spec)}
    for part, arrays, whole in (("model", model, True), *([("ema", ema, True)] if ema else []), *((k, v, False) for k, v in parts.items())):
        wrong = [name for name, array in arrays.items() if array.shape != shapes.get(name)]
        wrong += sorted(shapes.keys() - arrays.keys()) if whole else []
        if wrong or (not whole and part not in SLOTS[notes.optimizer]):
            raise CheckpointError(f"{path}: {part}: expected the tensors of the model, found others: {', '.join(wrong[:8])}; {ADVICE}")
    if parts and not notes.rate > 0:
        raise CheckpointError(f"{path}: rate: expected the learning rate of the last step, found {notes.rate}; {ADVICE}")
    return TrainState(notes, model, parts, ema)


def read_history(folder: Path) -> dict[str, Any]:
    """Return what the provenance of a finished run says of its course: the time of all its parts, and its frameworks if there were several.

    Raises:
        CheckpointError: naming what is damaged.
    """
    if not (folder / FILE).exists():  # a run that an earlier version finished
        return {}
    notes = _read(folder / FILE)[1]
    several = [{"framework": name, "until_step": step} for name, step in notes.frameworks]
    return {"seconds": round(notes.seconds), **({"frameworks": several} if len(several) > 1 else {})}


def check_earlier(folder: Path, framework: str) -> Path | None:
    """Return the state that an earlier version left in `folder`, if any.

    Raises:
        CheckpointError: where it is of the other framework.
    """
    for writer, name in EARLIER.items():
        path = folder / name
        if path.exists() and writer != framework:
            raise CheckpointError(
                f"{path}: expected the state of a run in {framework}, found one of {writer} by an earlier axialzoo; go on in {writer} "
                f"(--framework {writer}) until the next save, which every framework reads"
            )
        if path.exists():
            return path
    return None


def _parts(state: TrainState) -> dict[str, Tensors]:
    return {"model": state.model, **state.slots, **({"ema": state.ema} if state.ema else {})}


def _read(path: Path) -> tuple[dict[str, np.ndarray], Notes]:
    tensors, metadata = read_safetensors(path)
    if KEY not in metadata:
        raise CheckpointError(f"{path}: expected the state of a run, found a safetensors file without {KEY!r} in its metadata; {ADVICE}")
    values = strict_json.parse(metadata[KEY], f"{path}: {KEY}", MAX_BYTES)
    if not isinstance(values, dict) or values.pop("version", None) != VERSION:
        raise CheckpointError(f"{path}: expected a state of version {VERSION}; it was written by a newer axialzoo, which can go on from it")
    try:
        notes = _checked(Notes(**values))
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: {KEY}: {error}; {ADVICE}") from None
    return tensors, notes


def _checked(notes: Notes) -> Notes:
    """Return notes from a file, after a check of every value."""

    def is_count(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62

    numbers = (notes.rate, notes.seconds)
    ok = is_count(notes.step) and is_count(notes.ema_updates) and notes.framework in EARLIER and notes.optimizer in SLOTS
    ok = ok and all(isinstance(value, (int, float)) and math.isfinite(value) and value >= 0 for value in numbers)
    ok = ok and all(map(is_count, notes.counts.values())) and all(all(map(is_count, seed)) for seed in notes.seeds.values())
    ok = ok and isinstance(notes.digest, str) and all(name in EARLIER and is_count(step) for name, step in notes.frameworks)
    if not ok:
        raise ValueError(f"expected the numbers of a state, found {str(asdict(notes))[:200]}")
    return replace(notes, frameworks=tuple((name, step) for name, step in notes.frameworks))
