"""Which loss goes with which head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from axialzoo.spec import Head, SpecError

Loss = Callable[..., dict[str, Any]]
LOSSES: dict[type[Head], Loss] = {}


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
