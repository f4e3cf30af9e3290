"""Which loss goes with which head, and what ``model.compile()`` takes without being told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from axialzoo.spec import Head, SpecError

Loss = Callable[..., dict[str, Any]]
LOSSES: dict[type[Head], Loss] = {}
DEFAULTS: dict[type[Head], Callable[[Head], tuple[Any, list[Any]]]] = {}
PROBABILITIES = ("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy")


def register_loss(spec: type[Head]) -> Callable[[Loss], Loss]:
    """Says which loss goes with heads of the type `spec`; a decorator."""

    def register(loss: Loss) -> Loss:
        LOSSES[spec] = loss
        return loss

    return register


def loss_of(head: Head) -> Loss:
    """The loss of a head: ``loss(outputs, targets, head, **options)`` gives its parts by name, and their ``"total"``.

    `outputs` are what the model's forward gives, `targets` what the task's ``targets`` gives, as tensors with the batch first.
    """
    if type(head) not in LOSSES:
        raise SpecError(f"head {head.kind!r}: Keras has no loss for it; decorate one with register_loss({type(head).__name__})")
    return LOSSES[type(head)]


def total(parts: Mapping[str, Any]) -> dict[str, Any]:
    """`parts` and their sum, called ``"total"``."""
    return {**parts, "total": sum(parts.values())}


def register_defaults(spec: type[Head]):
    """Says which Keras loss and metrics ``compile()`` takes for heads of the type `spec`, where Keras has them; a decorator."""

    def register(make: Callable[[Any], tuple[Any, list[Any]]]):
        DEFAULTS[spec] = make
        return make

    return register


def defaults_of(head: Head) -> tuple[Any, list[Any]]:
    """A loss that Keras knows and metrics; (None, []) where the head's own loss of :func:`loss_of` is the one."""
    return DEFAULTS[type(head)](head) if type(head) in DEFAULTS else (None, [])


def refuse_probabilities(loss: Any, model: str) -> None:
    """Refuses a loss that expects probabilities: our models give logits, and training on them would stand still.

    Raises:
        ValueError: with the right spelling.
    """
    name = loss if isinstance(loss, str) else getattr(loss, "name", getattr(loss, "__name__", ""))
    known = name in PROBABILITIES or str(name).lower().replace("_", "") in [one.replace("_", "") for one in PROBABILITIES]
    if not known:
        return
    if isinstance(loss, keras.losses.Loss) and loss.get_config().get("from_logits"):
        return
    proper = "".join(word.capitalize() for word in next(one for one in PROBABILITIES if one in _spelt(name)).split("_"))
    raise ValueError(
        f"compile: {model} gives logits, and the loss {name!r} expects probabilities: training would stand still; leave the loss out "
        f"(compile() takes the head's own), or say loss=keras.losses.{proper.replace('crossentropy', 'Crossentropy')}(from_logits=True)"
    )


def _spelt(name: Any) -> list[str]:
    flat = str(name).lower().replace("_", "")
    return [one for one in PROBABILITIES if one.replace("_", "") == flat]
