"""A training recipe: everything that decides what a run computes, and nothing about the machine it runs on."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from axialzoo.data.settings import DataSettings
from axialzoo.spec import SpecError, did_you_mean, from_dict, to_dict
from axialzoo.spec.check import require_choice, require_count, require_number

RENAMED = {
    "average": "ema_decay",
    "bend": "elastic",
    "colour": "color_jitter",
    "mirror": "hflip",
    "reading": "targets or postprocess",
    "score_every": "eval_every",
    "shift": "crop_padding",
    "sizes": "progressive_sizes",
    "start": "init_from",
    "tint": "color_cast",
    "turns": "rot90",
    "visible": "min_visible",
}  # earlier names of fields of a recipe and of its `scale_crop`


@dataclass(frozen=True, kw_only=True)
class Recipe(DataSettings):
    """Settings of a training run: those of its data, and these.

    Attributes:
        model: Name in the registry.
        optimizer: ``"sgd"`` (Nesterov) or ``"adamw"``.
        learning_rate: At its peak: linear from 0 over `warmup` (a share of the training), then linear to 0.
        momentum: Of SGD, or the first beta of AdamW.
        weight_decay: Decoupled: each step shrinks the weights by ``learning_rate * weight_decay``; kernels and
            projections only.
        eval_every: Epochs between scores on the samples held out, and between saves beside those of the run.
        ema_decay: Decay of the exponential moving average of the weights (EMA), which is scored and kept; 0 for none.
        loss: Options of the head's loss, by name, such as ``{"label_smoothing": 0.1}``.
        targets: Fields of the head's settings of training targets to change, by name, such as ``{"sigma": 2.0}``; the others stay as the
            model, or the weights to start from, have them.
        postprocess: Fields of the head's settings of post-processing to change, by name, such as ``{"top_k": 1000}``; likewise.
        drop_path: At the last block, rising linearly from 0.
        attention: Another kind of attention than the model's: a name in :data:`axialzoo.spec.KINDS`; empty for the model's own.
        gate_start: Epochs before the factors of gated attention are trained, which stay at 0.1 for positions and 1 for contents until then:
            0 from the start on, -1 never. Medical Transformer's authors train them after 10 epochs, U-Bench never.
        logits: Number of logits of the head; 0: one a class. 1: one for two classes, of a head that can do so.
        precision: ``"float32"``, ``"bfloat16"`` (mixed), or in PyTorch ``"float64"``, slow, to compare runs by.
        holdout: Training images kept apart to watch progress with; the test images are not for that. 0: none, and the data's own
            validation images are watched where there are some.
        holdout_share: Share of the training images kept apart by a hash of their names, in the place of `holdout`; 0 for none. Of data
            without splits, ``evaluate`` measures a model on the images that its training kept apart.
        freeze: Part of the model that keeps its weights: ``"backbone"``, or empty for none.
        init_from: Weights to start from instead of random ones: a folder, tag or ``org/repo``, as ``pretrained=`` takes;
            what depends on the classes starts new where they are others.
    """

    model: str
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    warmup: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-3
    eval_every: int = 1
    ema_decay: float = 0.0
    loss: Mapping[str, float | tuple[float, ...]] = field(default_factory=dict)
    targets: Mapping[str, Any] = field(default_factory=dict)
    postprocess: Mapping[str, Any] = field(default_factory=dict)
    drop_path: float = 0.0
    attention: str = ""
    gate_start: int = 0
    logits: int = 0
    precision: str = "float32"
    holdout: int = 0
    holdout_share: float = 0.0
    freeze: str = ""
    init_from: str = ""

    def __post_init__(self):
        super().__post_init__()
        require_count("Recipe", "eval_every", self.eval_every)
        for name in ("holdout", "logits"):
            require_count("Recipe", name, getattr(self, name), least=0)
        require_count("Recipe", "gate_start", self.gate_start, least=-1)
        require_choice("Recipe", "optimizer", self.optimizer, ("sgd", "adamw"))
        require_choice("Recipe", "precision", self.precision, ("float32", "bfloat16", "float64"))
        for name in ("learning_rate", "weight_decay"):
            require_number("Recipe", name, getattr(self, name), 0.0, 1e3)
        require_choice("Recipe", "freeze", self.freeze, ("", "backbone"))
        for name in ("warmup", "momentum", "ema_decay", "drop_path", "holdout_share"):
            require_number("Recipe", name, getattr(self, name), 0.0, 0.9999)
        require_number("Recipe", "kind_balance", self.kind_balance, 0.0, 1.0)

    def lr_at(self, step: int, steps: int) -> float:
        """Return the learning rate of step `step` of `steps`."""
        return warmup_linear(step, self.learning_rate, self.warmup * steps, steps)

    def trains_gates(self, epoch: int) -> bool:
        """Return whether epoch `epoch`, counted from 0, trains the factors of gated attention."""
        return 0 <= self.gate_start <= epoch


def warmup_linear(step: Any, peak: float, warmup_steps: float, steps: int, minimum: Callable[[Any, Any], Any] = min) -> Any:
    """Return the learning rate of a step: linear from 0 to `peak`, then linear to 0; `minimum` is a framework's own for tensors."""
    return peak * minimum((step + 1) / (warmup_steps + 1), (steps - step) / (steps - warmup_steps))


def warmed_decay(decay: float, updates: int) -> float:
    """Return the decay of a running average at its update number `updates`: less at first, when there is little to keep."""
    return min(decay, (1 + updates) / (10 + updates))


def list_recipes() -> list[str]:
    """Names of the recipes that ship."""
    from axialzoo.train import recipes as package

    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def load_recipe(name: str, **overrides) -> Recipe:
    """Return the recipe `name` with some of its fields changed; a mapping changes some settings of a field that has settings:
    ``scale_crop={"color_jitter": 0.0}``.

    Raises:
        SpecError: naming the nearest known recipe or field.
    """
    if name not in list_recipes():
        raise SpecError(f"unknown recipe {name!r}{did_you_mean(name, list_recipes())}; known: {', '.join(list_recipes())}")
    recipe = importlib.import_module(f"axialzoo.train.recipes.{name}").RECIPE
    known = [item.name for item in fields(Recipe)]
    check_renamed(overrides, f"recipe {name!r}")
    for key in overrides:
        if key not in known:
            raise SpecError(f"recipe {name!r} has no field {key!r}{did_you_mean(key, known)}; known: {', '.join(known)}")
    return replace(recipe, **{key: merged(key, getattr(recipe, key), value) for key, value in overrides.items()})


def check_renamed(fields: Mapping[str, Any], where: str) -> None:
    """Refuse earlier names of fields.

    Args:
        fields: Fields of a recipe or of its settings, by name.
        where: Start of the message.

    Raises:
        SpecError: naming the field and its new name.
    """
    for name in fields:
        if name in RENAMED:
            raise SpecError(f"{where} has no field {name!r}: its name is {RENAMED[name]} now")


def merged(name: str, own: Any, value: Any) -> Any:
    """Return the new value of the field `name`: `value`, or the settings `own` with the changes that a mapping names."""
    if is_dataclass(own) and isinstance(value, Mapping):
        check_renamed(value, f"Recipe.{name}")
        return from_dict(type(own), {**to_dict(own), **value}, f"Recipe.{name}")
    return value
